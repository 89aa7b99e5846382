//! A new config for a running Seaworthy: taken whole, or refused whole while the old one goes on.
//!
//! Asked for by SIGHUP, or by a change of a file that the config was read from. Requests and WebSockets in flight go on as
//! they began; a new command, environment or memory limit replaces the instances one by one.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use seaworthy_core::{Secret, Shutdown};
use seaworthy_deploy::FleetHandle;
use seaworthy_edge::{Reload, tls::Tls};
use seaworthy_observability::AccessLog;
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::{app, doors, overrides};
use crate::{
    config::{Config, ConfigSource},
    failure::Failure,
    pipeline,
};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a reload changes.
pub struct Reloader {
    /// What the config is read from.
    pub source: ConfigSource,
    /// The access log that new pipelines write to.
    pub access: Option<AccessLog>,
    /// Routes, timeouts, limits.
    pub edge: Reload,
    /// Certificates.
    pub tls: Option<Tls>,
    /// The instances, when there is an app.
    pub app: Option<FleetHandle>,
    /// URL and token of the app API.
    pub credentials: (String, Secret),
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
}

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
        json!({ "reloads": last.reloads, "refused": last.refused, "error": last.error })
    }

    fn last(&self) -> MutexGuard<'_, Attempt> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, result: &Result<Config, Failure>) {
        let mut last = self.last();
        let outcome = match result {
            Ok(config) => {
                last.reloads += 1;
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
            let mut seen = self.look();
            loop {
                let asked = tokio::select! {
                    () = order.ordered() => return,
                    _ = hangups.recv() => "SIGHUP",
                    () = sleep(LOOK_EVERY) => "a changed file",
                };
                let now = self.look();
                let changed = now != seen;
                seen = now;
                if asked == "SIGHUP" || changed {
                    let result = self.reload(&told.config()).await;
                    told.note(&result);
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
        let new = overrides::load(&self.source)?;
        note_what_needs_a_restart(old, &new);
        let table = |pool: &_, tasks: &_| pipeline::table(&new, self.access.as_ref(), pool, tasks);
        self.edge.check(table).map_err(|error| Failure::new("SEA_RUN_EDGE", &error))?;
        if self.tls.is_some() {
            doors::certificates(&new)?;
        }
        if let Some(app) = &self.app
            && app::is_named(&new)
        {
            let plan = app::plan(&new, self.credentials.clone())?;
            app.reconfigure(plan).await.map_err(|error| Failure::new("SEA_RUN_APP", &error))?;
        }
        if let Some(tls) = &self.tls {
            let (edge, acme) = (&new.edge, new.edge.acme());
            let replaced = tls.replace(&edge.hosts, &edge.tls, acme.as_ref(), new.profile.is_production());
            replaced.map_err(|error| Failure::text(error.code(), error.to_string()))?;
        }
        self.edge.apply(&new.edge, table).map_err(|error| Failure::new("SEA_RUN_EDGE", &error))?;
        Ok(new)
    }

    /// When each file was last changed, and how large it is.
    fn look(&self) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
        let stamp = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.source.files().into_iter().map(|path| (path.clone(), stamp(&path))).collect()
    }
}

/// Sockets and threads stay as they were made.
fn note_what_needs_a_restart(old: &Config, new: &Config) {
    let changed = [
        ("edge.listen", old.edge.plain_address() != new.edge.plain_address()),
        ("edge.https", old.edge.https_address() != new.edge.https_address()),
        ("edge.workers", old.edge.workers != new.edge.workers),
        ("admin", (&old.admin.listen, &old.admin.socket) != (&new.admin.listen, &new.admin.socket)),
        ("observability.access_log", old.observability.access_log != new.observability.access_log),
        ("app", app::is_named(old) != app::is_named(new)),
    ];
    for (key, _) in changed.iter().filter(|(_, changed)| *changed) {
        tracing::warn!(key, "this takes effect after a restart");
    }
}
