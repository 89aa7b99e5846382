//! Collects what the `metrics` facade counts and shows it in Prometheus' text format.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use seaworthy_core::Shutdown;
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};

use crate::route_metrics;

/// Histograms gather raw samples until they are folded into their buckets; this bounds how many.
const FOLD_EVERY: Duration = Duration::from_secs(5);

/// The process's metrics.
#[derive(Debug, Clone)]
pub struct MetricsExport(PrometheusHandle);

/// The collector could not be set up.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// Wrong buckets.
    #[error("cannot build the metrics collector: {0}")]
    Build(#[from] metrics_exporter_prometheus::BuildError),
    /// There is one already.
    #[error("metrics are already collected in this process")]
    Twice,
}

impl MetricsExport {
    /// Becomes the collector of this process.
    pub fn install() -> Result<Self, MetricsError> {
        let buckets = Matcher::Suffix("_seconds".into());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(buckets, route_metrics::DURATION_BUCKETS)?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Twice)?;
        route_metrics::describe();
        Ok(Self(handle))
    }

    /// Everything counted so far (Prometheus text format 0.0.4).
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps the memory of histograms bounded until the order to stop.
    pub async fn run(self, shutdown: Shutdown) {
        let mut ticks = interval(FOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.ordered() => return,
                _ = ticks.tick() => self.0.run_upkeep(),
            }
        }
    }
}
