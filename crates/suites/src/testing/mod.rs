//! The project's own tests: which kinds there are, how much they reach, whether they hold.

mod coverage;
mod coverage_report;
mod kind;
mod load;
mod passing;
mod samples;
mod security;

use seaworthy_repository::Inspection;

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
