//! `seaworthy run`: the rooms are built, joined, started in order, and stopped in the reverse order.
//!
//! Order of start: log and metrics → sockets → admin API → app (until it is well) → edge. Of stop: not ready → the edge
//! finishes its requests → app → admin API → log.

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use seaworthy_console::{Admin, Facts};
use seaworthy_core::{Condition, InstanceSource, NoInstances, Readiness, ReadinessHandle, Shutdown, UpstreamAddress};
use seaworthy_deploy::{Command, Health, Instances, Supervisor, SupervisorError};
use seaworthy_edge::{Listeners, Server, ServerSettings, Upstream};
use seaworthy_observability::{AccessLog, LogSink, MetricsExport, init_logging};
use serde_json::json;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::sleep,
};

use crate::{cli::RunArguments, config::Config, failure::Failure, pipeline, terminal};

/// Runs until a signal says otherwise.
pub fn main(arguments: RunArguments) -> Result<ExitCode, Failure> {
    let json = arguments.json;
    let config = settle(arguments)?;
    init_logging(&config.observability).map_err(|error| Failure::new("SEA_RUN_LOG", &error))?;
    // The control plane: admin API, supervision, signals. The data plane has threads of its own.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("SEA_RUN_RUNTIME", &error))?;
    runtime.block_on(run(config, json))
}

/// File, environment and flags as one config, with an app in it.
fn settle(arguments: RunArguments) -> Result<Config, Failure> {
    let mut config = Config::load(arguments.config.as_deref())?;
    if !arguments.command.is_empty() {
        // Checked word by word: joined to a line, a word with a space would fall apart again.
        Command::new(arguments.command.clone()).map_err(|error| Failure::new("SEA_RUN_COMMAND", &error))?;
        config.app.command = Some(quote(&arguments.command));
        config.app.to = None;
    }
    if let Some(to) = arguments.to {
        config.app.to = Some(to);
        config.app.command = None;
    }
    config.edge.listen = arguments.listen.unwrap_or(config.edge.listen);
    config.admin.listen = arguments.admin.unwrap_or(config.admin.listen);
    config.app.health = arguments.health.or(config.app.health);
    config.observability.access_log = arguments.access_log.unwrap_or(config.observability.access_log);
    config.validate_overrides()?;
    if config.app.command.is_none() && config.app.to.is_none() {
        let text = "there is no app to run: write `seaworthy run -- COMMAND`, `seaworthy run --to URL`, or a \
                    seaworthy.toml with `command` or `to` in [app]";
        return Err(Failure::text("SEA_RUN_NO_APP", text).with_status(2));
    }
    Ok(config)
}

fn quote(words: &[String]) -> String {
    words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" ")
}

async fn run(config: Config, json: bool) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    let listeners = listen(&config)?;
    let admin = Admin::bind(&config.admin).await.map_err(|error| Failure::new("SEA_RUN_ADMIN", &error))?;
    let metrics = MetricsExport::install().map_err(|error| Failure::new("SEA_RUN_METRICS", &error))?;
    let log = access_log(&config)?;

    let readiness = Readiness::default();
    let edge_ready = readiness.declare("edge", "waits for the app");
    let control = Shutdown::new();
    control.spawn(metrics.clone().run(control.clone()));
    let upstream = Arc::new(Upstream::default());
    let app = App::start(&config, &readiness, &upstream)?;
    let facts = Facts {
        readiness: readiness.clone(),
        instances: app.instances.clone(),
        metrics: Arc::new(move || metrics.render()),
        fixed: fixed_facts(&config, listeners.address()),
    };
    let admin_address = admin.address();
    let admin_order = control.clone();
    control.spawn(async move {
        if let Err(error) = admin.run(facts, admin_order).await {
            tracing::error!(%error, "the admin listener failed");
        }
    });

    let node = Node { listeners, admin: admin_address, app, upstream, readiness, edge_ready, log: log.clone() };
    let outcome = node.serve(&config, &mut signals, json).await;
    control.begin();
    control.finished(sleep(Duration::from_secs(2))).await;
    if let Some((_, sink)) = &log
        && !sink.flush(Duration::from_secs(2))
    {
        tracing::warn!("the access log could not be written to its end");
    }
    outcome
}

