//! Budgets in Redis or Valkey: the generic cell rate algorithm as one script, by the server's clock, so that nodes need not
//! agree on the time.
//!
//! When the server does not answer, every caller learns it at once, and decides by itself with its share of the nodes that
//! were there last. Nobody waits for a server that is gone: a task asks it each second.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{
        Builder,
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

use crate::settings::Settings;

/// A request waits no longer for its budget.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often the server is asked whether it is there, and how many nodes are.
const BEAT: Duration = Duration::from_secs(1);

/// Grants at most ARGV[4] and at least ARGV[3] units, of ARGV[1] microseconds each, from a window of ARGV[2].
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local unit, window, least, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if whole > now + window then whole = now + window end
local room = math.floor((now + window - whole) / unit + 0.000001)
local granted = math.min(room, most)
if granted < least then granted = 0 end
if granted > 0 then
  whole = whole + granted * unit
  redis.call('SET', KEYS[1], string.format('%.3f', whole), 'PX', math.ceil((whole - now) / 1000) + 1)
end
return { granted, math.floor(whole - now) }";

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
    /// It did not answer, or with an error.
    #[error("the store does not answer: {0}")]
    Down(String),
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Take<'a> {
    /// Whose budget, the same on every node.
    pub key: &'a str,
    /// What one unit is worth, in nanoseconds.
    pub unit: u64,
    /// The window, in nanoseconds.
    pub window: u64,
    /// So many units are needed; fewer are none.
    pub least: u64,
    /// So many would be taken.
    pub most: u64,
}

/// What was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Units.
    pub granted: u64,
    /// Until the budget is whole again.
    pub reset: Duration,
}

/// Shared counts. Clones are one.
#[derive(Clone)]
pub struct Counters(Arc<Shared>);

struct Shared {
    client: Client,
    take: Script,
    beat: Script,
    node: String,
    up: AtomicBool,
    /// Whether anything was said of it yet.
    told: AtomicBool,
    nodes: AtomicU64,
    doubted: Notify,
}

impl Counters {
    /// Prepares them; nothing is connected yet. `None`: no store is configured.
    ///
    /// # Errors
    /// A reference that leads nowhere, or an address that is none.
    pub fn build(settings: &Settings, node: &str) -> Result<Option<Self>, StoreError> {
        let Some(reference) = &settings.redis else { return Ok(None) };
        let address = reference.resolve()?;
        // The library's error could hold the address, and that a password.
        let mut config = Config::from_url(address.expose()).map_err(|_| StoreError::Address)?;
        config.fail_fast = true;
        let client = Builder::from_config(config)
            .with_performance_config(|performance| performance.default_command_timeout = PATIENCE)
            .with_connection_config(|connection| {
                connection.connection_timeout = Duration::from_secs(2);
                connection.internal_command_timeout = Duration::from_secs(2);
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = 10_000;
            })
            .set_policy(ReconnectPolicy::new_exponential(0, 100, 1_000, 2))
            .build()
            .map_err(|_| StoreError::Address)?;
        Ok(Some(Self(Arc::new(Shared {
            client,
            take: Script::from_lua(TAKE),
            beat: Script::from_lua(BEAT_SCRIPT),
            node: node.to_owned(),
            up: AtomicBool::new(false),
            told: AtomicBool::new(false),
            nodes: AtomicU64::new(1),
            doubted: Notify::new(),
        }))))
    }

    /// Whether the store answered last.
    pub fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Relaxed)
    }

    /// How many nodes counted here when it last answered, this one included.
    pub fn nodes(&self) -> u64 {
        self.0.nodes.load(Ordering::Relaxed).max(1)
    }

    /// Takes from a budget.
    ///
    /// # Errors
    /// The store does not answer within a quarter of a second; until it does again, [`Counters::is_up`] says no.
    pub async fn take(&self, take: Take<'_>) -> Result<Taken, StoreError> {
        // The script counts in microseconds: what is worth less keeps its fraction.
        let number = |nanos: u64| format!("{:.3}", nanos as f64 / 1_000.0);
        let arguments = vec![number(take.unit), number(take.window), take.least.to_string(), take.most.to_string()];
        let asked = self.0.take.evalsha_with_reload(&self.0.client, take.key, arguments);
        match timeout(PATIENCE, asked).await {
            Ok(Ok((granted, reset))) => Ok(Taken { granted, reset: Duration::from_micros(reset) }),
            Ok(Err(error)) => Err(self.doubt(&error.to_string())),
            Err(_) => Err(self.doubt("too late")),
        }
    }

    fn doubt(&self, why: &str) -> StoreError {
        self.tell(Err(why));
        self.0.doubted.notify_one();
        StoreError::Down(why.to_owned())
    }

    /// Connects, and keeps watch until the end.
    pub async fn run(self, shutdown: Shutdown) {
        let connection = self.0.client.connect();
        loop {
            let beat = self.0.beat.evalsha_with_reload::<u64, _, _>(
                &self.0.client,
                "seaworthy:nodes",
                vec![self.0.node.clone()],
            );
            match timeout(BEAT, beat).await {
                Ok(Ok(nodes)) => {
                    self.0.nodes.store(nodes, Ordering::Relaxed);
                    metrics::gauge!("seaworthy_store_nodes").set(nodes as f64);
                    self.tell(Ok(nodes));
                }
                Ok(Err(error)) => self.tell(Err(&error.to_string())),
                Err(_) => self.tell(Err("too late")),
            }
            tokio::select! {
                () = shutdown.ordered() => break,
                () = sleep(BEAT) => {}
                () = self.0.doubted.notified() => sleep(Duration::from_millis(100)).await,
            }
        }
        let _ = timeout(BEAT, self.0.client.quit()).await;
        connection.abort();
    }

    /// Says it once, when it changes.
    fn tell(&self, state: Result<u64, &str>) {
        let is_up = state.is_ok();
        metrics::gauge!("seaworthy_store_up").set(if is_up { 1.0 } else { 0.0 });
        let was_told = self.0.told.swap(true, Ordering::Relaxed);
        if self.0.up.swap(is_up, Ordering::Relaxed) == is_up && was_told {
            return;
        }
        match state {
            Ok(nodes) => tracing::warn!(nodes, "the store answers: limits are counted by all nodes together"),
            Err(reason) => {
                let nodes = self.nodes();
                metrics::counter!("seaworthy_store_losses_total").increment(1);
                tracing::error!(
                    reason,
                    nodes,
                    "the store does not answer: each node holds its share of every limit by itself until it does"
                );
            }
        }
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").field("up", &self.is_up()).finish_non_exhaustive()
    }
}
