//! `[app]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration, SecretRef, Section};
use seaworthy_core::UpstreamAddress;
use serde::Deserialize;

use crate::command::Command;

/// The app behind Seaworthy: a `command` that we start, or an address (`to`) where it already runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The command that starts the app, without a shell. `$PORT` stands for the port that we chose for it; the app also
    /// gets it as the environment variable `PORT`.
    pub command: Option<String>,
    /// Where an app runs that we do not start: `http://HOST:PORT` or `unix:/path/to.sock`.
    pub to: Option<String>,
    /// Path that answers 2xx or 3xx when the app is well. Without it, an accepted connection will do.
    pub health: Option<String>,
    /// More environment variables for the app. A value may be `env:NAME` or `file:PATH`.
    pub env: BTreeMap<String, SecretRef>,
    /// How long the app may take from its start to its first healthy answer.
    pub start_timeout: HumanDuration,
    /// How long requests in flight may take at shutdown, and then the app itself between SIGTERM and SIGKILL.
    pub stop_timeout: HumanDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            command: None,
            to: None,
            health: None,
            env: BTreeMap::new(),
            start_timeout: HumanDuration::seconds(60),
            stop_timeout: HumanDuration::seconds(30),
        }
    }
}

impl Section for Settings {
    const KEY: &'static str = "app";

    fn validate(&self, findings: &mut Findings) {
        if self.command.is_some() && self.to.is_some() {
            let help = "keep `command` when Seaworthy shall start the app, `to` when something else does";
            findings.add("app.to", "SEA_CONFIG_CONFLICT", "`command` and `to` exclude each other", help);
        }
        if let Some(to) = &self.to
            && let Err(error) = to.parse::<UpstreamAddress>()
        {
            let help = "write http://HOST:PORT or unix:/path/to.sock";
            findings.add("app.to", "SEA_CONFIG_ADDRESS", error.to_string(), help);
        }
        if let Some(command) = &self.command
            && let Err(error) = Command::parse(command)
        {
            let help = "write it as you would in a terminal, quotes included";
            findings.add("app.command", "SEA_CONFIG_COMMAND", error.to_string(), help);
        }
        if let Some(path) = &self.health
            && !path.starts_with('/')
        {
            let message = format!("`{path}` is not a path");
            findings.add("app.health", "SEA_CONFIG_PATH", message, "write for example \"/health\"");
        }
    }
}
