//! Containers and how they are started.

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    Vec::new()
}
