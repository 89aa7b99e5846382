//! What the admin API tells of running instances: the seam between `deploy`, which knows, and `console`, which shows.

use serde::Serialize;

/// One instance of the app, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceReport {
    /// `app-1`, stable over restarts.
    pub id: String,
    /// Process id while it runs; `None` for an app that we do not supervise.
    pub pid: Option<u32>,
    /// Where it listens.
    pub address: String,
    /// What it is doing.
    pub state: InstanceState,
    /// How often it was started again after it had ended by itself.
    pub restarts: u64,
    /// Memory of the process and of everything that it started, when last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// How its process ended the last time that it did so by itself (`exit status: 1`, `signal: 9 (SIGKILL)`), or why it
    /// did not become well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
    /// It ended soon after its start, again and again, and is now started only at the longest pause.
    pub crash_loop: bool,
}

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It runs and was not well yet.
    Starting,
    /// It is well.
    Ready,
    /// It runs, and its health check fails.
    Unhealthy,
    /// It finishes its requests, or was told to end.
    Stopping,
    /// It does not run, and will be started again.
    Down,
    /// The same, after it had ended again and again.
    CrashLoop,
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
