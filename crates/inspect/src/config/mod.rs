//! Configuration: what the code reads and what the repository says of it.

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    Vec::new()
}
