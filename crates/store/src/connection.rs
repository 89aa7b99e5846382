//! A connection to Redis or Valkey that knows whether it may be relied on, and says so once when that changes.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, EventInterface},
    types::{
        Builder,
        config::{Config, ReconnectPolicy, Server},
    },
};
use seaworthy_core::Shutdown;
use tokio::{
    sync::{
        Notify,
        broadcast::{Receiver, error::TryRecvError},
    },
    time::{sleep, timeout},
};

use crate::{
    StoreError,
    health::{Health, Heard},
};

/// How often the server is asked whether it is well…
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// …and whether it is back.
const BEAT_WHILE_DOWN: Duration = Duration::from_millis(50);
/// A connection that has told nothing for so long is made anew: what is between may have forgotten it.
const SILENCE: Duration = Duration::from_secs(5);

/// What we say as long as nobody knows more.
const NO_CONNECTION: &str = "no connection";

/// What the server itself answers when it does not want to, and not because it is unwell.
const REFUSALS: &[&str] = &["ERR ", "OOM ", "WRONGTYPE ", "NOPERM ", "READONLY ", "MISCONF ", "NOREPLICAS "];

/// Prepares a client; nothing is connected yet.
pub(crate) fn client(config: &Config, command_timeout: Duration) -> Result<Client, StoreError> {
    let mut config = config.clone();
    // A server that comes after us is found too.
    config.fail_fast = false;
    Builder::from_config(config)
        .with_performance_config(|performance| performance.default_command_timeout = command_timeout)
        .with_connection_config(|connection| {
            connection.connection_timeout = Duration::from_secs(2);
            connection.internal_command_timeout = Duration::from_secs(2);
            // What was not answered is decided here, and must not be counted there later on.
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = 10_000;
        })
        .set_policy(ReconnectPolicy::new_exponential(0, 100, 1_000, 2))
        .build()
        .map_err(|_| StoreError::Address)
}

/// What is said when the state changes.
pub(crate) struct Words {
    /// It answers: what that means.
    pub up: &'static str,
    /// It does not: what that means.
    pub down: &'static str,
    /// The gauge that shows it.
    pub gauge: &'static str,
    /// Counts how often it was lost.
    pub losses: &'static str,
}

/// How long a question has been waited for.
pub(crate) struct Waited {
    since: Instant,
    patience: Duration,
    late: u32,
}

impl Waited {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { since: Instant::now(), patience, late: 0 }
    }

    /// Whether it has become late once more.
    fn is_due(&mut self) -> bool {
        let is_due = self.since.elapsed() >= self.patience * (self.late + 1);
        self.late += u32::from(is_due);
        is_due
    }
}

/// One connection that is watched.
pub(crate) struct Connection {
    pub client: Client,
    pub patience: Duration,
    /// How many nodes there are, as far as that is known.
    pub nodes: AtomicU64,
    health: Health,
    doubted: Notify,
    /// Why there is no connection, as the client says.
    errors: Mutex<Receiver<(Error, Option<Server>)>>,
    words: &'static Words,
}

impl Connection {
    pub(crate) fn new(client: Client, patience: Duration, nodes: u64, words: &'static Words) -> Self {
        let (health, doubted, errors) = (Health::default(), Notify::new(), Mutex::new(client.error_rx()));
        Self { client, patience, nodes: AtomicU64::new(nodes), health, doubted, errors, words }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.health.is_up()
    }

    /// Waits for an answer, at most this long. A refusal is an answer.
    pub(crate) async fn ask<T>(
        &self,
        patience: Duration,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        let mut waited = Waited::new(patience);
        self.wait(&mut waited, patience, pin!(question)).await?.ok_or(StoreError::Down)
    }

    /// The same for a question that may be waited for again: `None` is not yet. It counts as late for each time that it has
    /// been, and an answer that comes then does not count as one in time.
    pub(crate) async fn wait<T>(
        &self,
        waited: &mut Waited,
        patience: Duration,
        question: Pin<&mut (impl Future<Output = Result<T, Error>> + ?Sized)>,
    ) -> Result<Option<T>, StoreError> {
        // Without a connection commands would wait for one.
        if !self.client.is_connected() {
            return Err(self.lost(Heard::Broken, NO_CONNECTION));
        }
        let why = match timeout(patience, question).await {
            Ok(Ok(answer)) => {
                self.note_in_time(waited);
                return Ok(Some(answer));
            }
            Ok(Err(error)) => match refusal(&error) {
                Some(why) => {
                    self.note_in_time(waited);
                    return Err(StoreError::Refused(why));
                }
                None if *error.kind() == ErrorKind::Timeout => return Err(self.lost(Heard::Late, error.details())),
                None => return Err(self.lost(Heard::Broken, error.details())),
            },
            Err(_) => "too late",
        };
        if waited.is_due() {
            self.lost(Heard::Late, why);
        }
        Ok(None)
    }

