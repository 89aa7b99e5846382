//! `testing.coverage-report`: the pipeline of the main branch measures coverage and publishes it.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::pipeline::Pipelines;

pub(super) struct CoverageReport;

pattern!(MEASURES: r"--cov\b|--cov=|\bcoverage (?:run|xml|report|html|json|lcov)\b|--coverage\b|\bcoverage\.enabled|\bnyc\b|\bc8\b|-coverprofile|\bllvm-cov\b|\btarpaulin\b|\bsimplecov\b|COVERAGE=|experimental-test-coverage|test:cov(?:erage)?\b|jacoco|coverlet|collect:\W*XPlat|--collect-coverage|addopts\s*=.*--cov");
pattern!(PUBLISHES: r"(?i)\bcodecov\b|\bcoveralls|\bcodacy\b|\bsonar(?:qube|cloud|source|-scanner)?\b|\bcodeclimate\b|\bqlty\b|coverage-badge|coverage-comment|lcov-reporter|jest-coverage-report|vitest-coverage-report|uses: actions/upload-artifact[^\n]*(?:cov|lcov)|uses: actions/upload-pages-artifact[^\n]*cov|coverage_report|^coverage: |PublishCodeCoverageResults|octocov|coverage[^\n]*GITHUB_STEP_SUMMARY|smokeshow|store_artifacts[^\n]*cov");

impl Inspection for CoverageReport {
    fn control(&self) -> &'static str {
        "testing.coverage-report"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        workflow(
            "      - run: pytest --cov --cov-report=xml\n      - uses: codecov/codecov-action@v5\n        with:\n          files: coverage.xml\n",
        )
    }

    fn absent(&self) -> Sample {
        workflow("      - run: pytest --cov\n")
    }
}

fn workflow(steps: &str) -> Sample {
    let text = format!("on: [push]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n{steps}");
    Sample::of(&[(".github/workflows/test.yml", &text), ("app.py", "x = 1\n")])
}

fn look(repository: &Repository) -> Sighting {
    let pipelines = Pipelines::of(repository);
    let mut cases = Cases::plan(2);
    if let Some(why) = pipelines.unreadable.first() {
        cases.told_nothing(why.clone());
    }
    if pipelines.files.is_empty() {
        if let Some(why) = repository.not_whole() {
            return cases.gave_up(why);
        }
        cases.tried(false, "no pipeline is kept in the repository, so none publishes coverage");
        return cases.sighting("");
    }
    cases.note(format!("{} steps in {} pipeline files", pipelines.steps.len(), pipelines.files.len()));
    let (measures, publishes) = (pipelines.running(&MEASURES), pipelines.running(&PUBLISHES));
    let config =
        ["setup.cfg", "pyproject.toml", "pytest.ini", "tox.ini", "package.json", "vitest.config.ts", "jest.config.js"];
    let by_config = config.iter().any(|file| {
        repository.text(*file).is_some_and(|text| {
            ["--cov", "collectCoverage\": true", "collectCoverage: true", "enabled: true"]
                .iter()
                .any(|sign| text.contains(sign))
        })
    });
    let all = pipelines.steps.len();
    match (measures, publishes) {
        (Some(step), _) => cases.tried(true, format!("{} measures coverage", step.place)),
        (None, Some(step)) if by_config => {
            cases.tried(true, format!("tests measure coverage by their configuration; {}", step.place))
        }
        (None, Some(step)) => {
            cases.told_nothing(format!("{} publishes coverage, but no step is seen to measure it", step.place))
        }
        (None, None) => cases.tried(false, format!("none of {all} pipeline steps measures coverage")),
    }
    match publishes {
        Some(step) => cases.tried(true, format!("{} publishes it", step.place)),
        None => cases.tried(false, format!("none of {all} pipeline steps publishes coverage")),
    }
    let place = |step: Option<&crate::pipeline::Step>| step.map(|step| step.place.clone()).unwrap_or_default();
    cases.sighting(format!("measured in {}, published in {}", place(measures.or(publishes)), place(publishes)))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(steps: &str) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        workflow(steps).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn what_is_switched_off_publishes_nothing() {
        let upload = "      - run: npx vitest run --coverage\n      - uses: coverallsapp/github-action@v2\n";
        assert_eq!(outcome(upload), Outcome::Holds);
        assert!(matches!(outcome(&format!("{upload}        if: false\n")), Outcome::Broken(_)));
        assert!(matches!(
            outcome("      - run: pytest --cov\n      # - uses: codecov/codecov-action@v5\n"),
            Outcome::Broken(_)
        ));
        assert!(matches!(outcome("      - uses: codecov/codecov-action@v5\n"), Outcome::Unclear(_)));
    }
}
