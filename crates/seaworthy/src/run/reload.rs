//! A new config for a running Seaworthy: taken whole, or refused whole while the old one goes on.
//!
//! Asked for by SIGHUP, or by a change of a file that the config was read from. Requests and WebSockets in flight go on as
//! they began; a new command or environment replaces the instances one by one.

use std::{
    fs,
    io::{self, IsTerminal},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::getpid,
};
use seaworthy_core::{Secret, Shutdown};
use seaworthy_deploy::FleetHandle;
use seaworthy_edge::{Reload, tls::Tls};
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::{app, overrides};
use crate::{
    config::{Config, ConfigSource},
    failure::Failure,
    pipeline::{self, Shared},
    trial,
};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a reload changes.
pub struct Reloader {
    /// What the config is read from.
    pub source: ConfigSource,
    /// The files among those that were there at the start.
    pub files: Vec<PathBuf>,
    /// What new pipelines have together with the old ones.
    pub shared: Shared,
    /// Routes, timeouts, limits.
    pub edge: Reload,
    /// Certificates.
    pub tls: Option<Tls>,
    /// The instances, when there is an app.
    pub app: Option<FleetHandle>,
    /// URL and token of the app API.
    pub credentials: (String, Secret),
    /// Whose tasks outlive a reload.
    pub control: Shutdown,
}

/// The config that is in force, and what came of the last attempt to change it.
pub struct ReloadState {
    config: Mutex<Arc<Config>>,
    last: Mutex<Attempt>,
    edge: Reload,
    tls: Option<Tls>,
}

#[derive(Default)]
struct Attempt {
    reloads: u64,
    refused: u64,
    error: Option<String>,
    /// Keys whose new values wait for a restart.
    restart_needed: Vec<&'static str>,
}

/// What is known of a file without reading it: enough to see that it was written or replaced.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

impl ReloadState {
    /// The config in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Client connections that are open now.
    pub fn connections(&self) -> usize {
        self.edge.connections()
    }

    /// What each host's clients get.
    pub fn certificates(&self) -> Value {
        let reports = self.tls.as_ref().map(Tls::certificates).unwrap_or_default();
        json!(reports)
    }

    /// Counts and the reason of the last refusal, when the last attempt was refused.
    pub fn report(&self) -> Value {
        let last = self.last();
        json!({
            "reloads": last.reloads,
            "refused": last.refused,
            "error": last.error,
            "restart_needed": last.restart_needed,
        })
    }

    fn last(&self) -> MutexGuard<'_, Attempt> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, result: &Result<Config, Failure>, started_with: &Config) {
        let mut last = self.last();
        let outcome = match result {
            Ok(config) => {
                last.reloads += 1;
                last.restart_needed = what_needs_a_restart(started_with, config);
                for key in &last.restart_needed {
                    tracing::warn!(key, "this takes effect after a restart");
                }
                last.error = None;
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config.clone());
                "applied"
            }
            Err(failure) => {
                last.refused += 1;
                last.error = Some(failure.to_string());
                "refused"
            }
        };
        metrics::counter!("seaworthy_config_reloads_total", "result" => outcome).increment(1);
    }
}

impl Reloader {
    /// Listens to SIGHUP and looks at the files from now on, in a task of `control`.
    pub fn watch(self, config: Config, control: Shutdown) -> Result<Arc<ReloadState>, Failure> {
        let was_terminal = io::stderr().is_terminal();
        let started_with = config.clone();
        let mut hangups = signal(SignalKind::hangup()).map_err(|error| Failure::new("SEA_RUN_SIGNALS", &error))?;
        let state = Arc::new(ReloadState {
            config: Mutex::new(Arc::new(config)),
            last: Mutex::default(),
            edge: self.edge.clone(),
            tls: self.tls.clone(),
        });
        let told = state.clone();
        let order = control.clone();
        control.spawn(async move {
            let (mut seen, mut unread) = (self.look(), false);
            loop {
                let hangup = tokio::select! {
                    () = order.ordered() => return,
                    _ = hangups.recv() => true,
                    () = sleep(LOOK_EVERY) => false,
                };
                if hangup && was_terminal && !io::stderr().is_terminal() {
                    tracing::info!("the terminal is gone: shutting down");
                    // Ourselves; it arrives where every order to stop does.
                    let _ = kill(getpid(), Signal::SIGTERM);
                    continue;
                }
                let before = std::mem::replace(&mut seen, self.look());
                // A file that still changes is being written; only one that rests is read.
                unread |= before != seen;
                if hangup || (unread && before == seen) {
                    unread = false;
                    let asked = if hangup { "SIGHUP" } else { "a changed file" };
                    let result = self.reload(&told.config()).await;
                    told.note(&result, &started_with);
                    match result {
                        Ok(_) => tracing::info!(asked, "config reloaded"),
                        Err(failure) => {
                            tracing::error!(asked, error = %failure, "config refused, the one before stays in force");
                        }
                    }
                }
            }
        });
        Ok(state)
    }

