//! `seaworthy run`: the rooms are built, joined, started in order, and stopped in the reverse order.
//!
//! Order of start: log and metrics → sockets → edge (503 at first) → app → admin API, announced when the app is well. Of
//! stop: not ready → the edge finishes its requests → app → admin API → log.

mod app;
mod doors;
mod facts;
mod overrides;
mod reload;
mod signals;

use std::{
    io::{self, IsTerminal},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use app::App;
use facts::Announced;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reload::Reloader;
use seaworthy_console::{Admin, AppApi, AppFacts, Facts};
use seaworthy_core::{Condition, Readiness, Shutdown};
use seaworthy_edge::{Server, ServerSettings, Upstream};
use seaworthy_identity::Tokens;
use seaworthy_observability::{AccessLog, AppLog, LogSink, MetricsExport, init_logging};
use seaworthy_protection::{Guesses, RateLimits};
use seaworthy_store::Redis;
use seaworthy_uploads::Uploads;
use seaworthy_validation::Validation;
use signals::Signals;
use tokio::{runtime, time::sleep};

use crate::{
    cli::RunArguments,
    config::{Config, ConfigSource},
    failure::Failure,
    pipeline::{self, Shared},
    trial,
};

/// How long the announcement waits for the document that requests are compared with.
const DOCUMENT_PATIENCE: Duration = Duration::from_secs(20);

/// Runs until a signal says otherwise.
pub fn main(arguments: RunArguments) -> Result<ExitCode, Failure> {
    let json = arguments.json;
    let source = overrides::source(arguments)?;
    let config = overrides::load(&source)?;
    let open_files = raise_file_limit();
    let log = init_logging(&config.observability).map_err(|error| Failure::new("SEA_RUN_LOG", &error))?;
    // The control plane: admin API, supervision, signals. The data plane has threads of its own.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("SEA_RUN_RUNTIME", &error))?;
    let outcome = runtime.block_on(run(source, config, Limits { open_files, json }, log.clone()));
    // What a terminal that is gone does not take is not waited for.
    log.flush(Duration::from_secs(1));
    outcome
}

/// Each connection is a file, and the default limit is for interactive programs. Returns the limit that holds.
fn raise_file_limit() -> usize {
    const USUAL: u64 = 1024;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return USUAL as usize };
    // Refused, it stays as it was.
    let limit = if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

async fn run(source: ConfigSource, config: Config, limits: Limits, operational: LogSink) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    let export = MetricsExport::install().map_err(|error| Failure::new("SEA_RUN_METRICS", &error))?;
    let (doors, addresses) = doors::open(&config)?;
    let tls = doors.tls.as_ref().map(|(_, tls)| tls.clone());
    let admin = Admin::bind(&config.admin).await.map_err(|error| Failure::new("SEA_RUN_ADMIN", &error))?;
    let app_api = AppApi::bind().await.map_err(|error| Failure::new("SEA_RUN_APP_API", &error))?;
    let log = access_log(&config)?;

    let readiness = Readiness::default();
    let edge_ready = readiness.declare("edge", "the listeners");
    let control = Shutdown::new();
    control.spawn(export.clone().run(control.clone()));
    if let Some(tls) = tls.clone() {
        control.spawn(tls.run(None, control.clone()));
    }
    let upstream = Arc::new(Upstream::new(config.edge.balance));
    let grace = config.app.stop_timeout.0;
    let settings = ServerSettings { edge: config.edge.clone(), grace, open_files: limits.open_files };
    let drain = Shutdown::new();
    let shared = share(&config, log.as_ref().map(|(log, _)| log.clone()), &control).await?;
    // Until the app is well, requests are answered 503 with Retry-After: better than a connection that hangs.
    let known = shared.clone();
    let server = Server::start(doors, &settings, &upstream, drain.clone(), |pool, tasks| {
        pipeline::table(&config, &shared, pool, tasks)
    });
    let (server, reload) = server.map_err(|error| Failure::new("SEA_RUN_EDGE", &error))?;
    edge_ready.set(Condition::Ready);
    let output = Arc::new(AppLog::new(operational, &config.observability));
    let credentials = (app_api.url(), app_api.token());
    let app = App::start(&config, &readiness, upstream, output, credentials.clone())?;
    control.spawn(known.validation.clone().run(app.instances(), control.clone()));
    let files = source.files().into_iter().filter(|path| path.exists()).collect();
    let reloader =
        Reloader { source, files, shared, edge: reload, tls, app: app.handle(), credentials, control: control.clone() };
    let state = reloader.watch(config.clone(), control.clone())?;

    let instances = app.instances();
    let cache = Arc::new(known.cache.clone());
    let app_facts = AppFacts { readiness: readiness.clone(), instances: instances.clone(), cache };
    let metrics = facts::metrics(export, log.as_ref().map(|(_, sink)| sink.clone()));
    let facts = facts::all(&config, &known, (readiness.clone(), instances, metrics), addresses.clone(), state);
    let announced = Announced { edge: addresses, admin: admin.address() };
    serve_operators((admin, facts), (app_api, app_facts), &control);

    let drain_delay = config.edge.drain_delay.0;
    let node = Node { server, announced, app, validation: known.validation, readiness, drain, drain_delay };
    let outcome = node.serve(&mut signals, limits.json).await;
    control.begin();
    control.finished(sleep(Duration::from_secs(2))).await;
    if let Some((_, sink)) = &log
        && !sink.flush(Duration::from_secs(2))
    {
        tracing::warn!("the access log could not be written to its end");
    }
    outcome
}

