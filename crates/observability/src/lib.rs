//! What happened, in lines and in numbers: access log, operational log, metrics.
//!
//! No other room imports this one: they log through `tracing` and count through `metrics`.

mod access;
mod app_log;
mod logging;
mod metrics_export;
mod observe;
mod operational;
mod route_metrics;
mod settings;
mod sink;

pub use access::{AccessLog, LineFormat};
pub use app_log::AppLog;
pub use logging::{LoggingError, init_logging};
pub use metrics_export::{MetricsError, MetricsExport};
pub use observe::{Observe, ObserveService};
pub use settings::{Format, Level, Settings};
pub use sink::LogSink;
