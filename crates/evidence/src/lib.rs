//! What was seen of each control and what that means for each item, and the ledger that keeps it.

mod finding;
mod ledger;
mod report;
mod target;
mod verdict;

pub use finding::{Experiment, Finding, ProbeKind, SafetyClass};
pub use ledger::{Ledger, LedgerError, VALID_DAYS};
pub use report::{ControlReport, Report, ReportItem};
pub use target::Target;
pub use verdict::Verdict;
