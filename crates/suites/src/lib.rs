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
    use std::env;

    /// Whether a test may run that needs a program. A machine that must have everything says so.
    pub(crate) fn has(program: &str) -> bool {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&path).any(|folder| folder.join(program).is_file());
        let must = env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
        assert!(found || !must, "{program} is missing");
        if !found {
            eprintln!("skipped: {program} is missing");
        }
        found
    }

    #[test]
    fn every_inspection_tells_its_samples_apart() {
        let folder = tempfile::tempdir().unwrap();
        let for_pages = ["testing.e2e", "testing.frontend-component", "testing.visual"];
        let with_node = has("node");
        let mut all = super::all();
        all.retain(|inspection| with_node || !for_pages.contains(&inspection.control()));
        if has("git") && (with_node || has("python3")) {
            seaworthy_repository::exercise(&all, folder.path());
        }
    }
}