    /// Reads, checks and applies. Whatever can fail is tried before anything is changed.
    async fn reload(&self, old: &Config) -> Result<Config, Failure> {
        self.refuse_lost_files()?;
        let new = overrides::load(&self.source)?;
        if old.has_app() != new.has_app() {
            let text = "an app that comes or goes needs a restart: it is started and stopped with Seaworthy";
            return Err(Failure::text("SEA_RUN_RESTART_NEEDED", text));
        }
        // Loading has tried the routes; a trial of certificates leaves nothing behind.
        trial::certificates(&new)?;
        let trusted = trial::tokens(&new)?;
        super::open_idempotency(&new, &self.shared, &self.control).await?;
        let document = trial::document(&new)?;
        if let Some(app) = &self.app {
            let plan = app::plan(&new, self.credentials.clone())?;
            app.reconfigure(plan).await.map_err(|error| Failure::new("SEA_RUN_APP", &error))?;
        }
        if let Some(tls) = &self.tls {
            let (edge, acme) = (&new.edge, new.edge.acme());
            let replaced = tls.replace(&edge.hosts, &edge.tls, acme.as_ref(), new.profile.is_production());
            if let Err(error) = replaced {
                // It was there a moment ago; the instances go back to what they were.
                if let Some(app) = &self.app {
                    let back = app.reconfigure(app::plan(old, self.credentials.clone())?).await;
                    back.map_err(|error| Failure::new("SEA_RUN_APP", &error))?;
                }
                return Err(Failure::text(error.code(), error.to_string()));
            }
        }
        // First: a route that asks for tokens must not meet the old keys.
        self.shared.tokens.replace(trusted);
        let table = |pool: &_, tasks: &_| pipeline::table(&new, &self.shared, pool, tasks);
        if let Err(error) = self.edge.apply(&new.edge, table) {
            self.shared.tokens.replace(trial::tokens(old)?);
            return Err(Failure::new("SEA_RUN_EDGE", &error));
        }
        self.shared.validation.replace(document);
        self.shared.cache.open_tiers(&new.cache, self.shared.store.as_ref(), &self.control).await;
        Ok(new)
    }

    fn look(&self) -> Vec<(PathBuf, Stamp)> {
        let stamp = |path: &PathBuf| {
            let found = fs::metadata(path).ok()?;
            Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec(), found.len()))
        };
        self.source.files().into_iter().map(|path| (path.clone(), stamp(&path))).collect()
    }

    /// A file that the config in force was read from, and that is gone or empty now, is no wish for the defaults.
    fn refuse_lost_files(&self) -> Result<(), Failure> {
        let is_lost = |path: &&PathBuf| fs::metadata(path).map_or(true, |found| found.len() == 0);
        match self.files.iter().find(is_lost) {
            None => Ok(()),
            Some(path) => {
                let text = format!("{} is gone or empty; put it back, or restart to run without it", path.display());
                Err(Failure::text("SEA_RUN_CONFIG_LOST", text))
            }
        }
    }
}

/// Sockets, threads and sinks stay as they were made.
fn what_needs_a_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (old_log, new_log) = (&old.observability, &new.observability);
    let changed = [
        ("edge.listen", old.edge.plain_address() != new.edge.plain_address()),
        ("edge.https", old.edge.https_address() != new.edge.https_address()),
        ("edge.workers", old.edge.workers != new.edge.workers),
        ("api.idempotency_store", old.api.idempotency_store != new.api.idempotency_store),
        ("cache.shared", old.cache.shared != new.cache.shared),
        ("cache.disk_path", old.cache.disk_path != new.cache.disk_path),
        ("admin", (&old.admin.listen, &old.admin.socket) != (&new.admin.listen, &new.admin.socket)),
        ("observability.access_log", old_log.access_log != new_log.access_log),
        ("observability.level", old_log.level != new_log.level),
        ("observability.format", old_log.format != new_log.format),
        ("store", format!("{:?}", old.store) != format!("{:?}", new.store)),
        ("uploads", old.uploads != new.uploads),
        ("app.stop_timeout", old.app.stop_timeout != new.app.stop_timeout),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}
