//! How a verdict is shown to people: a sign and a word. Colour is never the only difference.

use seaworthy_evidence::{Report, Verdict};

/// One character; different for each verdict.
pub(crate) fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✔",
        Verdict::Attested => "✍",
        Verdict::Fail => "✘",
        Verdict::Error => "!",
        Verdict::Inconclusive => "?",
        Verdict::Expired => "↻",
        Verdict::NotApplicable => "–",
        Verdict::NotRun => "◌",
    }
}

/// As in a sentence.
pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotApplicable => "not applicable",
        Verdict::NotRun => "not run",
        other => other.word(),
    }
}

/// The whole run in one sentence, as its exit status has it.
pub(crate) fn outcome(report: &Report) -> &'static str {
    match report.exit_status() {
        0 => "Everything that applies is proven or attested.",
        1 => "Something failed.",
        2 => "Nothing failed, but something is still open.",
        _ if report.items.iter().any(|item| item.verdict == Verdict::Error) => "A probe ended with an error.",
        _ => "Nothing was tried.",
    }
}
