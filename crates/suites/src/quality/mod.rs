//! The project's own linters, formatters, type checkers and hooks: set up, clean, and awake.

mod check;
mod found;
mod precommit;
mod samples;

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    let mut all: Vec<Box<dyn Inspection>> = vec![Box::new(precommit::PreCommit)];
    all.extend(check::all());
    all
}
