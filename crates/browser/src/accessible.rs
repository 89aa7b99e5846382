//! Controls by role and name, as a screen reader tells them, and real input to them.

use serde_json::{Value, json};

use crate::{error::BrowserError, page::Page};

/// Something that can be pressed or filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// `button`, `link`, `textbox`, … (WAI-ARIA).
    pub role: String,
    /// Its accessible name; empty when it has none.
    pub name: String,
    /// It does not react now.
    pub disabled: bool,
    node: i64,
}

/// Roles that people press or fill in.
const ROLES: [&str; 14] = [
    "button",
    "link",
    "textbox",
    "searchbox",
    "checkbox",
    "radio",
    "combobox",
    "listbox",
    "menuitem",
    "option",
    "slider",
    "spinbutton",
    "switch",
    "tab",
];

impl Control {
    /// It takes text.
    pub fn takes_text(&self) -> bool {
        matches!(self.role.as_str(), "textbox" | "searchbox" | "spinbutton")
    }
}

impl Page {
    /// All controls, those of one parent in their order.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn controls(&self) -> Result<Vec<Control>, BrowserError> {
        self.connection.tell(&self.session, "Accessibility.enable", json!({}));
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await?;
        self.connection.tell(&self.session, "Accessibility.disable", json!({}));
        let nodes = tree["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(nodes.iter().filter_map(control).collect())
    }

    /// Presses it with the mouse, as a person would: what lies over it gets the press.
    ///
    /// # Errors
    /// When it has no area.
    pub async fn press(&self, control: &Control) -> Result<(), BrowserError> {
        let node = json!({"backendNodeId": control.node});
        self.call("DOM.scrollIntoViewIfNeeded", node.clone()).await?;
        let quads = self.call("DOM.getContentQuads", node).await?;
        let corner = |place: usize| quads["quads"][0][place].as_f64().unwrap_or_default();
        let (x, y) = ((corner(0) + corner(4)) / 2.0, (corner(1) + corner(5)) / 2.0);
        for (kind, button, count) in
            [("mouseMoved", "none", 0), ("mousePressed", "left", 1), ("mouseReleased", "left", 1)]
        {
            let event = json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": count});
            if kind == "mouseReleased" {
                // A dialog that opens under the press holds its answer back until it is closed.
                self.call("Input.dispatchMouseEvent", event).await?;
            } else {
                self.connection.tell(&self.session, "Input.dispatchMouseEvent", event);
            }
        }
        self.log.touched();
        Ok(())
    }

    /// Writes into it, as a person would.
    ///
    /// # Errors
    /// When it takes no focus.
    pub async fn write(&self, control: &Control, text: &str) -> Result<(), BrowserError> {
        self.call("DOM.focus", json!({"backendNodeId": control.node})).await?;
        self.call("Input.insertText", json!({"text": text})).await.map(drop)
    }

    /// Presses a key without a letter: `Escape`.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn press_key(&self, key: &str) -> Result<(), BrowserError> {
        let code = if key == "Escape" { 27 } else { 13 };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        self.log.touched();
        Ok(())
    }
}

fn control(node: &Value) -> Option<Control> {
    let role = node["role"]["value"].as_str()?;
    if node["ignored"] == true || !ROLES.contains(&role) {
        return None;
    }
    let properties = node["properties"].as_array().map(Vec::as_slice).unwrap_or_default();
    let disabled = properties.iter().any(|one| one["name"] == "disabled" && one["value"]["value"] == true);
    Some(Control {
        role: role.to_owned(),
        name: node["name"]["value"].as_str().unwrap_or_default().trim().to_owned(),
        disabled,
        node: node["backendDOMNodeId"].as_i64()?,
    })
}
