//! What may be taken out of a cache by order: the seam between `cache`, which keeps it, and `console`, which is asked.

use std::{future::Future, pin::Pin};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Which stored answers go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Purge {
    /// One address with its query: `/a?b=1` on every host, or `https://app.example.com/a?b=1`.
    Url(String),
    /// Every address that begins so: `/api/documents`, on every host or with one.
    Prefix(String),
    /// Every answer that the app has given this tag (`Cache-Tag`, `Surrogate-Key`).
    Tag(String),
    /// Everything. `false` is nothing.
    All(bool),
}

/// Answers are gone here, but may still be given by other nodes, or after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{removed} answers were removed here, but {left}; repeat the order until it succeeds")]
pub struct PurgeError {
    /// How many went.
    pub removed: usize,
    /// What was not reached, and why.
    pub left: &'static str,
}

/// An order that is carried out.
pub type Purging<'a> = Pin<Box<dyn Future<Output = Result<usize, PurgeError>> + Send + 'a>>;

/// Takes stored answers out of a cache.
pub trait PurgeCache: Send + Sync + 'static {
    /// Removes them, and keeps answers from being stored that were on their way. Returns how many went.
    ///
    /// # Errors
    /// A tier below the memory could not be reached.
    fn purge<'a>(&'a self, what: &'a Purge) -> Purging<'a>;
}
