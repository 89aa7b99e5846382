//! A request's whole way, on one page.
//!
//! `accept → HTTP → route → [ pipeline of that route ] → app`. The edge accepts and finds the route; this file says what
//! happens in between, from the outside in. When the config loads, each route's pipeline is built once from that route's
//! policy. What is off is absent and costs nothing.
//!
//! To add a capability: write it as a `tower::Layer` in its own crate, give it a line below, and its settings a line in
//! `config.rs`. CONTRIBUTING.md walks through it.

use std::sync::Arc;

use seaworthy_cache::{Cache, CacheSetting, Etags, Invalidate, Policy, Store};
use seaworthy_config::ByteSize;
use seaworthy_core::{Handler, Shutdown};
use seaworthy_edge::{ErrorPages, Files, Forward, NothingHere, OwnAnswers, Pattern, Pool, RouteError, RouteTable};
use seaworthy_identity::{Authenticate, Remembered, Tokens};
use seaworthy_observability::{AccessLog, Observe};
use seaworthy_protection::{
    BodyLimit, Cors, CspFindings, CspReports, Disclosure, RateHeaders, RateLimits, RatePolicy, RateSetting,
    SecurityHeaders,
};
use seaworthy_uploads::Uploads;
use tower::ServiceBuilder;

use crate::config::{Config, RouteEntry};

/// What the pipelines of all cores have together, and keep over a reload.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// Where requests are written down.
    pub log: Option<AccessLog>,
    /// Who has asked how often.
    pub limits: RateLimits,
    /// What is cached.
    pub cache: Store,
    /// Which tokens are believed.
    pub tokens: Tokens,
    /// What browsers reported of content security policies.
    pub csp: CspFindings,
    /// The scanner and the quarantine of what clients send.
    pub uploads: Uploads,
}

/// What the routes of one core have together.
struct Core<'a> {
    config: &'a Config,
    shared: &'a Shared,
    remembered: Remembered,
    pool: &'a Arc<Pool>,
    tasks: &'a Shutdown,
}

/// The routes of one core, around that core's upstream connections.
pub fn table(config: &Config, shared: &Shared, pool: &Arc<Pool>, tasks: &Shutdown) -> Result<RouteTable, RouteError> {
    shared.cache.resize(usize::try_from(config.cache.memory.0).unwrap_or(usize::MAX));
    let core = Core { config, shared, remembered: Remembered::default(), pool, tasks };
    let build =
        |name: &str, route: &RouteEntry, files: Option<Files>| pipeline(name, route, files, Place::Route, &core);
    let mut table =
        RouteTable::builder(build("*", &RouteEntry::default(), None), own_answers(config, shared.log.clone()));
    for route in &config.routes {
        let pattern: Pattern = route.edge.r#match.parse()?;
        let files = route.edge.files.as_ref().map(|policy| Files::build(policy, &pattern)).transpose()?;
        table = table.route(&pattern, build(&pattern.to_string(), route, files))?;
        for pattern in resumable(route)? {
            table = table.route(&pattern, pipeline(&pattern.to_string(), route, None, Place::Resumable, &core))?;
        }
    }
    if let Some((pattern, handler)) = csp_reports(config, shared) {
        // A route of the team's own for that very path goes first: then reports are its affair.
        if let Ok(with) = table.clone().route(&pattern, handler) {
            table = with;
        }
    }
    Ok(table.build()?)
}

/// What a pipeline is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Route,
    /// Where resumable uploads are made: what is below gets them when they are complete.
    Resumable,
}

/// The places below a route where resumable uploads are made and gone on with.
fn resumable(route: &RouteEntry) -> Result<Vec<Pattern>, RouteError> {
    if !route.uploads.upload.as_ref().is_some_and(|upload| upload.resumable) {
        return Ok(Vec::new());
    }
    let path = route.edge.r#match.rsplit(' ').next().unwrap_or_default().trim_end_matches('/');
    let places = [format!("{path}/tus"), format!("{path}/tus/{{upload}}")];
    Ok(places.iter().map(|place| place.parse()).collect::<Result<_, _>>()?)
}

/// Where browsers send reports: everybody may, so it stands beside the app's routes and what these ask for.
fn csp_reports(config: &Config, shared: &Shared) -> Option<(Pattern, Handler)> {
    /// Of one address; a page that is learnt from makes a handful.
    const RATE: &str = "120/min";
    let place = config.csp_report_path()?;
    let name = format!("POST {place}");
    let rates: Vec<RatePolicy> = RATE.parse().into_iter().collect();
    let service = ServiceBuilder::new()
        .layer(Observe::route(&name, shared.log.clone()))
        .option_layer(SecurityHeaders::layer(&config.protection.headers))
        .option_layer(shared.limits.layer(&name, &rates, 1, RateHeaders::Off))
        .service(CspReports::new(shared.csp.clone()));
    Some((name.parse().ok()?, Handler::new(service)))
}

