//! Documents: whether they are there, are no templates, and say what is so.

mod licence;

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    vec![Box::new(licence::Licence)]
}
