//! The keys of the whole process, and the task that keeps them fresh.
//!
//! When the place of a key set does not answer, the keys that are there stay; without any, who asks with a token is told
//! to come back. A token that names a key that is not there causes one fetch, and no more than one in half a minute.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use seaworthy_config::SecretRefError;
use seaworthy_core::{Principal, Shutdown};
use thiserror::Error;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use crate::{
    claims::Rules,
    key::{Key, KeyError},
    settings::{Algorithm, Settings, TokenSettings},
    source::{FETCH_TIMEOUT, Source},
    token::{self, Refusal},
};

/// Fetches that unknown keys cause are at least so far apart: anybody can make up names of keys.
const GAP: Duration = Duration::from_secs(30);
/// After a fetch that failed.
const RETRY: Duration = Duration::from_secs(10);

/// Keys that cannot be had.
#[derive(Debug, Error)]
pub enum TokenError {
    /// A reference that leads nowhere.
    #[error("identity.tokens.keys: {0}")]
    Reference(#[from] SecretRefError),
    /// A key that cannot be used.
    #[error("identity.tokens.keys: key {number}: {error}")]
    Key {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        error: KeyError,
    },
    /// A file with a key set that cannot be used.
    #[error("identity.tokens.jwks: {place}: {reason}")]
    File {
        /// The file.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Verifies tokens. Clones are one.
#[derive(Clone)]
pub struct Tokens(Arc<Shared>);

struct Shared {
    trusted: ArcSwap<Trusted>,
    /// Someone needs a fetch now.
    wanted: Notify,
    /// Counts fetches, also those that failed.
    rounds: watch::Sender<u64>,
    last: Mutex<LastFetch>,
    generation: AtomicU64,
}

#[derive(Default)]
struct LastFetch {
    /// When an unknown key has last caused one.
    asked: Option<Instant>,
    under_way: bool,
}

/// What is trusted at a moment.
pub struct Trusted {
    rules: Rules,
    accepted: Vec<Algorithm>,
    fixed: Arc<Vec<Key>>,
    /// `None`: not there yet.
    fetched: Option<Arc<Vec<Key>>>,
    source: Option<Source>,
    refresh: Duration,
    generation: u64,
}

/// What a token turned out to be.
pub(crate) struct Verified {
    pub principal: Principal,
    /// How much longer the token itself holds.
    pub holds: Duration,
    /// Which state of the keys has said so.
    pub generation: u64,
}

impl Trusted {
    /// Reads keys and files that the settings name; what comes over the network comes later.
    ///
    /// # Errors
    /// A key or a file that cannot be used.
    pub fn read(settings: &Settings) -> Result<Self, TokenError> {
        let settings = &settings.tokens;
        let mut fixed = Vec::new();
        for (index, reference) in settings.keys.iter().enumerate() {
            let secret = reference.resolve()?;
            let key = Key::from_text(secret.expose());
            fixed.push(key.map_err(|error| TokenError::Key { number: index + 1, error })?);
        }
        let source = Source::of(settings);
        let fetched = match &source {
            Some(Source::File(path)) => {
                let keys = Source::read_file(path)
                    .map_err(|reason| TokenError::File { place: path.display().to_string(), reason })?;
                Some(Arc::new(keys))
            }
            _ => None,
        };
        Ok(Self { fetched, source, ..Self::of(settings, fixed) })
    }

    fn of(settings: &TokenSettings, fixed: Vec<Key>) -> Self {
        Self {
            rules: Rules::new(settings),
            accepted: settings.algorithms.clone(),
            fixed: Arc::new(fixed),
            fetched: None,
            source: None,
            refresh: settings.refresh.0,
            generation: 0,
        }
    }

    fn keys(&self) -> impl Iterator<Item = &Key> + Clone {
        self.fixed.iter().chain(self.fetched.iter().flat_map(|keys| keys.iter()))
    }
}

impl Tokens {
    /// Begins with what was read.
    pub fn new(trusted: Trusted) -> Self {
        Self(Arc::new(Shared {
            trusted: ArcSwap::from_pointee(trusted),
            wanted: Notify::new(),
            rounds: watch::Sender::new(0),
            last: Mutex::default(),
            generation: AtomicU64::new(0),
        }))
    }

    /// Goes on with other settings; tokens that were remembered are verified anew. Keys that were fetched from the same
    /// place stay.
    pub fn replace(&self, mut trusted: Trusted) {
        let before = self.0.trusted.load();
        if trusted.fetched.is_none() && trusted.source == before.source {
            trusted.fetched.clone_from(&before.fetched);
        }
        trusted.generation = self.0.generation.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.trusted.store(Arc::new(trusted));
        self.0.wanted.notify_one();
    }

    /// Keeps fetched keys fresh until the end.
    pub async fn run(self, shutdown: Shutdown) {
        loop {
            let pause = self.refresh().await;
            tokio::select! {
                () = shutdown.ordered() => return,
                () = sleep(pause) => {}
                () = self.0.wanted.notified() => {}
            }
        }
    }

    /// Reads the source once, and says when to do it again.
    async fn refresh(&self) -> Duration {
        let trusted = self.0.trusted.load_full();
        let Some(source) = trusted.source.clone() else { return Duration::from_secs(3_600) };
        self.last().under_way = true;
        let read = source.read().await;
        self.last().under_way = false;
        let result = if read.is_ok() { "ok" } else { "failed" };
        metrics::counter!("seaworthy_identity_key_set_fetches_total", "result" => result).increment(1);
        let pause = match read {
            Ok(keys) => {
                self.keep(&source, keys);
                // Not all nodes at once.
                source.refresh(trusted.refresh).mul_f64(fastrand::f64().mul_add(0.2, 0.9))
            }
            Err(reason) => {
                let kept = trusted.fetched.as_ref().map_or(0, |keys| keys.len());
                tracing::error!(from = %source, reason, kept, "no new keys for tokens; those that are there stay");
                RETRY
            }
        };
        self.0.rounds.send_modify(|round| *round += 1);
        pause
    }

    /// Takes fetched keys, unless the settings have changed meanwhile.
    fn keep(&self, source: &Source, keys: Vec<Key>) {
        let keys = Arc::new(keys);
        self.0.trusted.rcu(|now| {
            if now.source.as_ref() != Some(source) {
                return now.clone();
            }
            Arc::new(Trusted {
                rules: now.rules.clone(),
                accepted: now.accepted.clone(),
                fixed: now.fixed.clone(),
                fetched: Some(keys.clone()),
                source: now.source.clone(),
                refresh: now.refresh,
                generation: self.0.generation.fetch_add(1, Ordering::Relaxed) + 1,
            })
        });
    }

    fn last(&self) -> std::sync::MutexGuard<'_, LastFetch> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which state of the keys is in force: what an older one has said no longer counts.
    pub(crate) fn generation(&self) -> u64 {
        self.0.trusted.load().generation
    }

    /// Verifies a token now.
    pub(crate) fn verify(&self, token: &str) -> Result<Verified, Refusal> {
        let trusted = self.0.trusted.load();
        let claims = token::verify(token, trusted.keys(), &trusted.accepted);
        let claims = claims.map_err(|refusal| match refusal {
            Refusal::UnknownKey | Refusal::NoSuchKey if trusted.source.is_some() && trusted.fetched.is_none() => {
                Refusal::NoKeys
            }
            other => other,
        })?;
        // A clock before 1970 lets nothing pass that has a beginning.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let until = trusted.rules.hold(&claims, now)?;
        let principal = trusted.rules.principal(&claims)?;
        let holds = Duration::try_from_secs_f64(until - now).unwrap_or(Duration::MAX);
        Ok(Verified { principal, holds, generation: trusted.generation })
    }

    /// Whether to wait for a fetch that could bring a key that is missing: one is under way, or the last one that was
    /// caused like this was long ago.
    pub(crate) fn may_know_more(&self) -> bool {
        if !matches!(self.0.trusted.load().source, Some(Source::Address(_))) {
            return false;
        }
        let mut last = self.last();
        let is_time = last.asked.is_none_or(|asked| asked.elapsed() >= GAP);
        if is_time {
            last.asked = Some(Instant::now());
        }
        is_time || last.under_way
    }

    /// Waits for a fetch to end, whatever comes of it.
    pub(crate) async fn fetched(&self) {
        let mut rounds = self.0.rounds.subscribe();
        if !self.last().under_way {
            self.0.wanted.notify_one();
        }
        // The end of it is heard of, or somebody has told the task to hurry for nothing.
        let _ = timeout(FETCH_TIMEOUT, rounds.changed()).await;
    }
}

impl Default for Tokens {
    /// Without a key: no token is right.
    fn default() -> Self {
        Self::new(Trusted::of(&TokenSettings::default(), Vec::new()))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}
