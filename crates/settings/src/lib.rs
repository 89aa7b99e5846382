//! What an app is told: its configuration, and the secrets that stand where none may be.
//!
//! One file a control, below its area. An inspection reads a [`Repository`](seaworthy_repository::Repository) and runs
//! nothing of it. To add one: write it beside the others and name it in its area's `all`.

mod config;
mod secrets;

use seaworthy_repository::Inspection;

/// Every inspection of this room.
pub fn all() -> Vec<Box<dyn Inspection>> {
    [config::all(), secrets::all()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_inspection_tells_its_samples_apart() {
        let folder = tempfile::tempdir().unwrap();
        seaworthy_repository::exercise(&super::all(), folder.path());
    }
}
