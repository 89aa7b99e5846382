//! How an app is put into containers and started: images, compositions, clusters, platforms, and every command of them.
//!
//! `container` and `runs` read; `deploy` inspects, one file a control. An inspection reads a
//! [`Repository`](seaworthy_repository::Repository) and runs nothing of it. To add one: write it beside the others and
//! name it in its `all`.

mod container;
mod deploy;
pub mod engines;
mod runs;

use seaworthy_repository::Inspection;

pub use container::{Cluster, Composition, Container, Image, Instruction, Purpose, Recipe, Service};
pub use runs::{Run, Runs, When};

/// Every inspection of this room.
pub fn all() -> Vec<Box<dyn Inspection>> {
    deploy::all()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_inspection_tells_its_samples_apart() {
        let folder = tempfile::tempdir().unwrap();
        seaworthy_repository::exercise(&super::all(), folder.path());
    }
}
