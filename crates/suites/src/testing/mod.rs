//! The project's own tests: which kinds there are, how much they reach, whether they hold.

mod coverage;
mod coverage_report;
mod kind;
mod load;
mod passing;
mod samples;
mod security;

use seaworthy_repository::{Cases, Inspection, Repository, Sighting};

use crate::running::{Session, tests_of};

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    let mut all: Vec<Box<dyn Inspection>> = vec![
        Box::new(coverage::Coverage),
        Box::new(coverage_report::CoverageReport),
        Box::new(load::Load),
        Box::new(passing::Passing),
        Box::new(security::Security),
    ];
    all.extend(kind::all());
    all
}

/// What is missing when nothing may run.
pub(crate) const NOT_ALLOWED: &str = "nothing of the project was run; allow that, in a copy, with --run-tests";

/// What is known without running a test: there is none, or nothing may run. `absent` says what it means that there is none.
fn before_running(repository: &Repository, planned: usize, absent: &str) -> Option<Sighting> {
    let tests = tests_of(repository);
    if tests.count() == 0 && repository.declared.test_command.is_none() {
        let mut cases = Cases::plan(planned);
        if let Some(why) = repository.not_whole() {
            return Some(cases.gave_up(why));
        }
        cases.tried(false, absent);
        return Some(cases.sighting(""));
    }
    let seen = || format!("{} tests in {} files; {NOT_ALLOWED}", tests.count(), tests.files.len());
    (!repository.may_run).then(|| Sighting::not_tried(seen()))
}

/// Takes over what a session has to say.
///
/// # Errors
///
/// Why nothing could run.
fn begin(session: &Session, cases: &mut Cases) -> Result<(), String> {
    session.notes.iter().for_each(|note| cases.note(note.clone()));
    session.sandbox().map(|_| ()).map_err(str::to_owned)
}
