//! The connection to Redis or Valkey, and whether it may be relied on.
//!
//! When the server does not answer in time, every caller learns it and decides by itself with its share of the nodes that
//! were there last. Nobody waits for a server that is gone: a task asks it until it answers again.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{
        Builder, FromValue,
        config::{Config, ReconnectPolicy},
        scripts::Script,
    },
};
use seaworthy_config::SecretRefError;
use seaworthy_core::Shutdown;
use thiserror::Error;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    budget::{self, Take, Taken},
    guess::{self, BackOff, Guess, Guessed, PLACE_KEPT},
    health::{Health, Heard},
    settings::Settings,
};

/// How often the server is asked how many nodes there are…
const BEAT: Duration = Duration::from_secs(1);
/// …and whether it is back.
const BEAT_WHILE_DOWN: Duration = Duration::from_millis(200);

/// Notes that node ARGV[1] is there, forgets those that were not heard of for 5 s, and counts.
const BEAT_SCRIPT: &str = r"
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 5)
redis.call('EXPIRE', KEYS[1], 60)
return redis.call('ZCARD', KEYS[1])";

/// A store that cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A reference that leads nowhere.
    #[error("store.redis: {0}")]
    Reference(#[from] SecretRefError),
    /// No address of a Redis.
    #[error("store.redis: not the address of a Redis; write for example redis://127.0.0.1:6379")]
    Address,
    /// It did not answer in time, or with an error.
    #[error("the store does not answer")]
    Down,
}

/// Shared counts. Clones are one.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    client: Client,
    budget: Script,
    guess: [Script; 3],
    beat: Script,
    node: String,
    patience: Duration,
    health: Health,
    nodes: AtomicU64,
    least_nodes: u64,
    doubted: Notify,
}

impl Redis {
    /// Prepares it; nothing is connected yet. `None`: no store is configured.
    ///
    /// # Errors
    /// A reference that leads nowhere, or an address that is none.
    pub fn build(settings: &Settings, node: &str) -> Result<Option<Self>, StoreError> {
        let Some(reference) = &settings.redis else { return Ok(None) };
        let address = reference.resolve()?;
        // The library's error could hold the address, and that a password.
        let mut config = Config::from_url(address.expose()).map_err(|_| StoreError::Address)?;
        // A server that comes after us is found too.
        config.fail_fast = false;
        let client = Builder::from_config(config)
            .with_performance_config(|performance| performance.default_command_timeout = BEAT)
            .with_connection_config(|connection| {
                connection.connection_timeout = Duration::from_secs(2);
                connection.internal_command_timeout = Duration::from_secs(2);
                // What was not answered is decided here, and must not be counted there later on.
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = 10_000;
            })
            .set_policy(ReconnectPolicy::new_exponential(0, 100, 1_000, 2))
            .build()
            .map_err(|_| StoreError::Address)?;
        Ok(Some(Self(Arc::new(Inner {
            client,
            budget: Script::from_lua(budget::SCRIPT),
            guess: [guess::TRY, guess::SUCCEEDED, guess::TAKEN_BACK].map(Script::from_lua),
            beat: Script::from_lua(BEAT_SCRIPT),
            node: node.to_owned(),
            patience: settings.patience.0,
            health: Health::default(),
            nodes: AtomicU64::new(settings.nodes.max(1)),
            least_nodes: settings.nodes.max(1),
            doubted: Notify::new(),
        }))))
    }

    /// Whether it answers in time.
    pub fn is_up(&self) -> bool {
        self.0.health.is_up()
    }

    /// How many nodes counted here when it last answered, this one included; at least as many as the settings say.
    pub fn nodes(&self) -> u64 {
        self.0.nodes.load(Ordering::Relaxed)
    }

    /// How long a caller may wait.
    pub fn patience(&self) -> Duration {
        self.0.patience
    }

    /// Takes from a budget.
    ///
    /// # Errors
    /// [`StoreError::Down`]: no answer in time. After some of these [`Redis::is_up`] says no.
    pub async fn take(&self, take: Take<'_>) -> Result<Taken, StoreError> {
        let (granted, reset): (u64, u64) =
            self.ask(&self.0.budget, vec![take.key.to_owned()], take.arguments()).await?;
        Ok(Taken { granted, reset: Duration::from_micros(reset) })
    }

    /// Asks whether an account may be tried now, and counts that as a failure for the time being.
    ///
    /// # Errors
    /// [`StoreError::Down`].
    pub async fn guess(&self, guess: Guess, back_off: &BackOff) -> Result<Guessed, StoreError> {
        let (allowed, failures, pause): (u64, u64, u64) =
            self.ask(&self.0.guess[0], guess.keys(), back_off.arguments()).await?;
        Ok(Guessed { allowed: allowed == 1, failures, pause: Duration::from_millis(pause) })
    }

