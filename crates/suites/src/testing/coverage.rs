//! `testing.coverage`: the suites are run under a measure of ours; 80% of the app's lines or more are reached, and tests
//! notice changes in them.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::{before_running, begin, samples};
use crate::{
    coverage::{Lines, code_lines, measured_sources},
    mutants::Doubt,
    results::State,
    running::{Session, SuiteRun},
    tools::toolboxes,
};

pub(super) struct Coverage;

/// Of a hundred lines.
const ENOUGH: usize = 80;

impl Inspection for Coverage {
    fn control(&self) -> &'static str {
        "testing.coverage"
    }

    fn runs_code(&self) -> bool {
        true
    }

    fn look(&self, repository: &Repository) -> Sighting {
        before_running(repository, 2, "there is no test, so nothing is covered").unwrap_or_else(|| look(repository))
    }

    fn present(&self) -> Sample {
        samples::checked()
    }

    fn absent(&self) -> Sample {
        samples::hollow()
    }
}

fn look(repository: &Repository) -> Sighting {
    let session = Session::of(repository);
    let mut cases = Cases::plan(2);
    if let Err(why) = begin(&session, &mut cases) {
        return cases.gave_up(why);
    }
    let mut lines = Lines::default();
    for run in &session.runs {
        match &run.lines {
            Ok(own) => lines.merge(own.clone()),
            Err(why) => cases.told_nothing(why.clone()),
        }
    }
    let (could, did) = lines.count();
    if could == 0 {
        return cases.gave_up("no line of the app was measured");
    }
    let mut worst: Vec<(usize, String)> = lines
        .0
        .iter()
        .map(|(path, lines)| (lines.values().filter(|reached| !**reached).count(), path.display().to_string()))
        .collect();
    worst.sort_by_key(|(missing, path)| (std::cmp::Reverse(*missing), path.clone()));
    for (missing, path) in worst.iter().take(10).filter(|(missing, _)| *missing > 0) {
        cases.note(format!("{missing} lines of {path} are not reached"));
    }
    let percent = did * 100 / could;
    let ran = |run: &SuiteRun| run.lines.is_ok() && run.of(State::Passed).next().is_some();
    let whole = session.runs.iter().all(ran);
    if let Some(run) = session.runs.iter().find(|run| run.lines.is_ok() && !ran(run)) {
        let why = run.tests.as_ref().err().cloned().unwrap_or_else(|| "no test passed".into());
        cases.told_nothing(why);
    }
    let failing = session.runs.iter().flat_map(|run| run.of(State::Failed)).count();
    let least = worst.first().map(|(missing, path)| format!("; most are missing in {path} ({missing})"));
    let seen = format!("{percent}% of {could} lines in {} files are reached, tests left out", lines.0.len());
    match (percent >= ENOUGH, whole && failing == 0) {
        (true, true) => cases.tried(true, seen.clone()),
        (false, true) => cases.tried(false, format!("{seen}{}", least.unwrap_or_default())),
        (_, false) if !whole => {}
        (_, false) => cases.told_nothing(format!("{seen}, but {failing} tests fail here")),
    }
    if let Some(why) = unmeasured(repository, &lines, could) {
        cases.told_nothing(why);
    }
    if cases.is_broken() || !session.runs.iter().all(SuiteRun::is_green) {
        return cases.sighting("");
    }
    let doubt = Doubt::of(repository);
    doubt.notes.iter().for_each(|note| cases.note(note.clone()));
    match &doubt.unclear {
        Some(why) => cases.told_nothing(why.clone()),
        None => cases.tried(doubt.is_enough(), doubt.told()),
    }
    cases.sighting(format!("{seen}; {}", doubt.told()))
}

/// A front end without a test of its own would not be seen beside a back end with many.
fn unmeasured(repository: &Repository, lines: &Lines, could: usize) -> Option<String> {
    let mut left = 0;
    let mut languages = Vec::new();
    for toolbox in toolboxes() {
        let project = repository.manifests().all.keys().any(|(_, language)| *language == toolbox.language);
        let sources = measured_sources(repository, toolbox, std::path::Path::new(""));
        let missed = sources.iter().filter(|path| !lines.0.contains_key(*path));
        let count: usize =
            missed.filter_map(|path| repository.sources().get(path)).map(|one| code_lines(one).count()).sum();
        if project && count > 0 {
            left += count;
            languages.push(toolbox.language.as_str());
        }
    }
    (left * 4 > could)
        .then(|| format!("{left} lines of {} belong to no suite that is measured", languages.join(" and ")))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn seen(sample: &Sample) -> Sighting {
        let folder = tempfile::tempdir().unwrap();
        sample.write(folder.path()).unwrap();
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.may_run = true;
        Coverage.look(&repository)
    }

    #[test]
    fn a_file_that_no_test_loads_counts() {
        let forgotten: String = (0..40).map(|number| format!("x{number} = {number}\n")).collect();
        let sighting = seen(&samples::checked().with(&[("forgotten.py", &forgotten)]));
        assert!(matches!(&sighting.outcome, Outcome::Broken(why) if why.contains("forgotten.py")), "{sighting:?}");
    }

    #[test]
    fn a_front_end_without_tests_is_not_overlooked() {
        let forgotten: String = (0..40).map(|number| format!("const x{number} = {number};\n")).collect();
        let sample = samples::checked().with(&[("web/package.json", "{}"), ("web/src/app.js", &forgotten)]);
        let sighting = seen(&sample);
        assert!(matches!(&sighting.outcome, Outcome::Unclear(why) if why.contains("javascript")), "{sighting:?}");
    }

    #[test]
    fn tests_that_fail_measure_nothing() {
        assert!(matches!(seen(&samples::failing()).outcome, Outcome::Unclear(_)));
    }

    #[test]
    fn node_is_measured_too() {
        if !crate::tests::has("node") {
            return;
        }
        let sample = Sample::of(&[
            ("package.json", "{\"type\": \"module\", \"scripts\": {\"test\": \"node --test\"}}\n"),
            (
                "a.js",
                "export const a = (x) => {\n  if (x === 1) {\n    return 1;\n  }\n  if (x > 5) {\n    return 6;\n  }\n  return 2 * x;\n};\n",
            ),
            (
                "a.test.js",
                "import test from 'node:test';\nimport assert from 'node:assert';\nimport { a } from './a.js';\n\ntest('a', () => { assert.equal(a(1), 1); assert.equal(a(2), 4); assert.equal(a(6), 6); assert.equal(a(5), 10); });\n",
            ),
        ]);
        let sighting = seen(&sample);
        assert_eq!(sighting.outcome, Outcome::Holds, "{sighting:?}");
        assert!(sighting.observed.starts_with("100% of "), "{sighting:?}");
    }
}
