//! When evidence was collected and until when it counts.

use jiff::Timestamp;
use seaworthy_evidence::{Finding, Report};

/// When the run began; 1970 if the report does not say.
pub(crate) fn collected(report: &Report) -> Timestamp {
    report.target.time.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Until when this evidence counts; `None` when nothing was seen, or said, that could grow old.
pub(crate) fn expires(finding: &Finding) -> Option<Timestamp> {
    finding.expires.as_deref().and_then(|end| end.parse().ok())
}

/// The first evidence to run out, of all that closes a box.
pub(crate) fn next_expiry(report: &Report) -> Option<Timestamp> {
    let closing = report.findings.values().filter(|finding| finding.verdict.closes());
    closing.filter_map(expires).min()
}
