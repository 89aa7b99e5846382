//! `[admin]`.

use std::net::SocketAddr;

use schemars::JsonSchema;
use seaworthy_config::{Findings, Section};
use serde::Deserialize;

/// The admin listener: health, metrics, status.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Loopback address and port. It has no credentials, so no other address is accepted: reach it from elsewhere
    /// through an SSH tunnel.
    pub listen: String,
    /// Unix socket with the same API, for tools of this user on this machine; empty for none.
    pub socket: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9900".into(), socket: ".seaworthy/admin.sock".into() }
    }
}

impl Section for Settings {
    const KEY: &'static str = "admin";

    fn validate(&self, findings: &mut Findings) {
        match self.listen.parse::<SocketAddr>() {
            Err(_) => {
                let message = format!("`{}` is not an address with a port", self.listen);
                findings.add("admin.listen", "SEA_CONFIG_ADDRESS", message, "write for example \"127.0.0.1:9900\"");
            }
            Ok(address) if !address.ip().is_loopback() => {
                let message = format!("{address} can be reached from outside, and the admin API has no credentials");
                let help = "use 127.0.0.1 or [::1], and an SSH tunnel from elsewhere";
                findings.add("admin.listen", "SEA_CONFIG_INSECURE", message, help);
            }
            Ok(_) => {}
        }
    }
}
