//! The probes, one file each. To add one: write it beside the others and name it in [`all`]; the four tests that every
//! probe must pass (present, absent, unreachable, sabotaged experiment) are in `runner.rs` and take it up by themselves.

mod access_logs;
mod api_deprecation;
mod api_openapi;
mod api_versioning;
mod cached_responses;
mod compression;
mod copies;
mod cors;
mod counted;
mod environments;
mod error_codes;
mod error_handler;
mod etag;
mod filtering_sorting;
mod frontend;
mod graceful_shutdown;
mod https_only;
mod injection;
mod input_validation;
mod load_balancing;
mod login_throttle;
mod metrics;
mod metrics_secured;
mod multi_worker;
mod outside;
mod pagination;
mod rate_limit;
mod rate_limit_headers;
mod rate_limit_per_user;
mod readiness;
mod reading;
mod request_id;
mod request_size;
mod request_timeout;
mod security_headers;
mod self_heal;
mod starts;
mod static_assets;
mod status_codes;
mod store;
mod strategy;
mod tls_certificate;
mod upload_chunked;
mod upload_scan;
mod upload_size;
mod upload_validation;
mod validate_startup;

pub use outside::Outside;
pub use reading::{Source, inspections};

use crate::probe::Probe;

/// Every probe of this release, in the order in which they run: reading first, breaking last.
pub fn all() -> Vec<Box<dyn Probe>> {
    let mut all = reading::all();
    all.extend(looking());
    all.extend(store::all());
    all.extend(outside::all());
    all.extend(counted::all());
    all.extend(frontend::all());
    all
}

/// Those that look at the running app, and the few that read and run.
fn looking() -> Vec<Box<dyn Probe>> {
    vec![
        Box::new(environments::Environments),
        Box::new(https_only::HttpsOnly),
        Box::new(tls_certificate::TlsCertificate),
        Box::new(metrics_secured::MetricsSecured),
        Box::new(security_headers::SecurityHeaders),
        Box::new(cors::Cors),
        Box::new(error_handler::ErrorHandler),
        Box::new(status_codes::StatusCodes),
        Box::new(api_openapi::ApiOpenapi),
        Box::new(input_validation::InputValidation),
        Box::new(static_assets::StaticAssets),
        Box::new(etag::Etag),
        Box::new(cached_responses::CachedResponses),
        Box::new(strategy::CacheStrategy),
        Box::new(compression::Compression),
        Box::new(pagination::Pagination),
        Box::new(filtering_sorting::FilteringSorting),
        Box::new(error_codes::ErrorCodes),
        Box::new(api_versioning::ApiVersioning),
        Box::new(api_deprecation::ApiDeprecation),
        Box::new(request_id::RequestIds),
        Box::new(access_logs::AccessLogs),
        Box::new(metrics::Metrics),
        Box::new(request_size::RequestSize),
        Box::new(request_timeout::RequestTimeout),
        Box::new(upload_validation::UploadValidation),
        Box::new(upload_size::UploadSize),
        Box::new(upload_scan::UploadScan),
        Box::new(upload_chunked::UploadChunked),
        Box::new(readiness::Readiness),
        Box::new(starts::Starts),
        Box::new(validate_startup::ValidateStartup),
        Box::new(multi_worker::MultiWorker),
        Box::new(injection::sql::SqlInjection),
        Box::new(injection::sanitization::InputSanitization),
        Box::new(rate_limit::RateLimit),
        Box::new(rate_limit_headers::RateLimitHeaders),
        Box::new(rate_limit_per_user::RateLimitPerUser),
        Box::new(login_throttle::LoginThrottle),
        Box::new(load_balancing::LoadBalancing),
        Box::new(self_heal::SelfHeal),
        Box::new(graceful_shutdown::GracefulShutdown),
    ]
}
