//! What a person would see of a page.

use serde_json::Value;

use crate::{error::BrowserError, page::Page};

/// A page as seen at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Every piece of text that has an area.
    pub texts: Vec<Text>,
    /// Pictures, drawings, videos and frames that have an area.
    pub areas: usize,
    /// Names of links, buttons and fields that have an area.
    pub controls: Vec<String>,
    /// It asks for a password.
    pub asks_for_password: bool,
    /// Dialogs that are open.
    pub dialogs: usize,
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// What it says, blanks made single.
    pub text: String,
    /// It is in a region whose changes a screen reader tells at once (`role=alert` and the like).
    pub told: bool,
    /// Its distance from the top of the page, in CSS pixels.
    pub top: f64,
}

impl Page {
    /// What a person sees now.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn seen(&self) -> Result<Seen, BrowserError> {
        let value = self.evaluate(include_str!("seeing.js")).await?;
        let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let count = |key: &str| value[key].as_u64().unwrap_or_default() as usize;
        let piece = |one: &Value| Text {
            text: text(&one["text"]),
            told: one["told"] == true,
            top: one["top"].as_f64().unwrap_or_default(),
        };
        Ok(Seen {
            texts: list("texts").iter().map(piece).collect(),
            areas: count("areas"),
            controls: list("controls").iter().map(text).collect(),
            asks_for_password: count("passwords") > 0,
            dialogs: count("dialogs"),
        })
    }
}

impl Seen {
    /// Everything in one text.
    pub fn text(&self) -> String {
        self.texts.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// There is nothing on it.
    pub fn is_blank(&self) -> bool {
        self.texts.is_empty() && self.areas == 0 && self.controls.is_empty()
    }

    /// What was not there before. A text that was there once and is there twice is new once.
    pub fn new_since<'a>(&'a self, before: &Self) -> Vec<&'a Text> {
        let mut known: Vec<&str> = before.texts.iter().map(|one| one.text.as_str()).collect();
        let is_new = |one: &&Text| match known.iter().position(|text| *text == one.text) {
            Some(place) => {
                known.swap_remove(place);
                false
            }
            None => true,
        };
        self.texts.iter().filter(is_new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_twice_is_new_once() {
        let seen = |texts: &[&str]| Seen {
            texts: texts.iter().map(|text| Text { text: (*text).into(), told: false, top: 0.0 }).collect(),
            ..Seen::default()
        };
        let (before, after) = (seen(&["a", "b"]), seen(&["b", "a", "a", "c"]));
        let new: Vec<&str> = after.new_since(&before).iter().map(|one| one.text.as_str()).collect();
        assert_eq!(new, ["a", "c"]);
        assert!(Seen::default().is_blank() && !before.is_blank());
    }
}