/// Everything that was built, before it serves.
struct Node {
    listeners: Listeners,
    admin: SocketAddr,
    app: App,
    upstream: Arc<Upstream>,
    readiness: Readiness,
    edge_ready: ReadinessHandle,
    log: Option<(AccessLog, LogSink)>,
}

impl Node {
    /// From the first healthy answer of the app to the last request.
    async fn serve(mut self, config: &Config, signals: &mut Signals, json: bool) -> Result<ExitCode, Failure> {
        tokio::select! {
            biased;
            () = signals.first() => return self.app.stop().await.map(|()| ExitCode::SUCCESS),
            well = self.app.well() => well?,
        }
        let settings = ServerSettings { timeouts: config.edge.timeouts, grace: config.app.stop_timeout.0 };
        let drain = Shutdown::new();
        let log = self.log.as_ref().map(|(log, _)| log);
        let server = Server::start(self.listeners, &settings, &self.upstream, drain.clone(), |pool, tasks| {
            pipeline::table(config, log, pool, tasks)
        });
        let server = server.map_err(|error| Failure::new("SEA_RUN_EDGE", &error))?;
        self.edge_ready.set(Condition::Ready);
        announce(server.address(), self.admin, json);
        let mut ended = std::pin::pin!(server.ended());
        tokio::select! {
            () = signals.first() => {}
            failed = self.app.failed() => return Err(failed),
            left = ended.as_mut() => {
                let reason = left.err().map_or_else(|| "unknown".to_owned(), |error| error.to_string());
                return Err(Failure::text("SEA_RUN_EDGE", format!("the edge stopped by itself: {reason}")));
            }
        }
        let draining = self.readiness.declare("drain", "");
        draining.set(Condition::Failed("shutting down".into()));
        tracing::info!("draining: no new connections, requests in flight finish");
        drain.begin();
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

fn listen(config: &Config) -> Result<Listeners, Failure> {
    let cores = match config.edge.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    // Validation has seen that it parses.
    let address = config.edge.listen.parse().map_err(|error| Failure::new("SEA_RUN_LISTEN", &error))?;
    Listeners::bind(address, cores).map_err(|error| Failure::new("SEA_RUN_LISTEN", &error))
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

/// What `check` may know without trusting our word for anything: where things are and which limits are claimed.
fn fixed_facts(config: &Config, listen: SocketAddr) -> serde_json::Value {
    let log = &config.observability.access_log;
    let log = match log.as_str() {
        "off" | "stdout" => log.clone(),
        path => std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string()),
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listen": listen.to_string(),
        "access_log": log,
        "limits": {
            "body_bytes": config.protection.body_limit.0,
            "request_head_ms": config.edge.timeouts.request_head.0.as_millis() as u64,
            "first_byte_ms": config.edge.timeouts.first_byte.0.as_millis() as u64,
        },
    })
}

fn announce(listen: SocketAddr, admin: SocketAddr, as_json: bool) {
    if as_json {
        let line = json!({
            "listen": listen.to_string(),
            "admin": admin.to_string(),
            "url": format!("http://{listen}"),
            "admin_url": format!("http://{admin}"),
        });
        terminal::line(&line.to_string());
    } else {
        terminal::line(&format!(
            "serving  http://{listen}\nadmin    http://{admin}  (/healthz /readyz /metrics /status)"
        ));
    }
}

/// The app, however it came to be there.
struct App {
    instances: Arc<dyn InstanceSource>,
    order: Shutdown,
    well: watch::Receiver<bool>,
    result: tokio::sync::oneshot::Receiver<Result<(), SupervisorError>>,
}

impl App {
    fn start(config: &Config, readiness: &Readiness, upstream: &Arc<Upstream>) -> Result<Self, Failure> {
        let ready = readiness.declare("app", "waits for the app's health");
        let health = config.app.health.clone().map_or(Health::Connect, Health::Path);
        let (well_sender, well) = watch::channel(false);
        let (result_sender, result) = tokio::sync::oneshot::channel();
        let order = Shutdown::new();
        let (upstream, app_order) = (upstream.clone(), order.clone());
        if let Some(to) = &config.app.to {
            let address: UpstreamAddress =
                to.parse().map_err(|error| Failure::new("SEA_RUN_TO", &error).with_status(2))?;
            order.spawn(async move {
                watch_address(address, health, &app_order, &ready, &upstream, &well_sender).await;
                let _ = result_sender.send(Ok(()));
            });
            return Ok(Self { instances: Arc::new(NoInstances), order, well, result });
        }
        let command = Command::parse(config.app.command.as_deref().unwrap_or_default());
        let command = command.map_err(|error| Failure::new("SEA_RUN_COMMAND", &error).with_status(2))?;
        let mut environment = Vec::new();
        for (name, reference) in &config.app.env {
            let value = reference
                .resolve()
                .map_err(|error| Failure::text("SEA_RUN_ENV", format!("app.env.{name}: {error}")).with_status(2))?;
            environment.push((name.clone(), value));
        }
        let supervisor = Supervisor {
            command,
            environment,
            health,
            start_timeout: config.app.start_timeout.0,
            stop_timeout: config.app.stop_timeout.0,
        };
        let instances: Instances = Supervisor::instances();
        let reported = instances.clone();
        order.spawn(async move {
            let traffic = |address: Option<UpstreamAddress>| match address {
                Some(address) => {
                    upstream.open(address);
                    well_sender.send_replace(true);
                }
                None => upstream.close(),
            };
            let ended = supervisor.run(app_order, ready, reported, traffic).await;
            // Whoever waits for it may be gone already.
            let _ = result_sender.send(ended);
        });
        Ok(Self { instances: Arc::new(instances), order, well, result })
    }

