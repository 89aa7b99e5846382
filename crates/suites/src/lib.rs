//! Finds a project's own tests and tools, runs them in a copy, and doubts them.
//!
//! One file a control, in `testing/` and `quality/`. To add one: write it beside the others and name it in its area's `all`.
//! A test runner or a tool that is not known is an entry in `tools/LANGUAGE.toml`.

#[macro_use]
mod pattern;

mod cases;
mod coverage;
mod drivers;
mod kinds;
mod mutants;
mod pipeline;
mod quality;
mod results;
mod running;
mod sandbox;
mod suites;
mod testing;
mod tools;

use seaworthy_repository::Inspection;

/// Every inspection of this room.
pub fn all() -> Vec<Box<dyn Inspection>> {
    let areas = [quality::all(), testing::all()];
    areas.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_inspection_tells_its_samples_apart() {
        let folder = tempfile::tempdir().unwrap();
        let new = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        seaworthy_repository::exercise(&super::all(), new);
    }
}
