//! What the admin API tells of running instances: the seam between `deploy`, which knows, and `console`, which shows.

use serde::Serialize;

/// One instance of the app, as an operator sees it.
#[derive(Debug, Clone, Serialize)]
pub struct InstanceReport {
    /// `app-1`, stable over restarts.
    pub id: String,
    /// Process id while it runs; `None` for an app that we do not supervise.
    pub pid: Option<u32>,
    /// Where it listens.
    pub address: String,
    /// `starting`, `ready`, `unhealthy`, `stopping`, `down`.
    pub state: String,
    /// How often it was started again.
    pub restarts: u64,
}

/// Tells of the instances that run now.
pub trait InstanceSource: Send + Sync + 'static {
    /// A snapshot, in the order of their ids.
    fn instances(&self) -> Vec<InstanceReport>;
}

/// No instances: an app that runs elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoInstances;

impl InstanceSource for NoInstances {
    fn instances(&self) -> Vec<InstanceReport> {
        Vec::new()
    }
}
