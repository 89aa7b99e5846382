//! What may be taken out of a cache by order: the seam between `cache`, which keeps it, and `console`, which is asked.

use serde::{Deserialize, Serialize};

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

/// Takes stored answers out of a cache.
pub trait PurgeCache: Send + Sync + 'static {
    /// Removes them, and keeps answers from being stored that were on their way. Returns how many went.
    fn purge(&self, what: &Purge) -> usize;
}
