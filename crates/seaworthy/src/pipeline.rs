//! A request's whole way, on one page.
//!
//! `accept → HTTP → route → [ pipeline of that route ] → app`. The edge accepts and finds the route; this file says what
//! happens in between, from the outside in. When the config loads, each route's pipeline is built once from that route's
//! policy. What is off is absent and costs nothing.
//!
//! To add a capability: write it as a `tower::Layer` in its own crate, give it a line below, and its settings a line in
//! `config.rs`. CONTRIBUTING.md walks through it.

mod guards;
mod optional;

use std::sync::Arc;

use guards::{Added, Guard, Ways};
use optional::Optional;
use seaworthy_api::{Callers, Deprecated, Idempotency, IdempotencyLayer, Rewrite};
use seaworthy_cache::{Cache, CacheSetting, Compress, Encoders, Etags, Invalidate, Negotiate, OwnTags, Policy, Store};
use seaworthy_config::ByteSize;
use seaworthy_core::{Handler, Shutdown};
use seaworthy_edge::{ErrorPages, Files, Forward, NothingHere, OwnAnswers, Pattern, Pool, RouteError, RouteTable};
use seaworthy_identity::{Authenticate, Remembered, Tokens};
use seaworthy_observability::{AccessLog, Observe};
use seaworthy_protection::{
    BodyLimit, Cors, CorsSettings, CspFindings, CspReports, Disclosure, Guesses, LOGIN_BODY, Load, Login, RateHeaders,
    RateLimits, RatePolicy, RateSetting, SecurityHeaders,
};
use seaworthy_store::Redis;
use seaworthy_uploads::{METHODS, REQUEST_FIELDS, RESPONSE_FIELDS, Uploads};
use seaworthy_validation::{SeenByApp, Validate, Validation};
use tower::ServiceBuilder;

use crate::config::{Config, RouteEntry};

/// What the pipelines of all cores have together, and keep over a reload.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// Where requests are written down.
    pub log: Option<AccessLog>,
    /// Who has asked how often.
    pub limits: RateLimits,
    /// Who has failed to sign in how often.
    pub guesses: Guesses,
    /// What the app has to do.
    pub load: Load,
    /// What nodes count together in.
    pub store: Option<Redis>,
    /// What is cached.
    pub cache: Store,
    /// Which tokens are believed.
    pub tokens: Tokens,
    /// What browsers reported of content security policies.
    pub csp: CspFindings,
    /// Which requests were made before, and what they were answered.
    pub idempotency: Idempotency,
    /// Who calls operations that will go away.
    pub deprecated: Callers,
    /// What requests are compared with.
    pub validation: Validation,
    /// The scanner and the quarantine of what clients send.
    pub uploads: Uploads,
}

/// What the routes of one core have together.
struct Core<'a> {
    config: &'a Config,
    shared: &'a Shared,
    remembered: Remembered,
    encoders: Encoders,
    pool: &'a Arc<Pool>,
    tasks: &'a Shutdown,
}

