//! `seaworthy run`: the rooms are built, joined, started in order, and stopped in the reverse order.
//!
//! Order of start: log and metrics → sockets → edge (503 at first) → admin API → app, announced when it is well. Of stop: not ready → the edge
//! finishes its requests → app → admin API → log.

mod app;
mod overrides;
mod signals;

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use app::App;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seaworthy_console::{Admin, Facts};
use seaworthy_core::{Condition, Readiness, Shutdown};
use seaworthy_edge::{Doors, Listeners, Server, ServerSettings, Upstream};
use seaworthy_observability::{AccessLog, AppLog, LogSink, MetricsExport, init_logging};
use serde_json::json;
use signals::{Signals, outlive_hangups};
use tokio::{runtime, time::sleep};

use crate::{cli::RunArguments, config::Config, failure::Failure, pipeline, terminal};

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
    let outcome = runtime.block_on(run(config, open_files, json, log.clone()));
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

async fn run(config: Config, open_files: usize, json: bool, operational: LogSink) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    let listeners = listen(&config)?;
    let admin = Admin::bind(&config.admin).await.map_err(|error| Failure::new("SEA_RUN_ADMIN", &error))?;
    let export = MetricsExport::install().map_err(|error| Failure::new("SEA_RUN_METRICS", &error))?;
    let log = access_log(&config)?;

    let readiness = Readiness::default();
    let edge_ready = readiness.declare("edge", "the listeners");
    let control = Shutdown::new();
    control.spawn(export.clone().run(control.clone()));
    control.spawn(outlive_hangups(control.clone()));
    let upstream = Arc::new(Upstream::new(config.edge.balance));
    let settings = ServerSettings { edge: config.edge.clone(), grace: config.app.stop_timeout.0, open_files };
    let (drain, listen) = (Shutdown::new(), listeners.address());
    // Until the app is well, requests are answered 503 with Retry-After: better than a connection that hangs.
    let doors = Doors { plain: listeners, tls: None };
    let server = Server::start(doors, &settings, &upstream, drain.clone(), |pool, tasks| {
        pipeline::table(&config, log.as_ref().map(|(log, _)| log), pool, tasks)
    });
    let (server, _reload) = server.map_err(|error| Failure::new("SEA_RUN_EDGE", &error))?;
    edge_ready.set(Condition::Ready);
    let output = Arc::new(AppLog::new(operational, &config.observability));
    let app = App::start(&config, &readiness, upstream, output, None)?;
    let dropped = log.as_ref().map(|(_, sink)| sink.clone());
    let facts = Facts {
        readiness: readiness.clone(),
        instances: app.instances(),
        metrics: Arc::new(move || {
            metrics::counter!("seaworthy_access_log_dropped_lines_total")
                .absolute(dropped.as_ref().map_or(0, LogSink::dropped));
            export.render()
        }),
        fixed: fixed_facts(&config, listen),
    };
    let addresses = (listen, admin.address());
    let admin_order = control.clone();
    control.spawn(async move {
        if let Err(error) = admin.run(facts, admin_order).await {
            tracing::error!(%error, "the admin listener failed");
        }
    });

    let node = Node { server, addresses, app, readiness, drain };
    let outcome = node.serve(&mut signals, json).await;
    control.begin();
    control.finished(sleep(Duration::from_secs(2))).await;
    if let Some((_, sink)) = &log
        && !sink.flush(Duration::from_secs(2))
    {
        tracing::warn!("the access log could not be written to its end");
    }
    outcome
}

/// What runs, and what it takes to stop it.
struct Node {
    server: Server,
    /// Of the edge and of the admin API.
    addresses: (SocketAddr, SocketAddr),
    app: App,
    readiness: Readiness,
    drain: Shutdown,
}

impl Node {
    /// From the start of the app to the last request.
    async fn serve(mut self, signals: &mut Signals, json: bool) -> Result<ExitCode, Failure> {
        let mut ended = std::pin::pin!(self.server.ended());
        let running = async {
            self.app.well().await?;
            announce(self.addresses.0, self.addresses.1, json);
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
        tracing::info!("draining: no new connections, requests in flight finish");
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

fn listen(config: &Config) -> Result<Listeners, Failure> {
    let cores = match config.edge.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    // Validation has seen that it parses.
    let address = config.edge.plain_address().parse().map_err(|error| Failure::new("SEA_RUN_LISTEN", &error))?;
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
        "profile": config.profile.name(),
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