/// What all pipelines have together; its tasks belong to `control`.
async fn share(config: &Config, log: Option<AccessLog>, control: &Shutdown) -> Result<Shared, Failure> {
    let tokens = Tokens::new(trial::tokens(config)?);
    control.spawn(tokens.clone().run(control.clone()));
    let store = Redis::build(&config.store, &node_name());
    let store = store.map_err(|error| Failure::new("SEA_RUN_STORE", &error).with_status(2))?;
    if let Some(store) = store.clone() {
        control.spawn(store.run(control.clone()));
    }
    let (limits, guesses) = (RateLimits::shared(store.clone()), Guesses::shared(store.clone()));
    let validation = Validation::default();
    validation.replace(trial::document(config)?);
    let uploads = Uploads::new(config.uploads.clone());
    control.spawn(uploads.clone().run(control.clone()));
    let shared = Shared { log, limits, guesses, store, tokens, validation, uploads, ..Shared::default() };
    open_idempotency(config, &shared, control).await?;
    shared.cache.open_tiers(&config.cache, shared.store.as_ref(), control).await;
    Ok(shared)
}

/// Tells this node from others in the store; only while it runs.
fn node_name() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Opens the store of idempotency keys, where a route looks at them.
async fn open_idempotency(config: &Config, shared: &Shared, control: &Shutdown) -> Result<(), Failure> {
    if !config.has_idempotency() {
        return Ok(());
    }
    let opened = shared.idempotency.open(&config.api.idempotency_store, control).await;
    opened.map_err(|error| Failure::new("SEA_RUN_IDEMPOTENCY", &error))
}

/// The admin API and the app API, each in a task.
fn serve_operators(admin: (Admin, Facts), app_api: (AppApi, AppFacts), control: &Shutdown) {
    let (admin_order, app_order) = (control.clone(), control.clone());
    control.spawn(async move {
        if let Err(error) = admin.0.run(admin.1, admin_order).await {
            tracing::error!(%error, "the admin listener failed");
        }
    });
    control.spawn(async move {
        if let Err(error) = app_api.0.run(app_api.1, app_order).await {
            tracing::error!(%error, "the app API failed");
        }
    });
}

/// What the process was given besides the config.
struct Limits {
    open_files: usize,
    json: bool,
}

/// What runs, and what it takes to stop it.
struct Node {
    server: Server,
    announced: Announced,
    app: App,
    validation: Validation,
    readiness: Readiness,
    drain: Shutdown,
    drain_delay: Duration,
}

impl Node {
    /// From the start of the app to the last request.
    async fn serve(mut self, signals: &mut Signals, json: bool) -> Result<ExitCode, Failure> {
        let mut ended = std::pin::pin!(self.server.ended());
        let running = async {
            self.app.well().await?;
            self.validation.tried(DOCUMENT_PATIENCE).await;
            self.announced.print(json);
            Err(self.app.failed().await)
        };
        tokio::select! {
            biased;
            () = signals.first() => {}
            failed = running => return failed,
            left = ended.as_mut() => {
                let reason = left.err().map_or_else(|| "unknown".to_owned(), |error| error.to_string());
                return Err(Failure::text("SEA_RUN_EDGE", format!("the edge stopped by itself: {reason}")));
            }
        }
        let draining = self.readiness.declare("drain", "");
        draining.set(Condition::Failed("shutting down".into()));
        tracing::info!("draining: requests in flight finish; a second signal ends at once");
        tokio::select! {
            // Balancers that ask `/readyz` now and then learn it before they meet a closed door.
            () = sleep(self.drain_delay) => {}
            () = signals.second() => return Ok(ExitCode::from(130)),
        }
        self.drain.begin();
        tokio::select! {
            stopped = stop(ended, &mut self.app) => stopped.map(|()| ExitCode::SUCCESS),
            () = signals.second() => Ok(ExitCode::from(130)),
        }
    }
}

/// The edge finishes its requests, and then the app stops.
async fn stop(edge: impl Future<Output = io::Result<usize>>, app: &mut App) -> Result<(), Failure> {
    match edge.await {
        Ok(0) => tracing::info!("every request was answered"),
        Ok(cut) => tracing::warn!(cut, "the grace period is over: connections were cut"),
        Err(error) => tracing::error!(%error, "the edge failed while draining"),
    }
    app.stop().await
}

fn access_log(config: &Config) -> Result<Option<(AccessLog, LogSink)>, Failure> {
    let settings = &config.observability;
    let (sink, terminal) = match settings.access_log.as_str() {
        "off" => return Ok(None),
        "stdout" => (LogSink::stdout(), io::stdout().is_terminal()),
        path => (LogSink::file(Path::new(path)), false),
    };
    let sink = sink.map_err(|error| {
        let text =
            format!("cannot write the access log to {}: {error}; choose another --access-log", settings.access_log);
        Failure::text("SEA_RUN_ACCESS_LOG", text)
    })?;
    Ok(Some((AccessLog::new(sink.clone(), settings.line_format(terminal)), sink)))
}
