//! `testing.passing`: every suite is run here, tests are collected, and none fails.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::{before_running, begin, samples};
use crate::{
    results::{State, Test},
    running::{Session, SuiteRun, excuse},
};

pub(super) struct Passing;

impl Inspection for Passing {
    fn control(&self) -> &'static str {
        "testing.passing"
    }

    fn runs_code(&self) -> bool {
        true
    }

    fn look(&self, repository: &Repository) -> Sighting {
        before_running(repository, 1, "there is no test").unwrap_or_else(|| look(&Session::of(repository)))
    }

    fn present(&self) -> Sample {
        samples::checked()
    }

    fn absent(&self) -> Sample {
        samples::failing()
    }
}

fn look(session: &Session) -> Sighting {
    let mut cases = Cases::plan(session.suites.len());
    if let Err(why) = begin(session, &mut cases) {
        return cases.gave_up(why);
    }
    for run in &session.runs {
        let name = session.suites.get(run.suite).map_or("", |suite| suite.name.as_str());
        judge(&mut cases, run, name, &mut run.tests.iter().flatten());
        for skipped in run.of(State::Skipped).take(20) {
            let why = skipped.detail.lines().next().unwrap_or_default();
            cases.note(format!("skipped: {} {why}", skipped.name));
        }
    }
    let count = |state| session.runs.iter().map(|run| run.of(state).count()).sum::<usize>();
    let (passed, skipped) = (count(State::Passed), count(State::Skipped));
    let names: Vec<&str> = session.suites.iter().map(|suite| suite.name.as_str()).collect();
    cases.sighting(format!("{passed} tests passed, 0 failed, {skipped} skipped ({})", names.join(", ")))
}

/// One case: some of these tests passed, and none failed.
pub(super) fn judge(cases: &mut Cases, run: &SuiteRun, name: &str, tests: &mut dyn Iterator<Item = &Test>) {
    if let Err(why) = &run.tests {
        return cases.told_nothing(why.clone());
    }
    let tests: Vec<&Test> = tests.collect();
    let of = |state| tests.iter().filter(move |test| test.state == state);
    let passed = of(State::Passed).count();
    let (excused, failed): (Vec<&&Test>, Vec<&&Test>) = of(State::Failed).partition(|test| excuse(test).is_some());
    if let Some(first) = failed.first() {
        let why: String = first
            .detail
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("")
            .trim()
            .chars()
            .take(160)
            .collect();
        let named = if first.name.is_empty() { "a test" } else { &first.name };
        return cases
            .tried(false, format!("{} of {} tests fail with {name}: {named} {why}", failed.len(), tests.len()));
    }
    if let Some(first) = excused.first() {
        let why = excuse(first).unwrap_or_default();
        return cases.told_nothing(format!(
            "{} of {} tests did not run here: {} {why}",
            excused.len(),
            tests.len(),
            first.name
        ));
    }
    if passed == 0 {
        return cases.told_nothing(format!("{name} passed none of {} collected tests", tests.len()));
    }
    if !run.ran.succeeded() {
        let status = run.ran.status.map_or("a signal".into(), |status| status.to_string());
        return cases.told_nothing(format!("no test fails, yet {name} ends with {status}: {}", run.ran.last_words()));
    }
    cases.tried(true, format!("{passed} of {} tests passed with {name}", tests.len()));
}
