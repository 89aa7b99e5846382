//! `[edge]`, and what a `[[route]]` may say about the way to the app.

use std::net::SocketAddr;

use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration, Section};
use serde::Deserialize;

use crate::{error_pages::ErrorPolicy, files::FilesPolicy, routing::Pattern};

/// The public HTTP side.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Address and port to serve on. Loopback by default; `0.0.0.0:8080` serves everyone who reaches the machine.
    pub listen: String,
    /// Cores that serve requests, each with its own runtime; `0` takes all.
    pub workers: usize,
    /// What happens to a 5xx answer of the app: `unstructured` replaces bodies that are not JSON (error pages and stack
    /// traces) by problem details with the request id, `all` replaces every one, `pass` hands them on as they are.
    pub errors: ErrorPolicy,
    /// How long each step may take.
    pub timeouts: Timeouts,
}

/// Limits on time. Each names what it waits for; none is a wall clock over a whole upload or download.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Timeouts {
    /// A client's whole request head, and how long a connection may be idle between requests. A slower one is closed.
    pub request_head: HumanDuration,
    /// Between two pieces of a request's body.
    pub request_body_idle: HumanDuration,
    /// A new connection to the app.
    pub connect: HumanDuration,
    /// From the end of the request to the app's first byte. Then the client gets a 504 and the app's request is cancelled.
    pub first_byte: HumanDuration,
}

/// What one `[[route]]` may change of `[edge]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutePolicy {
    /// Which requests: a path such as `/api/documents/{id}` or `/static/*`, with a method before it when it matters.
    pub r#match: String,
    /// In place of `edge.timeouts.first_byte`.
    pub first_byte: Option<HumanDuration>,
    /// In place of `edge.errors`.
    pub errors: Option<ErrorPolicy>,
    /// Files of a folder in place of the app: `files = { root = "dist" }`.
    pub files: Option<FilesPolicy>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            workers: 0,
            errors: ErrorPolicy::Unstructured,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request_head: HumanDuration::seconds(10),
            request_body_idle: HumanDuration::seconds(30),
            connect: HumanDuration::seconds(5),
            first_byte: HumanDuration::seconds(60),
        }
    }
}

impl Section for Settings {
    const KEY: &'static str = "edge";

    fn validate(&self, findings: &mut Findings) {
        if self.listen.parse::<SocketAddr>().is_err() {
            let message = format!("`{}` is not an address with a port", self.listen);
            findings.add(
                "edge.listen",
                "SEA_CONFIG_ADDRESS",
                message,
                "write for example \"0.0.0.0:8080\" or \"[::]:8080\"",
            );
        }
        if self.workers > 1024 {
            findings.add("edge.workers", "SEA_CONFIG_RANGE", "more than 1024 workers", "use 0 for one a core");
        }
        let timeouts = [
            ("request_head", self.timeouts.request_head),
            ("request_body_idle", self.timeouts.request_body_idle),
            ("connect", self.timeouts.connect),
            ("first_byte", self.timeouts.first_byte),
        ];
        for (key, value) in timeouts {
            if value.0.is_zero() {
                let path = format!("edge.timeouts.{key}");
                findings.add(path, "SEA_CONFIG_RANGE", "a timeout of zero refuses every request", "use a longer one");
            }
        }
    }
}

impl RoutePolicy {
    /// Checks what types cannot say; `path` is the place of this route in the config.
    pub fn validate(&self, path: &str, findings: &mut Findings) {
        if let Err(error) = self.r#match.parse::<Pattern>() {
            let help = "write for example \"GET /api/documents/{id}\" or \"/static/*\"";
            findings.add(format!("{path}.match"), "SEA_CONFIG_PATTERN", error.to_string(), help);
        }
        if let Some(files) = &self.files {
            files.validate(&format!("{path}.files"), findings);
        }
    }
}
