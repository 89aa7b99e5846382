//! `[observability]`.

use schemars::JsonSchema;
use seaworthy_config::{Findings, Section};
use serde::{Deserialize, Serialize};

/// Logs and metrics.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Where the access log goes: `stdout`, `off`, or the path of a file (appended to, made when it is missing).
    pub access_log: String,
    /// How lines look: `auto` is text on a terminal and JSON elsewhere.
    pub format: Format,
    /// The least important lines of the operational log (standard error) that are shown.
    pub level: Level,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For eyes.
    Text,
}

/// Importance of a line of the operational log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may fail.
    Warn,
    /// What an operator wants to know on an ordinary day.
    #[default]
    Info,
    /// What a developer of Seaworthy wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl Default for Settings {
    fn default() -> Self {
        Self { access_log: "stdout".into(), format: Format::Auto, level: Level::Info }
    }
}

impl Section for Settings {
    const KEY: &'static str = "observability";

    fn validate(&self, findings: &mut Findings) {
        if self.access_log.is_empty() {
            let help = "write \"stdout\", \"off\" or the path of a file";
            findings.add("observability.access_log", "SEA_CONFIG_EMPTY", "the access log has no target", help);
        }
    }
}