/// The routes of one core, around that core's upstream connections.
pub fn table(config: &Config, shared: &Shared, pool: &Arc<Pool>, tasks: &Shutdown) -> Result<RouteTable, RouteError> {
    shared.cache.resize(usize::try_from(config.cache.memory.0).unwrap_or(usize::MAX));
    let encoders = Encoders::default();
    let core = Core { config, shared, remembered: Remembered::default(), encoders, pool, tasks };
    let ways = Ways::of(config)?;
    let mut table = RouteTable::builder(
        pipeline("*", &RouteEntry::default(), None, (Place::Route, None), &core),
        own_answers(config, shared.log.clone()),
    );
    for (number, route) in config.routes.iter().enumerate() {
        let pattern: Pattern = route.edge.r#match.parse()?;
        let files = route.edge.files.as_ref().map(|policy| Files::build(policy, &pattern)).transpose()?;
        let guard = ways.guard(number);
        table = table.route(&pattern, pipeline(&pattern.to_string(), route, files, (Place::Route, guard), &core))?;
        for pattern in resumable(route)? {
            let name = pattern.to_string();
            let pieces = pipeline(&name, route, None, (Place::Resumable, guard), &core);
            table = table.route_heeding_override(&pattern, pieces)?;
        }
    }
    for detour in &ways.detours {
        let (name, place) = (&detour.name, (Place::Route, Some(&detour.guard)));
        table = table.way(&detour.pattern, name, pipeline(name, &detour.entry, None, place, &core));
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

/// A route's pipeline, with what guards the place in the app to which it leads, if that is another route's.
fn pipeline(
    name: &str,
    route: &RouteEntry,
    files: Option<Files>,
    (place, guard): (Place, Option<&Guard>),
    core: &Core<'_>,
) -> Handler {
    let guarded = guard.map(|guard| guard.over(route, core.config, core.shared));
    let added = guard.map(|guard| guard.layers(core.config, core.shared)).unwrap_or_default();
    stack(name, guarded.as_ref().unwrap_or(route), files, (place, added), core)
}

/// One route's layers: the first one sees a request first and its answer last. At their end are files or the app.
fn stack(
    name: &str,
    route: &RouteEntry,
    files: Option<Files>,
    (place, added): (Place, Added),
    core: &Core<'_>,
) -> Handler {
    let (config, shared) = (core.config, core.shared);
    let errors = route.edge.errors.unwrap_or(config.edge.errors);
    let timeouts = config.edge.timeouts.for_route(&route.edge);

    let headers = config.protection.headers.with(route.protection.headers.as_ref());
    let traces = route.protection.traces.unwrap_or(config.protection.traces);
    let cors = cors(route, place, config);

    let (rates, cost) = (rates(route, config), route.protection.cost.unwrap_or(1));
    let login = login(name, route, shared);
    let overload =
        shared.load.layer(name, &config.protection.overload, &route.protection, config.app.health.as_deref());

    let auth = route.identity.auth.unwrap_or(config.identity.auth);

    let idempotency = idempotency(name, route, place, core);
    let deprecated = Deprecated::layer(name, route.api.deprecated.as_ref(), &shared.deprecated);
    let rewrite = Rewrite::layer(&route.edge.r#match, &route.api.rewrite, &config.api.prefix);

    // Files are no API, and neither are the pieces of an upload.
    let validate = validate(route, rewrite.as_ref(), core).filter(|_| files.is_none() && place == Place::Route);
    let upload = route.uploads.upload.as_ref();
    let (whole, pieces) = if place == Place::Route { (upload, None) } else { (None, upload) };

    let cache = cache_policy(route, config);
    let invalidate = (cache.is_none() && caches_anything(config)).then(|| Invalidate::layer(&shared.cache));
    let compression = compression(route, headers.enabled && headers.csp.nonces, cache.is_some(), core);

    let first = ServiceBuilder::new()
        .layer(Observe::route(name, shared.log.clone())) // a line and numbers for everything below, refusals included
        .option_layer(compression.behind_nonces)
        .option_layer(SecurityHeaders::layer(&headers)) // on refusals too, so outside of them; nonces, so outside of the cache
        .option_layer(Cors::layer(&cors)) // a preflight ends here, and a page may read our refusals
        .layer(BodyLimit::new(body_limit(route, config, shared)))
        .option_layer(Authenticate::layer(auth, &shared.tokens, &core.remembered)); // limits below count by who it is
    let then = Optional::default()
        .layer(deprecated) // counts callers by who they are
        // Still to come: authorize.
        .layer(shared.limits.layer(name, rates, cost, config.protection.rate_headers))
        .layer(added.rate)
        .layer(added.login)
        .layer(login) // a sign-in that may not be tried yet ends here
        .layer(validate) // what is wrong ends here, counted against the rate
        .layer(shared.uploads.layer(name, whole)) // the app sees no byte of a file before it was looked at
        .layer(added.upload)
        .layer(shared.uploads.resumable(name, pieces, core.tasks)) // and gets one in pieces when it is complete
        .layer(idempotency) // what was refused above used no key
        .layer(compression.negotiate) // few words for what a client takes: few variants in the cache
        .layer(cache.map(|policy| Cache::layer(name, &shared.cache, policy, &config.cache, core.tasks)))
        .layer(invalidate) // what a write changes is taken out, wherever it is stored
        .layer(compression.in_cache); // what is cached is compressed
    let last = ServiceBuilder::new()
        .option_layer(compression.own_tags) // where nothing is compressed, clients may still know what was
        .option_layer(Etags::layer(route.cache.etags.unwrap_or(config.cache.etags)))
        .option_layer(ErrorPages::layer(errors))
        .option_layer(Disclosure::layer(traces)); // sees what the app said itself, also where `errors` lets it pass
    // What was let in is the app's to do. The path is the client's up to here. Files need neither.
    let before_app = Optional::default().layer(rewrite).layer(added.load).layer(overload);
    let end = match files {
        Some(files) => Handler::new(last.service(files)),
        None if config.has_app() => {
            let forward = Forward::new(core.pool.clone(), timeouts, core.tasks.clone());
            match before_app.is_empty() {
                true => Handler::new(last.service(forward)), // one box less for most requests
                false => Handler::new(last.service(before_app.around(Handler::new(forward)))),
            }
        }
        None => Handler::new(last.service(NothingHere)),
    };
    Handler::new(first.service(then.around(end)))
}

/// An upload in pieces has a key of its own, and its answer is noted with it.
fn idempotency(name: &str, route: &RouteEntry, place: Place, core: &Core<'_>) -> Option<IdempotencyLayer> {
    let policy = route.api.idempotency.as_ref().unwrap_or(&core.config.api.idempotency);
    IdempotencyLayer::layer(name, policy, &core.shared.idempotency, core.tasks).filter(|_| place == Place::Route)
}

fn login(name: &str, route: &RouteEntry, shared: &Shared) -> Option<Login> {
    let settings = route.protection.login.as_ref()?;
    Some(Login::layer(name, settings, &shared.guesses, &shared.limits))
}

/// The rates of a route.
fn rates<'a>(route: &'a RouteEntry, config: &'a Config) -> &'a [RatePolicy] {
    let rates = route.protection.rate.as_ref().or(config.protection.rate.as_ref());
    rates.map(RateSetting::policies).unwrap_or_default()
}

/// Which pages may read answers. Where uploads are sent in pieces they may do what clients of tus do, and read what these
/// read: nobody should have to look that up to send a file from a page.
fn cors(route: &RouteEntry, place: Place, config: &Config) -> CorsSettings {
    let cors = route.protection.cors.as_ref().unwrap_or(&config.protection.cors).clone();
    match place {
        Place::Route => cors,
        Place::Resumable => cors.with(&METHODS, &REQUEST_FIELDS, &RESPONSE_FIELDS),
    }
}

/// The largest body of a route: as configured; else what its uploads may have; and a sign-in is small, for it is read whole.
fn body_limit(route: &RouteEntry, config: &Config, shared: &Shared) -> ByteSize {
    let upload = route.uploads.upload.as_ref().map(|policy| ByteSize(shared.uploads.largest_body(policy)));
    let usual = upload.unwrap_or(config.protection.body_limit);
    let limit = route.protection.body_limit.unwrap_or(usual);
    if route.protection.login.is_some() { ByteSize(limit.0.min(LOGIN_BODY)) } else { limit }
}

/// What validation looks at is what the app gets.
fn validate(route: &RouteEntry, rewrite: Option<&Rewrite>, core: &Core<'_>) -> Option<Validate> {
    let seen = rewrite.cloned().map(|rewrite| {
        let also_as_asked = rewrite.takes_prefix_off();
        SeenByApp { path: Arc::new(move |path| rewrite.seen_by_app(path)), also_as_asked }
    });
    Validate::layer(&core.config.validation, &route.validation, &core.shared.validation, seen)
}

/// Where a route's answers are compressed.
struct Compression {
    behind_nonces: Option<Compress>,
    negotiate: Option<Negotiate>,
    in_cache: Option<Compress>,
    /// Where nothing is: what compresses does that itself.
    own_tags: Option<OwnTags>,
}

/// Nonces are put into plain pages, so what is sent with them can be compressed only behind that; all else below the cache.
fn compression(route: &RouteEntry, nonces: bool, caches: bool, core: &Core<'_>) -> Compression {
    let policy = route.cache.compression.as_ref().unwrap_or(&core.config.cache.compression).policy();
    let negotiate = policy.as_ref().filter(|_| caches && !nonces).map(Negotiate::layer);
    let own_tags = policy.is_none().then_some(OwnTags);
    let compress = policy.map(|policy| Compress::layer(policy, &core.encoders));
    let (behind_nonces, in_cache) = if nonces { (compress, None) } else { (None, compress) };
    Compression { behind_nonces, negotiate, in_cache, own_tags }
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
