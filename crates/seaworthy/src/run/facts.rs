//! What a running Seaworthy tells of itself: to a person's terminal, and on the admin API.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use seaworthy_api::Callers;
use seaworthy_cache::{CacheSetting, Store};
use seaworthy_console::Facts;
use seaworthy_core::{InstanceSource, Readiness};
use seaworthy_edge::Pattern;
use seaworthy_observability::{LogSink, MetricsExport};
use seaworthy_protection::{CspFindings, Per, RatePolicy, RateSetting};
use seaworthy_validation::Validation;
use serde_json::{Value, json};

use super::{doors::EdgeAddresses, reload::ReloadState};
use crate::{
    config::{Config, RouteEntry},
    pipeline::Shared,
    terminal,
};

/// The addresses, to be printed once the app is well.
pub struct Announced {
    /// Of the edge.
    pub edge: EdgeAddresses,
    /// Of the admin API.
    pub admin: SocketAddr,
}

impl Announced {
    /// One line of JSON for a machine, two lines for a person.
    pub fn print(&self, as_json: bool) {
        let (edge, admin) = (&self.edge, self.admin);
        if as_json {
            let line = json!({
                "listen": edge.plain.to_string(),
                "https": edge.https.map(|address| address.to_string()),
                "admin": admin.to_string(),
                "url": edge.url(),
                "admin_url": format!("http://{admin}"),
            });
            return terminal::line(&line.to_string());
        }
        let role = if edge.redirects { "redirect" } else { "also    " };
        let plain = edge.https.map(|_| format!("{role} http://{}\n", edge.plain)).unwrap_or_default();
        terminal::line(&format!(
            "serving  {}\n{plain}admin    http://{admin}  (/healthz /readyz /metrics /status)",
            edge.url(),
        ));
    }
}

/// All that operators are told.
pub fn all(
    config: &Config,
    shared: &Shared,
    (readiness, instances, metrics): (Readiness, Arc<dyn InstanceSource>, Arc<dyn Fn() -> String + Send + Sync>),
    addresses: EdgeAddresses,
    state: Arc<ReloadState>,
) -> Facts {
    Facts {
        readiness,
        instances,
        metrics,
        cache: Arc::new(shared.cache.clone()),
        csp: csp(shared.csp.clone(), state.clone()),
        openapi: openapi(shared.validation.clone()),
        deprecated: deprecated(shared.deprecated.clone(), state.clone()),
        quarantine: Arc::new(shared.uploads.quarantine()),
        status: status(config, addresses, state, shared.clone()),
    }
}

/// The metrics' text.
pub fn metrics(export: MetricsExport, log: Option<LogSink>) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || {
        let dropped = log.as_ref().map_or(0, LogSink::dropped);
        metrics::counter!("seaworthy_access_log_dropped_lines_total").absolute(dropped);
        export.render()
    })
}

/// What browsers reported of the content security policy, and the policy that would allow it.
fn csp(findings: CspFindings, state: Arc<ReloadState>) -> Arc<dyn Fn(usize) -> Value + Send + Sync> {
    Arc::new(move |min_clients| findings.proposal(&state.config().protection.headers.csp, min_clients))
}

/// Which operations will go away, and who still calls them.
fn deprecated(callers: Callers, state: Arc<ReloadState>) -> Arc<dyn Fn() -> Value + Send + Sync> {
    Arc::new(move || {
        let config = state.config();
        let routes = config.routes.iter().filter_map(|route| {
            let told = route.api.deprecated.as_ref()?;
            // As its pipeline is named; loading has read it before.
            let name = route.edge.r#match.parse::<Pattern>().ok()?.to_string();
            let mut one = callers.report(&name);
            one["route"] = name.into();
            one["since"] = told.since.clone().into();
            one["sunset"] = told.sunset.clone().into();
            one["successor"] = told.successor.clone().into();
            Some(one)
        });
        json!({ "routes": routes.collect::<Vec<_>>() })
    })
}

/// How requests compare with the API's document.
fn openapi(validation: Validation) -> Arc<dyn Fn() -> Value + Send + Sync> {
    Arc::new(move || validation.report())
}

/// What `check` may know without trusting our word for anything: where things are and which limits are claimed.
fn status(
    config: &Config,
    addresses: EdgeAddresses,
    state: Arc<ReloadState>,
    shared: Shared,
) -> Arc<dyn Fn() -> Value + Send + Sync> {
    let log = &config.observability.access_log;
    let log = match log.as_str() {
        "off" | "stdout" => log.clone(),
        path => std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string()),
    };
    let profile = config.profile.name().map(str::to_owned);
    Arc::new(move || {
        let config = state.config();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "profile": profile,
            "listen": addresses.plain.to_string(),
            "https": addresses.https.map(|address| address.to_string()),
            "access_log": log,
            "connections": state.connections(),
            "certificates": state.certificates(),
            "config": state.report(),
            "cors_origins": config.protection.cors.origins,
            "rates": rates(&config),
            "store": shared.store.as_ref().map(|store| json!({ "up": store.is_up(), "nodes": store.nodes() })),
            "logins": logins(&config),
            "cached": cached(&config),
            "cache": cache(&shared.cache),
            "api": api(&config),
            "uploads": { "scanner": shared.uploads.scanner_status(), "routes": upload_routes(&config) },
            "limits": {
                "body_bytes": config.protection.body_limit.0,
                "request_head_ms": config.edge.timeouts.request_head.0.as_millis() as u64,
                "first_byte_ms": config.edge.timeouts.first_byte.0.as_millis() as u64,
            },
        })
    })
}