/// One route's pipeline: the first layer sees a request first and its answer last. At its end are files or the app.
fn pipeline(name: &str, route: &RouteEntry, files: Option<Files>, place: Place, core: &Core<'_>) -> Handler {
    let (config, shared) = (core.config, core.shared);
    let upload = route.uploads.upload.as_ref();
    let usual = upload.map_or(config.protection.body_limit, |policy| ByteSize(shared.uploads.largest_body(policy)));
    let body_limit = route.protection.body_limit.unwrap_or(usual);
    let pieces = upload.filter(|_| place == Place::Resumable);
    let upload = upload.filter(|_| place == Place::Route);
    let errors = route.edge.errors.unwrap_or(config.edge.errors);
    let timeouts = config.edge.timeouts.for_route(&route.edge);

    let headers = config.protection.headers.with(route.protection.headers.as_ref());
    let traces = route.protection.traces.unwrap_or(config.protection.traces);
    let cors = route.protection.cors.as_ref().unwrap_or(&config.protection.cors);

    let rates = route.protection.rate.as_ref().or(config.protection.rate.as_ref());
    let rates = rates.map(RateSetting::policies).unwrap_or_default();
    let cost = route.protection.cost.unwrap_or(1);

    let auth = route.identity.auth.unwrap_or(config.identity.auth);

    let cache = cache_policy(route, config);
    let etags = route.cache.etags.unwrap_or(config.cache.etags);
    let invalidate = (cache.is_none() && caches_anything(config)).then(|| Invalidate::layer(&shared.cache));

    let layers = ServiceBuilder::new()
        .layer(Observe::route(name, shared.log.clone())) // a line and numbers for everything below, refusals included
        .option_layer(SecurityHeaders::layer(&headers)) // on refusals too, so outside of them; nonces, so outside of the cache
        .option_layer(Cors::layer(cors)) // a preflight ends here, and a page may read our refusals
        .layer(BodyLimit::new(body_limit))
        .option_layer(Authenticate::layer(auth, &shared.tokens, &core.remembered)) // limits below count by who it is
        .option_layer(shared.limits.layer(name, rates, cost, config.protection.rate_headers))
        // Still to come: authorize before the rate limit; behind it: validate.
        .option_layer(shared.uploads.layer(name, upload)) // the app sees no byte of a file before it was looked at
        .option_layer(shared.uploads.resumable(name, pieces, core.tasks)) // and gets one in pieces when it is complete
        .option_layer(cache.map(|policy| Cache::layer(name, &shared.cache, policy, &config.cache, core.tasks)))
        .option_layer(invalidate) // what a write changes is taken out, wherever it is stored
        // Still to come: compress.
        .option_layer(Etags::layer(etags))
        .option_layer(ErrorPages::layer(errors))
        .option_layer(Disclosure::layer(traces)); // sees what the app said itself, also where `errors` lets it pass
    match files {
        Some(files) => Handler::new(layers.service(files)),
        None if config.has_app() => {
            Handler::new(layers.service(Forward::new(core.pool.clone(), timeouts, core.tasks.clone())))
        }
        None => Handler::new(layers.service(NothingHere)),
    }
}

/// What a route caches. Files come from the disk already, and say themselves how long they are good.
fn cache_policy(route: &RouteEntry, config: &Config) -> Option<Policy> {
    let setting = route.cache.cache.as_ref().unwrap_or(&config.cache.policy);
    if route.edge.files.is_some() { None } else { setting.policy() }
}

fn caches_anything(config: &Config) -> bool {
    let routes = config.routes.iter().filter_map(|route| route.cache.cache.as_ref());
    routes.chain([&config.cache.policy]).any(CacheSetting::is_on)
}

/// The way of what the edge answers itself: redirects to HTTPS, names that are not served, what is no request.
fn own_answers(config: &Config, log: Option<AccessLog>) -> Handler {
    let service = ServiceBuilder::new()
        .layer(Observe::route("(edge)", log))
        .option_layer(SecurityHeaders::layer(&config.protection.headers))
        .option_layer(Cors::layer(&config.protection.cors))
        .service(OwnAnswers);
    Handler::new(service)
}
