//! Containers, and how they are deployed.

mod release;

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    release::all()
}
