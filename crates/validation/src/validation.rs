//! The document in force, shared by the pipelines of all cores: read from a file, or asked of the app when it is ready and
//! again when its instances change.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;
use seaworthy_core::{InstanceSource, InstanceState, Shutdown, UpstreamAddress};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::{
    contract::{Contract, DocumentError},
    fetch,
    observed::Observed,
    settings::{DocumentPlace, Mode, Settings},
};

/// How often it is looked whether the instances are still the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An app that we do not supervise may be replaced without our seeing it.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// After a failure.
const RETRY: Duration = Duration::from_secs(5);
/// A document that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A handle; clones share the document and what was counted.
#[derive(Debug, Clone, Default)]
pub struct Validation(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    current: ArcSwapOption<Contract>,
    observed: Observed,
    wanted: Mutex<Wanted>,
    state: Mutex<State>,
    /// Whether the document was asked for at least once, or need not be.
    tried: watch::Sender<bool>,
}

/// What the config says.
#[derive(Debug, Clone, Default, PartialEq)]
struct Wanted {
    place: Option<DocumentPlace>,
    formats: bool,
    mode: Mode,
}

#[derive(Debug, Default)]
struct State {
    hash: Option<u64>,
    error: Option<String>,
}

/// A config whose file was read, ready to be put in force.
#[derive(Debug)]
pub struct Prepared {
    wanted: Wanted,
    file: Option<Bytes>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            observed: Observed::default(),
            wanted: Mutex::default(),
            state: Mutex::default(),
            tried: watch::Sender::new(false),
        }
    }
}

impl Prepared {
    /// Reads the document where it is a file, and sees whether it can be used.
    ///
    /// # Errors
    /// It is not there, or wrong.
    pub fn read(settings: &Settings) -> Result<Self, DocumentError> {
        let wanted = Wanted { place: settings.place(), formats: settings.formats, mode: settings.mode };
        let file = match &wanted.place {
            Some(DocumentPlace::File(path)) => {
                let read = std::fs::read(path);
                let bytes = read.map_err(|error| DocumentError::Unreadable(path.clone(), error.to_string()))?;
                Contract::read(&bytes, wanted.formats, "/", &Observed::default())?;
                Some(Bytes::from(bytes))
            }
            _ => None,
        };
        Ok(Self { wanted, file })
    }
}

impl Validation {
    /// Puts a config in force. A document of the app that is there stays until it is asked for again.
    pub fn replace(&self, prepared: Prepared) {
        let before = std::mem::replace(&mut *locked(&self.0.wanted), prepared.wanted.clone());
        if before.place != prepared.wanted.place || prepared.wanted.place.is_none() {
            self.0.current.store(None);
        }
        if before != prepared.wanted || prepared.file.is_some() {
            *locked(&self.0.state) = State::default();
        }
        match prepared.file {
            // It was read once already, so it can be again.
            Some(bytes) => self.install(&bytes, prepared.wanted.formats, "/"),
            None => _ = self.0.tried.send_replace(prepared.wanted.place.is_none()),
        }
    }

    /// What requests are compared with.
    pub(crate) fn current(&self) -> Guard<Option<Arc<Contract>>> {
        self.0.current.load()
    }

    /// What was counted.
    pub fn observed(&self) -> &Observed {
        &self.0.observed
    }

    /// For the admin API.
    pub fn report(&self) -> Value {
        let mut report = self.0.observed.report();
        let wanted = locked(&self.0.wanted).clone();
        report["document"] = match wanted.place {
            Some(DocumentPlace::File(path)) => path.into(),
            Some(DocumentPlace::App(path)) => format!("{path} of the app").into(),
            None => Value::Null,
        };
        report["mode"] = json!(match wanted.mode {
            Mode::Off => "off",
            Mode::Report => "report",
            Mode::Enforce => "enforce",
        });
        let current = self.0.current.load();
        report["loaded"] = current.is_some().into();
        report["not_judged"] =
            json!(current.as_ref().map(|contract| contract.not_judged.as_slice()).unwrap_or_default());
        report["error"] = json!(locked(&self.0.state).error);
        report
    }

