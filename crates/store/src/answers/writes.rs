//! Answers on their way into the store: a queue that is bounded in number and bytes, and one task that empties it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fred::{clients::Client, interfaces::ClientLike, types::Value};
use seaworthy_core::Shutdown;
use tokio::{sync::mpsc, time::timeout};

use super::command;
use crate::connection::{BEAT, refusal, renew};

/// So many answers wait at most…
const MOST_WAITING: usize = 1_024;
/// …with so many bytes.
const MOST_BYTES: usize = 32 * 1024 * 1024;

pub(super) struct Writes {
    client: Client,
    sender: mpsc::Sender<Write>,
    receiver: Mutex<Option<mpsc::Receiver<Write>>>,
    bytes: AtomicUsize,
    refused: AtomicBool,
}

struct Write {
    key: Bytes,
    value: Bytes,
    ttl: Duration,
}

impl Write {
    fn size(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

impl Writes {
    pub(super) fn new(client: Client) -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let receiver = Mutex::new(Some(receiver));
        Self { client, sender, receiver, bytes: AtomicUsize::new(0), refused: AtomicBool::new(false) }
    }

    pub(super) fn put(&self, is_up: bool, key: Bytes, value: Bytes, ttl: Duration) -> bool {
        if !is_up {
            return left_out("down");
        }
        let write = Write { key, value, ttl };
        let size = write.size();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > MOST_BYTES || self.sender.try_send(write).is_err() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            return left_out("full");
        }
        true
    }

    /// Writes until the end; what waits then is left out.
    pub(super) async fn run(&self, shutdown: &Shutdown) {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return };
        let task = self.client.connect();
        loop {
            let write = tokio::select! {
                () = shutdown.ordered() => break,
                write = receiver.recv() => write,
            };
            let Some(write) = write else { break };
            let size = write.size();
            tokio::select! {
                () = shutdown.ordered() => break,
                () = self.write(write) => {}
            }
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        let _ = timeout(BEAT, self.client.quit()).await;
        task.abort();
    }

    #[cfg(test)]
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    async fn write(&self, write: Write) {
        // Without a connection commands would wait for one, and everything behind them.
        if !self.client.is_connected() {
            left_out("down");
            return;
        }
        // Zero would be an error; what lives so shortly does no harm for a millisecond.
        let ttl = i64::try_from(write.ttl.as_millis()).unwrap_or(i64::MAX / 4).max(1);
        let arguments: Vec<Value> = vec![write.key.into(), write.value.into(), "PX".into(), ttl.into()];
        match self.client.custom::<Value, Value>(command("SET"), arguments).await {
            Ok(_) => self.refused.store(false, Ordering::Relaxed),
            Err(error) => match refusal(&error) {
                None => {
                    left_out("down");
                    renew(&self.client, &error).await;
                }
                Some(reason) => {
                    left_out("refused");
                    if !self.refused.swap(true, Ordering::Relaxed) {
                        tracing::warn!(reason, "the store takes no answers: look at its maxmemory, policy and users");
                    }
                }
            },
        }
    }
}

fn left_out(reason: &'static str) -> bool {
    metrics::counter!("seaworthy_store_answers_left_out_total", "reason" => reason).increment(1);
    false
}
