//! Pipelines, dependencies and tools as a repository declares them.

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    Vec::new()
}