    /// Resolves at the first healthy answer.
    async fn well(&mut self) -> Result<(), Failure> {
        tokio::select! {
            well = self.well.wait_for(|well| *well) => if well.is_ok() { return Ok(()) },
            result = &mut self.result => return Err(explain(result)),
        }
        Err(explain((&mut self.result).await))
    }

    /// Resolves only when the app cannot be kept running at all.
    async fn failed(&mut self) -> Failure {
        explain((&mut self.result).await)
    }

    async fn stop(&mut self) -> Result<(), Failure> {
        self.order.begin();
        match (&mut self.result).await {
            Ok(Ok(())) => Ok(()),
            other => Err(explain(other)),
        }
    }
}

fn explain(result: Result<Result<(), SupervisorError>, tokio::sync::oneshot::error::RecvError>) -> Failure {
    match result {
        Ok(Err(error)) => Failure::new("SEA_RUN_APP", &error),
        _ => Failure::text("SEA_RUN_APP", "the supervisor of the app ended by itself; this is a bug of Seaworthy"),
    }
}

/// Keeps asking an app that we do not start; traffic goes there from its first healthy answer on.
async fn watch_address(
    address: UpstreamAddress,
    health: Health,
    order: &Shutdown,
    ready: &ReadinessHandle,
    upstream: &Upstream,
    well: &watch::Sender<bool>,
) {
    const WHILE_UNWELL: Duration = Duration::from_millis(250);
    const WHILE_WELL: Duration = Duration::from_secs(2);
    let mut was_well = None;
    while !order.has_begun() {
        let answer = health.ask(&address).await;
        let is_well = answer.is_ok();
        match answer {
            Ok(()) if was_well != Some(true) => {
                tracing::info!(%address, "app is healthy");
                upstream.open(address.clone());
                ready.set(Condition::Ready);
                well.send_replace(true);
            }
            Err(reason) if was_well != Some(false) => {
                // Requests still go there: a health check that fails is not yet a service that does.
                tracing::warn!(%address, reason, "app is not healthy");
                ready.set(Condition::Failed(reason));
            }
            _ => {}
        }
        was_well = Some(is_well);
        tokio::select! {
            () = order.ordered() => {}
            () = sleep(if is_well { WHILE_WELL } else { WHILE_UNWELL }) => {}
        }
    }
}

/// SIGTERM and SIGINT: the first one drains, the second one ends at once.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new("SEA_RUN_SIGNALS", &error));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn first(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn second(&mut self) {
        self.first().await;
        tracing::warn!("second signal: ending at once");
    }
}
