//! When evidence was collected and until when it counts.

use jiff::{SignedDuration, Timestamp};
use seaworthy_evidence::{Finding, Report, VALID_DAYS};

/// When the run began; 1970 if the report does not say.
pub(crate) fn collected(report: &Report) -> Timestamp {
    report.target.time.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Until when this evidence counts; `None` when nothing was seen that could grow old.
pub(crate) fn expires(report: &Report, finding: &Finding) -> Option<Timestamp> {
    // A person's word has a date of its own, which the reason names.
    (finding.executed > 0)
        .then(|| collected(report).saturating_add(SignedDuration::from_hours(24 * VALID_DAYS)).ok())
        .flatten()
}

/// The first evidence to run out, of all that closes a box.
pub(crate) fn next_expiry(report: &Report) -> Option<Timestamp> {
    let closing = report.findings.values().filter(|finding| finding.verdict.closes());
    closing.filter_map(|finding| expires(report, finding)).min()
}