    /// Waits until the document is there, or could not be had at the first try, or so long.
    pub async fn tried(&self, patience: Duration) {
        let mut tried = self.0.tried.subscribe();
        // In time or not: requests are answered then as the mode says.
        let _ = timeout(patience, tried.wait_for(|tried| *tried)).await;
    }

    /// Keeps the app's document current, until the order to stop.
    pub async fn run(self, instances: Arc<dyn InstanceSource>, shutdown: Shutdown) {
        let mut last: Option<(Wanted, Vec<String>, Instant)> = None;
        loop {
            tokio::select! {
                () = shutdown.ordered() => return,
                () = sleep(if last.is_some() { LOOK_EVERY } else { Duration::from_millis(50) }) => {}
            }
            let wanted = locked(&self.0.wanted).clone();
            let Some(DocumentPlace::App(path)) = wanted.place.clone() else {
                last = Some((wanted, Vec::new(), Instant::now()));
                continue;
            };
            let ready = ready(instances.as_ref());
            let failed = locked(&self.0.state).error.is_some();
            let again = if failed { RETRY } else { ASK_AGAIN };
            let is_known = last
                .as_ref()
                .is_some_and(|(config, before, at)| *config == wanted && *before == ready.0 && at.elapsed() < again);
            if ready.1.is_empty() || is_known {
                continue;
            }
            self.ask(&path, &wanted, &ready.1).await;
            last = Some((wanted, ready.0, Instant::now()));
        }
    }

    async fn ask(&self, path: &str, wanted: &Wanted, addresses: &[UpstreamAddress]) {
        let mut result = Err("no instance is ready".to_owned());
        for address in addresses.iter().take(3) {
            result = fetch::get(address, path, PATIENCE).await.map_err(|error| error.to_string());
            if result.is_ok() {
                break;
            }
        }
        match result {
            Ok(bytes) => {
                let (this, formats, path) = (self.clone(), wanted.formats, path.to_owned());
                // A large document takes a while to be made ready.
                if let Err(error) = spawn_blocking(move || this.install(&bytes, formats, &path)).await {
                    self.failed(format!("the OpenAPI document could not be made ready: {error}"));
                }
            }
            Err(error) => self.failed(DocumentError::Unreadable(format!("{path} of the app"), error).to_string()),
        }
        self.0.tried.send_replace(true);
    }

    fn install(&self, bytes: &[u8], formats: bool, base: &str) {
        let mut hasher = DefaultHasher::new();
        (bytes, formats, base).hash(&mut hasher);
        let hash = hasher.finish();
        if locked(&self.0.state).hash == Some(hash) && self.0.current.load().is_some() {
            locked(&self.0.state).error = None;
            return;
        }
        match Contract::read(bytes, formats, base, &self.0.observed) {
            Ok(contract) => {
                let count = contract.operations.len();
                self.0.observed.keep(|known| contract.operations.iter().any(|one| Arc::ptr_eq(&one.counts, known)));
                self.0.current.store(Some(Arc::new(contract)));
                *locked(&self.0.state) = State { hash: Some(hash), error: None };
                tracing::info!(operations = count, "the OpenAPI document is in force");
            }
            Err(error) => self.failed(error.to_string()),
        }
        self.0.tried.send_replace(true);
    }

    /// The document before, if there was one, stays in force.
    fn failed(&self, error: String) {
        let mut state = locked(&self.0.state);
        if state.error.as_ref() != Some(&error) {
            let kept = self.0.current.load().is_some();
            tracing::error!(%error, kept, "no new OpenAPI document");
        }
        state.error = Some(error);
    }
}

/// Which processes are ready, and where.
fn ready(instances: &dyn InstanceSource) -> (Vec<String>, Vec<UpstreamAddress>) {
    let ready = instances.instances().into_iter().filter(|one| one.state == InstanceState::Ready);
    let named = ready.filter_map(|one| {
        let address = one.address.parse().ok()?;
        Some((format!("{} {:?} {}", one.id, one.pid, one.address), address))
    });
    named.unzip()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
