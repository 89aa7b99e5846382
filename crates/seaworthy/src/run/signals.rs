//! What the operating system asks of `seaworthy run`.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Signals this close together are one order.
const ONE_ORDER: Duration = Duration::from_millis(200);

/// SIGTERM and SIGINT: the first one drains, the second one ends at once.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    since: Option<Instant>,
}

impl Signals {
    /// Listens from now on.
    pub fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new("SEA_RUN_SIGNALS", &error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            since: None,
        })
    }

    /// The order to stop.
    pub async fn first(&mut self) {
        self.next().await;
        self.since = Some(Instant::now());
    }

    /// The order to stop at once. One order often arrives twice, to the process and to its group; that is still one.
    pub async fn second(&mut self) {
        loop {
            self.next().await;
            if self.since.is_none_or(|since| since.elapsed() > ONE_ORDER) {
                tracing::warn!("second signal: ending at once");
                return;
            }
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
