//! `ci.automated-tests`: the pipeline runs the tests on each proposed change, and their failure counts.

use std::path::Path;

use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting, is_test,
    pipeline::{Occasions, Purpose},
};

use super::gate::{Gate, Wanted, gate, listed};

pub(super) struct AutomatedTests;

const WANTED: Wanted<'static> = Wanted {
    purpose: Purpose::Test,
    name: "tests",
    when: Occasions::before_merge,
    when_name: "on each proposed change",
    hints: &[],
    others: &[
        "publish",
        "release",
        "provenance",
        "docs",
        "msrv",
        "slsa",
        "stale",
        "label",
        "changelog",
        "lint",
        "format",
    ],
};

impl Inspection for AutomatedTests {
    fn control(&self) -> &'static str {
        "ci.automated-tests"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample("pytest -q")
    }

    fn absent(&self) -> Sample {
        sample("pytest -q || true")
    }
}

fn sample(command: &str) -> Sample {
    let text = format!(
        "on: [push, pull_request]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: {command}\n"
    );
    let test = "from app import add\n\ndef test_add():\n    assert add(1, 2) == 3\n";
    let app = "def add(a, b):\n    return a + b\n";
    Sample::of(&[(".github/workflows/ci.yml", &text), ("tests/test_app.py", test), ("app.py", app)]).committed()
}

fn look(repository: &Repository) -> Sighting {
    let mut cases = Cases::plan(2);
    let strict;
    let summary = match gate(repository, &WANTED) {
        Gate::Holds(runs) => {
            runs.iter().for_each(|run| cases.note(format!("{} at {}", run.placed.name(), run.placed.place())));
            cases.tried(true, format!("{} runs of tests count", runs.len()));
            strict = runs
                .iter()
                .all(|run| ["go test", "cargo test", "Django's tests", "unittest"].contains(&run.tool.name.as_str()));
            format!(
                "{} run{} of tests on each proposed change can fail it: {}",
                runs.len(),
                if runs.len() == 1 { "" } else { "s" },
                listed(&runs)
            )
        }
        Gate::Broken(why) => {
            cases.tried(false, why);
            return cases.sighting("");
        }
        Gate::Unclear(why) => return cases.gave_up(why),
    };
    let tests = repository.files().filter(|path| is_of_tests(path)).count();
    let inside =
        |source: &seaworthy_repository::Source| source.code.contains("#[test]") || source.code.contains("::test]");
    let within = repository.sources().values().filter(|source| inside(source)).count();
    match (tests + within, repository.not_whole()) {
        (0, Some(cut)) => cases.told_nothing(cut),
        // These pass when there is nothing to run.
        (0, None) if strict => cases.tried(false, "the pipeline runs tests, but no file of the repository is one"),
        (0, None) => cases.told_nothing("the pipeline runs tests, but no file of the repository is one that we know"),
        (count, _) => cases.tried(true, format!("{count} files with tests")),
    }
    cases.sighting(format!("{summary}; {} files with tests", tests + within))
}

/// Whether a file has tests, by the names of more languages than are read.
fn is_of_tests(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let named = ["test", "tests", "spec", "specs"].contains(&stem.to_lowercase().as_str());
    is_test(path) || named || ["Test", "Tests", "Spec", "IT"].iter().any(|end| stem.ends_with(end))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample("npm test").with(files).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn a_script_that_is_no_test_is_none() {
        let package = |script: &str| format!("{{\"scripts\": {{\"test\": \"{script}\"}}}}");
        let of = |script: &str| outcome(&[("package.json", &package(script))]);
        assert_eq!(of("jest"), Outcome::Holds);
        assert!(matches!(of("echo \\\"Error: no test specified\\\" && exit 1"), Outcome::Broken(_)));
        assert!(matches!(of("exit 0"), Outcome::Broken(_)));
        assert!(matches!(of("jest; exit 0"), Outcome::Broken(_)));
        assert!(matches!(of("node scripts/run.js"), Outcome::Broken(_) | Outcome::Unclear(_)));
        // It calls a script that is not there: what it would run cannot be told.
        assert!(matches!(outcome(&[]), Outcome::Unclear(_)));
    }

    #[test]
    fn what_another_repository_runs_cannot_be_told() {
        let text = "on: pull_request\njobs:\n  ci:\n    uses: org/shared/.github/workflows/test.yml@v1\n";
        assert!(matches!(outcome(&[(".github/workflows/ci.yml", text)]), Outcome::Unclear(_)));
    }

    #[test]
    fn tests_that_are_not_there_do_not_run() {
        let folder = tempfile::tempdir().unwrap();
        sample("go test ./...").without("tests/test_app.py").write(folder.path()).unwrap();
        let seen = look(&Repository::open(folder.path()).unwrap());
        assert!(matches!(seen.outcome, Outcome::Broken(_)), "{seen:?}");
    }
}
