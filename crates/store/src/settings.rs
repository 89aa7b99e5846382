//! `[store]`.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration, SecretRef, Section};
use serde::Deserialize;

use crate::address::is_address;

/// What nodes share. Without it each node counts for itself. A change takes effect after a restart.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Address of a Redis or Valkey that all nodes count in: `env:REDIS_URL`, with `redis://user:password@host:port/database`
    /// in it, or `rediss://` for TLS.
    pub redis: Option<SecretRef>,
    /// File with certificates (PEM) of authorities that we trust in besides the system's, for `rediss://`.
    pub trust: Option<PathBuf>,
    /// How long a request waits for it, at most. Then the node decides by itself, with its share of the limit.
    pub patience: HumanDuration,
    /// How many nodes there are at least: what a node's share is, as long as Redis has not told how many count there.
    pub nodes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { redis: None, trust: None, patience: HumanDuration(Duration::from_millis(10)), nodes: 1 }
    }
}

impl Section for Settings {
    const KEY: &'static str = "store";

    fn validate(&self, findings: &mut Findings) {
        if let Some(SecretRef::Literal(address)) = &self.redis
            && !is_address(address.expose())
        {
            let help = "write \"env:REDIS_URL\", or an address such as \"redis://127.0.0.1:6379\"";
            findings.add("store.redis", "SEA_CONFIG_ADDRESS", "not the address of a Redis", help);
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(1)).contains(&self.patience.0) {
            let message = "a request cannot wait so long, or so short, for a count";
            findings.add("store.patience", "SEA_CONFIG_WRONG_VALUE", message, "write 1ms to 1s");
        }
        if !(1..=1_000).contains(&self.nodes) {
            let message = format!("{} nodes cannot share a limit", self.nodes);
            findings.add("store.nodes", "SEA_CONFIG_WRONG_VALUE", message, "write 1 to 1000");
        }
    }
}
