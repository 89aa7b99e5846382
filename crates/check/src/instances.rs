//! The instances behind a Seaworthy, as its admin API lists them: where to look, never proof that they are well.

use crate::http::Client;

/// One entry of `/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub id: String,
    pub process: Option<u32>,
    pub address: String,
    pub state: String,
}

impl Instance {
    pub(crate) fn is_ready(&self) -> bool {
        self.state == "ready"
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> Option<u16> {
        self.address.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()
    }
}

/// Asks for all of them.
pub(crate) async fn instances(admin: &Client) -> Result<Vec<Instance>, String> {
    let answer = admin.get("/status").await.map_err(|error| error.to_string())?;
    let status = answer.json().ok_or_else(|| format!("GET /status answers no JSON ({})", answer.status.as_u16()))?;
    let listed = status["instances"].as_array().ok_or("the admin API names no instances")?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(listed
        .iter()
        .map(|one| Instance {
            id: text(&one["id"]),
            process: one["pid"].as_u64().and_then(|process| u32::try_from(process).ok()),
            address: text(&one["address"]),
            state: text(&one["state"]),
        })
        .collect())
}
