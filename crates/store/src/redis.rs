//! The store: counts in Redis or Valkey, and whether they may be relied on.
//!
//! When the server does not answer in time, every caller learns it and decides by itself with its share of the nodes that
//! were there last. Nobody waits for a server that is gone: a task asks it until it answers again.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fred::types::{FromValue, scripts::Script};
use seaworthy_config::SecretRefError;
use seaworthy_core::Shutdown;
use thiserror::Error;

use crate::{
    address::config,
    answers::Answers,
    budget::{self, Take, Taken},
    connection::{BEAT, Connection, Waited, Words, client},
    guess::{self, BackOff, Guess, Guessed, PLACE_KEPT},
    health::Heard,
    settings::Settings,
};

static WORDS: Words = Words {
    up: "the store answers: limits are counted by all nodes together",
    down: "the store does not answer: each node holds its share of every limit by itself until it does",
    gauge: "seaworthy_store_up",
    losses: "seaworthy_store_losses_total",
};

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
    /// A file of certificates that cannot be used.
    #[error("store.trust: cannot use {path}: {reason}; it must hold certificates of authorities as PEM")]
    Trust {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody is trusted.
    #[error("store.redis: no certificates of authorities on this machine; install ca-certificates, or set store.trust")]
    NoAuthorities,
    /// It did not answer in time, or with an error.
    #[error("the store does not answer")]
    Down,
    /// It answers, and does not do it.
    #[error("the store refuses: {0}")]
    Refused(String),
}

/// Shared counts. Clones are one.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

/// A part of a budget that has been asked for. It is answered even when nobody waits.
pub struct Taking {
    question: Pin<Box<dyn Future<Output = Result<Taken, fred::error::Error>> + Send>>,
    waited: Waited,
}

struct Inner {
    connection: Connection,
    answers: Answers,
    budget: Script,
    guess: [Script; 3],
    beat: Script,
    node: String,
    least_nodes: u64,
}

impl Redis {
    /// Prepares it; nothing is connected yet. `None`: no store is configured.
    ///
    /// # Errors
    /// A reference that leads nowhere, or an address that is none.
    pub fn build(settings: &Settings, node: &str) -> Result<Option<Self>, StoreError> {
        let Some(reference) = &settings.redis else { return Ok(None) };
        let address = reference.resolve()?;
        let config = config(address.expose(), settings.trust.as_deref())?;
        let (patience, nodes) = (settings.patience.0, settings.nodes.max(1));
        Ok(Some(Self(Arc::new(Inner {
            connection: Connection::new(client(&config, BEAT)?, patience, nodes, &WORDS),
            answers: Answers::build(&config, patience, nodes)?,
            budget: Script::from_lua(budget::SCRIPT),
            guess: [guess::TRY, guess::SUCCEEDED, guess::TAKEN_BACK].map(Script::from_lua),
            beat: Script::from_lua(BEAT_SCRIPT),
            node: node.to_owned(),
            least_nodes: nodes,
        }))))
    }

    /// Whether it answers in time.
    pub fn is_up(&self) -> bool {
        self.0.connection.is_up()
    }

    /// How many nodes counted here when it last answered, this one included; at least as many as the settings say.
    pub fn nodes(&self) -> u64 {
        self.0.connection.nodes.load(Ordering::Relaxed)
    }

    /// How long a caller may wait.
    pub fn patience(&self) -> Duration {
        self.0.connection.patience
    }

    /// Answers that nodes share, with connections of their own: to be run apart.
    pub fn answers(&self) -> Answers {
        self.0.answers.clone()
    }

    /// Asks for a part of a budget. The question is put when it is first waited for.
    pub fn take(&self, take: &Take<'_>) -> Taking {
        let (inner, key, arguments) = (self.0.clone(), take.key.to_owned(), take.arguments());
        let question = async move {
            let (granted, reset): (u64, u64) =
                inner.budget.evalsha_with_reload(&inner.connection.client, vec![key], arguments).await?;
            Ok(Taken { granted, reset: Duration::from_micros(reset) })
        };
        Taking { question: Box::pin(question), waited: Waited::new(self.patience()) }
    }

    /// Waits for what was asked for, at most this long. `None`: it is late. Then it may be waited for again, and should:
    /// what the store grants late is granted all the same.
    ///
    /// # Errors
    /// [`StoreError::Down`]: there will be no answer. After some of these [`Redis::is_up`] says no.
    pub async fn taken(&self, taking: &mut Taking, patience: Duration) -> Result<Option<Taken>, StoreError> {
        let Taking { question, waited } = taking;
        let taken = self.0.connection.wait(waited, patience, question.as_mut()).await;
        match taken {
            Ok(Some(taken)) => Ok(Some(taken)),
            Ok(None) => {
                fell_back();
                Ok(None)
            }
            Err(error) => Err(self.fallen_back(error)),
        }
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
        let connection = &self.0.connection;
        let question = script.evalsha_with_reload(&connection.client, keys, arguments);
        connection.ask(connection.patience, question).await.map_err(|error| self.fallen_back(error))
    }

    fn fallen_back(&self, error: StoreError) -> StoreError {
        fell_back();
        match error {
            // A store that does not count is none: everybody decides with his share.
            StoreError::Refused(why) => self.0.connection.lost(Heard::Broken, &why),
            error => error,
        }
    }

    /// Connects, and keeps watch until the end.
    pub async fn run(self, shutdown: Shutdown) {
        self.0.connection.watch(&shutdown, || self.beat()).await;
    }

    async fn beat(&self) -> Result<(), fred::error::Error> {
        let node = vec![self.0.node.clone()];
        let connection = &self.0.connection;
        let nodes: u64 = self.0.beat.evalsha_with_reload(&connection.client, "seaworthy:nodes", node).await?;
        let nodes = nodes.max(self.0.least_nodes);
        connection.nodes.store(nodes, Ordering::Relaxed);
        metrics::gauge!("seaworthy_store_nodes").set(nodes as f64);
        Ok(())
    }
}

fn fell_back() {
    metrics::counter!("seaworthy_store_fallbacks_total").increment(1);
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("up", &self.is_up()).finish_non_exhaustive()
    }
}