    fn note_in_time(&self, waited: &Waited) {
        if waited.late == 0 {
            self.note(Heard::InTime, "");
        }
    }

    /// Notes that there was no answer that helps.
    pub(crate) fn lost(&self, heard: Heard, why: &str) -> StoreError {
        self.note(heard, why);
        self.doubted.notify_one();
        StoreError::Down
    }

    /// Has the watch ask soon, and counts nothing yet.
    pub(crate) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Connects, and keeps watch until the end: asks this once a second.
    pub(crate) async fn watch<Asked>(&self, shutdown: &Shutdown, beat: impl Fn() -> Asked)
    where
        Asked: Future<Output = Result<(), Error>>,
    {
        let mut task = self.client.connect();
        metrics::gauge!(self.words.gauge).set(0.0);
        let (began, mut heard_of, mut answered) = (Instant::now(), false, Instant::now());
        loop {
            match self.heard(&beat).await {
                Ok(()) => {
                    answered = Instant::now();
                    if !heard_of {
                        heard_of = true;
                        self.health.begin();
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
            if answered.elapsed() > SILENCE && self.client.is_connected() {
                answered = Instant::now();
                let _ = timeout(BEAT, self.client.force_reconnection()).await;
            }
            // Some errors end the client's task: the server may be another one by now.
            if task.is_finished() {
                task = self.client.connect();
            }
            let pause = if self.is_up() { BEAT } else { BEAT_WHILE_DOWN };
            tokio::select! {
                () = shutdown.ordered() => break,
                () = sleep(pause) => {}
                () = self.doubted.notified() => sleep(Duration::from_millis(50)).await,
            }
        }
        let _ = timeout(BEAT, self.client.quit()).await;
        task.abort();
    }

    async fn heard<Asked>(&self, beat: impl Fn() -> Asked) -> Result<(), (Heard, String)>
    where
        Asked: Future<Output = Result<(), Error>>,
    {
        if !self.client.is_connected() {
            return Err((Heard::Broken, NO_CONNECTION.into()));
        }
        match timeout(self.patience, beat()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err((Heard::Broken, error.details().to_owned())),
            Err(_) => Err((Heard::Late, format!("no answer within {} ms", self.patience.as_millis()))),
        }
    }

    fn last_error(&self) -> Option<String> {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = None;
        loop {
            match errors.try_recv() {
                Ok((error, _)) => last = Some(reason(&error)),
                Err(TryRecvError::Lagged(_)) => {}
                Err(_) => return last,
            }
        }
    }

    fn note(&self, heard: Heard, why: &str) {
        if let Some(is_up) = self.health.note(heard) {
            self.tell(is_up, why);
        }
    }

    /// Says it once, when it changes.
    fn tell(&self, is_up: bool, reason: &str) {
        metrics::gauge!(self.words.gauge).set(if is_up { 1.0 } else { 0.0 });
        let nodes = self.nodes.load(Ordering::Relaxed);
        if is_up {
            return tracing::warn!(nodes, "{}", self.words.up);
        }
        metrics::counter!(self.words.losses).increment(1);
        let told = self.last_error().filter(|_| reason == NO_CONNECTION);
        let reason = told.as_deref().unwrap_or(reason);
        tracing::error!(reason, nodes, "{}", self.words.down);
    }
}

/// What the client has to say, with what to do about it.
fn reason(error: &Error) -> String {
    let (why, kind) = (error.details(), error.kind());
    if *kind == ErrorKind::Auth {
        return format!("{why} Look at user and password in store.redis.");
    }
    let is_certificate = why.contains("Certificate") || why.contains("certificate");
    let advice = if is_certificate { "; store.trust names authorities of your own" } else { "" };
    format!("{why}{advice}")
}

/// A connection that has not answered in a long time may be one that only we still believe in: it is made anew.
pub(crate) async fn renew(client: &Client, error: &Error) {
    if *error.kind() == ErrorKind::Timeout && client.is_connected() {
        let _ = timeout(BEAT, client.force_reconnection()).await;
    }
}

/// Why the server refused, when it did. What was asked is not repeated: it may hold what a client sent.
pub(crate) fn refusal(error: &Error) -> Option<String> {
    let why = error.details();
    let refused = REFUSALS.iter().any(|refusal| why.starts_with(refusal));
    refused.then(|| why.split(", with args").next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_repeats_nothing_that_was_asked() {
        let error = |text: &str| Error::new(ErrorKind::Unknown, text.to_owned());
        let unknown = "ERR unknown command 'XADD', with args beginning with: 'secret' ";
        assert_eq!(refusal(&error(unknown)).as_deref(), Some("ERR unknown command 'XADD'"));
        assert!(refusal(&error("OOM command not allowed when used memory > 'maxmemory'.")).is_some());
        for unwell in ["LOADING Redis is loading the dataset in memory", "NOAUTH Authentication required.", "canceled"]
        {
            assert_eq!(refusal(&error(unwell)), None, "{unwell}");
        }
    }
}