    /// The try has succeeded: failures are forgotten, and the place is remembered.
    ///
    /// # Errors
    /// [`StoreError::Down`].
    pub async fn succeeded(&self, guess: Guess) -> Result<(), StoreError> {
        let kept = vec![PLACE_KEPT.as_millis().to_string()];
        self.ask::<u64>(&self.0.guess[1], guess.keys(), kept).await.map(drop)
    }

    /// The try has told nothing: it is as if it had not been made.
    ///
    /// # Errors
    /// [`StoreError::Down`].
    pub async fn taken_back(&self, guess: Guess, failures: u64) -> Result<(), StoreError> {
        self.ask::<u64>(&self.0.guess[2], guess.keys(), vec![failures.to_string()]).await.map(drop)
    }

    async fn ask<T: FromValue>(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<String>,
    ) -> Result<T, StoreError> {
        // Without a connection commands would wait for one.
        if !self.0.client.is_connected() {
            return Err(self.lost(Heard::Broken, "no connection"));
        }
        match timeout(self.0.patience, script.evalsha_with_reload(&self.0.client, keys, arguments)).await {
            Ok(Ok(answer)) => {
                self.note(Heard::InTime, "");
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.lost(Heard::Broken, error.details())),
            Err(_) => Err(self.lost(Heard::Late, "too late")),
        }
    }

    fn lost(&self, heard: Heard, why: &str) -> StoreError {
        metrics::counter!("seaworthy_store_fallbacks_total").increment(1);
        self.note(heard, why);
        self.0.doubted.notify_one();
        StoreError::Down
    }

    /// Connects, and keeps watch until the end.
    pub async fn run(self, shutdown: Shutdown) {
        let connection = self.0.client.connect();
        metrics::gauge!("seaworthy_store_up").set(0.0);
        let began = Instant::now();
        let mut heard_of = false;
        loop {
            match self.beat().await {
                Ok(nodes) => {
                    let nodes = nodes.max(self.0.least_nodes);
                    self.0.nodes.store(nodes, Ordering::Relaxed);
                    metrics::gauge!("seaworthy_store_nodes").set(nodes as f64);
                    if !heard_of {
                        heard_of = true;
                        self.0.health.begin();
                        self.tell(true, "");
                    }
                    self.note(Heard::InTime, "");
                }
                Err((heard, why)) if heard_of => self.note(heard, &why),
                // At the start it may take a moment to connect.
                Err((_, why)) if began.elapsed() > BEAT => {
                    heard_of = true;
                    self.tell(false, &why);
                }
                Err(_) => {}
            }
            let pause = if self.is_up() { BEAT } else { BEAT_WHILE_DOWN };
            tokio::select! {
                () = shutdown.ordered() => break,
                () = sleep(pause) => {}
                () = self.0.doubted.notified() => sleep(Duration::from_millis(50)).await,
            }
        }
        let _ = timeout(BEAT, self.0.client.quit()).await;
        connection.abort();
    }

    async fn beat(&self) -> Result<u64, (Heard, String)> {
        if !self.0.client.is_connected() {
            return Err((Heard::Broken, "no connection".into()));
        }
        let arguments = vec![self.0.node.clone()];
        let beat = self.0.beat.evalsha_with_reload::<u64, _, _>(&self.0.client, "seaworthy:nodes", arguments);
        match timeout(self.0.patience, beat).await {
            Ok(Ok(nodes)) => Ok(nodes),
            Ok(Err(error)) => Err((Heard::Broken, error.details().to_owned())),
            Err(_) => Err((Heard::Late, format!("no answer within {} ms", self.0.patience.as_millis()))),
        }
    }

    fn note(&self, heard: Heard, why: &str) {
        if let Some(is_up) = self.0.health.note(heard) {
            self.tell(is_up, why);
        }
    }

    /// Says it once, when it changes.
    fn tell(&self, is_up: bool, reason: &str) {
        metrics::gauge!("seaworthy_store_up").set(if is_up { 1.0 } else { 0.0 });
        let nodes = self.nodes();
        if is_up {
            return tracing::warn!(nodes, "the store answers: limits are counted by all nodes together");
        }
        metrics::counter!("seaworthy_store_losses_total").increment(1);
        tracing::error!(
            reason,
            nodes,
            "the store does not answer: each node holds its share of every limit by itself until it does"
        );
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("up", &self.is_up()).finish_non_exhaustive()
    }
}