/// What the cache holds, by tier.
fn cache(store: &Store) -> Value {
    let disk = store.disk().map(|(bytes, limit)| json!({ "bytes": bytes, "limit_bytes": limit }));
    json!({ "memory": { "bytes": store.bytes() }, "disk": disk, "shared": store.shares() })
}

/// What is claimed of versions and deprecated operations.
fn api(config: &Config) -> Value {
    let unversioned = config.routes.iter().filter(|route| route.api.rewrite.versioned == Some(false));
    let deprecated = config.routes.iter().filter(|route| route.api.deprecated.is_some());
    let matches = |route: &crate::config::RouteEntry| route.edge.r#match.clone();
    json!({
        "version_prefix": config.api.prefix.version_prefix,
        "unversioned": unversioned.map(matches).collect::<Vec<_>>(),
        "deprecated": deprecated.map(matches).collect::<Vec<_>>(),
    })
}

/// Paths that a client can ask for and that a route of their own has cached by a time to live, for everyone.
fn cached(config: &Config) -> Vec<&str> {
    let cached = config.routes.iter().filter(|route| {
        route.edge.files.is_none() && route.cache.cache.as_ref().is_some_and(CacheSetting::is_for_everyone)
    });
    let paths = cached.map(|route| route.edge.r#match.trim_start_matches("GET ").trim());
    paths.filter(|path| path.starts_with('/') && !path.contains(['{', '*'])).collect()
}

/// Paths where people sign in, and the field that names the account.
fn logins(config: &Config) -> Vec<Value> {
    let told = |route: &RouteEntry| {
        let account = route.protection.login.as_ref()?.account.first()?;
        let path = route.edge.r#match.split_once(' ').map_or(&*route.edge.r#match, |(_, path)| path).trim();
        path.starts_with('/').then(|| json!({ "path": path, "account_field": account }))
    };
    let paths = config.routes.iter().filter_map(told);
    paths.filter(|login| login["path"].as_str().is_some_and(|path| !path.contains(['{', '*']))).collect()
}

/// The routes that take files, and which; what `check` may try.
fn upload_routes(config: &Config) -> Vec<Value> {
    let told = |route: &crate::config::RouteEntry| {
        let upload = route.uploads.upload.as_ref()?;
        let path = route.edge.r#match.rsplit(' ').next().unwrap_or_default();
        Some(json!({
            "match": route.edge.r#match,
            "max_bytes": upload.max.0,
            "types": upload.types,
            "scan": upload.scan,
            "resumable": upload.resumable.then(|| format!("{}/tus", path.trim_end_matches('/'))),
        }))
    };
    config.routes.iter().filter_map(told).collect()
}

/// The rates that are held, and where a GET meets each.
fn rates(config: &Config) -> Vec<Value> {
    let told = |path: Option<String>, (requests, window, per): (u64, Duration, Per)| json!({ "path": path, "requests": requests, "window_seconds": window.as_secs(), "per": per.name() });
    let mut all = Vec::new();
    for route in &config.routes {
        let policies = route.protection.rate.as_ref().map(RateSetting::policies).unwrap_or_default();
        // `GET /a/*` or `/a`: a path that any client can ask for.
        let (method, path) = route.edge.r#match.split_once(' ').unwrap_or(("GET", &route.edge.r#match));
        let path = path.trim().replace('*', "seaworthy-check");
        let plain = matches!(method, "GET" | "*") && path.starts_with('/') && !path.contains('{');
        let cost = route.protection.cost.unwrap_or(1);
        let counted = |rate: &RatePolicy| (rate.requests() / cost, rate.window(), rate.per());
        all.extend(policies.iter().map(|rate| told(plain.then(|| path.clone()), counted(rate))));
    }
    for rate in config.protection.rate.as_ref().map(RateSetting::policies).unwrap_or_default() {
        // A route for everything below `/` takes that path too, with its own rate.
        let taken = config.routes.iter().any(|route| route.edge.r#match.trim_start_matches("GET ").trim() == "/*");
        all.push(told(
            (!taken).then(|| "/seaworthy-check/no-such-page".into()),
            (rate.requests(), rate.window(), rate.per()),
        ));
    }
    all
}
