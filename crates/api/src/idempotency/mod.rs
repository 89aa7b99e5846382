//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a client repeats a POST or PATCH as often as it likes, and
//! the app does it once.
//!
//! `layer.rs` is the way in: what has no key passes. `exchange.rs` is one request with a key: it claims the key, and is the
//! first one, a repeated one, or neither. `journal.rs` writes claims and answers down for everybody, in the database of
//! `table.rs`. `key.rs` says whose key it is, `stored.rs` what is kept of an answer.

mod body;
mod exchange;
mod journal;
pub(crate) mod key;
mod layer;
mod settings;
mod stored;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use seaworthy_core::Shutdown;
use thiserror::Error;
use tokio::sync::mpsc;

pub use layer::IdempotencyLayer;
pub use settings::{IdempotencySetting, StoreSettings};

use journal::Order;
use table::Table;

/// The keys of all routes and cores. A clone is the same store; until it is opened, requests with a key are refused.
#[derive(Clone, Default)]
pub struct Idempotency(Arc<OnceLock<mpsc::Sender<Order>>>);

/// The store cannot be used.
#[derive(Debug, Error)]
#[error("the idempotency keys in {path} cannot be used: {reason}; name another file with [api.idempotency_store] path")]
pub struct IdempotencyError {
    path: String,
    reason: String,
}

impl Idempotency {
    /// Opens the store, and starts the task that writes. One that is open stays as it is, so a new path waits for a
    /// restart.
    ///
    /// # Errors
    /// A file that cannot be made, is no database, or is of another release.
    pub async fn open(&self, settings: &StoreSettings, control: &Shutdown) -> Result<(), IdempotencyError> {
        if self.0.get().is_some() {
            return Ok(());
        }
        let table = Table::open(settings).await.map_err(|error| IdempotencyError {
            path: settings.path.display().to_string(),
            reason: error.to_string(),
        })?;
        // Opened by one task alone, at the start or by a reload.
        let _ = self.0.set(journal::start(table, control));
        Ok(())
    }

    fn orders(&self) -> Option<mpsc::Sender<Order>> {
        self.0.get().cloned()
    }
}

impl std::fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idempotency").field("open", &self.0.get().is_some()).finish()
    }
}
