//! Files that were found infected: the seam between `uploads`, which keeps them, and `console`, which shows them.

use serde::{Deserialize, Serialize};

/// One of them. No content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Names it in the admin API; ids sort by time.
    pub id: String,
    /// When it was sent, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its name, as the client gave it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// What the scanner says it is.
    pub found: String,
    /// The route that it was sent to.
    pub route: String,
    /// The id of the request.
    pub request_id: String,
    /// The client's address.
    pub client: Option<String>,
    /// Who sent it, when that was known.
    pub principal: Option<String>,
}

/// Lists and removes them. Calls read the disk.
pub trait Quarantine: Send + Sync + 'static {
    /// All, the oldest first.
    fn list(&self) -> Vec<Quarantined>;

    /// Removes one. False: there is none of this id.
    fn remove(&self, id: &str) -> bool;
}
