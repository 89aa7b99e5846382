//! Reads an app's code as syntax trees: structure, types, documentation, habits.
//!
//! One file a control, in `controls`. To add one: write it beside the others and name it in [`all`].

mod code;
mod controls;
mod grammar;
mod habits;
mod layers;
mod module;
mod pages;
mod reading;
mod resolve;
mod shipped;
mod sql;
mod tsconfig;

use seaworthy_repository::Inspection;

pub use sql::{GluedSql, glued_sql};

/// Every inspection of this room.
pub fn all() -> Vec<Box<dyn Inspection>> {
    controls::all()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_inspection_tells_its_samples_apart() {
        let folder = tempfile::tempdir().unwrap();
        seaworthy_repository::exercise(&super::all(), folder.path());
    }
}
