//! What else is known of a control than this run saw: what earlier evidence says, what people say, what the team does
//! without.

use jiff::Timestamp;
use seaworthy_checklist::{Catalogue, ControlKind};
use seaworthy_core::Clock;
use seaworthy_evidence::{
    Attested, Finding, Record, Scope, Standing, Target, Verdict, attested, seen_then, standing, time, was_seen_to_fail,
};

/// What could not be tried now, or did not tell, may stand from an earlier run or by people's word. What was seen now always
/// comes first.
pub(crate) fn with_past(tried: Finding, probed: bool, past: &[Record], target: &Target, clock: &dyn Clock) -> Finding {
    let now = time(clock);
    let known = Catalogue::built_in().find(&tried.control);
    let mut finding = tried;
    if finding.verdict == Verdict::NotRun {
        match standing(&finding.control, known, past, target, now) {
            Some(Standing::Holds { finding: then, time, expires }) => {
                let reason = format!("seen on {time}, and counts until {expires}: {}", then.reason);
                finding = Finding { reason, expires: Some(expires), ..*then };
            }
            Some(Standing::Stale { time, why }) => {
                finding.verdict = Verdict::Expired;
                finding.reason = format!("held on {time}; {why}; now {}", finding.reason);
            }
            None => {}
        }
    }
    by_word(finding, probed, past, target, now)
}

/// People answer for what no probe can tell, and never against one that saw it fail. Where a probe tries their control too,
/// its part must have been seen: now, or then of the same release and config. Else whoever fears the look would leave it
/// out, and their word would do.
fn by_word(mut finding: Finding, probed: bool, past: &[Record], target: &Target, now: Timestamp) -> Finding {
    let known = Catalogue::built_in().find(&finding.control);
    let open = matches!(finding.verdict, Verdict::NotRun | Verdict::Inconclusive);
    if !open || was_seen_to_fail(&finding.control, past) {
        return finding;
    }
    // What a probe tries to its end, no word replaces: it may be from before there was one.
    if probed && known.is_none_or(|control| control.kind != ControlKind::Attest) {
        return finding;
    }
    let said = attested(&finding.control, &Scope::new(known, target.environment.as_deref()), past, now);
    let looked = finding.verdict == Verdict::Inconclusive || finding.executed > 0;
    let look = match (probed, looked) {
        (false, _) => String::new(),
        (true, true) => format!("; the look: {}", finding.reason),
        (true, false) => match seen_then(&finding.control, known, past, target, now) {
            Some(time) => format!("; looked at on {time}, and now {}", finding.reason),
            None => {
                if let Some(Attested::Holds { by, .. }) = said {
                    finding.reason =
                        format!("{}; {by} vouches for it, which counts with a look at this release", finding.reason);
                }
                return finding;
            }
        },
    };
    match said {
        Some(Attested::Holds { by, approved_by, because, until }) => {
            finding.verdict = Verdict::Attested;
            finding.reason = format!("{by} vouches for it until {until}, approved by {approved_by}: {because}{look}");
            finding.expires = Some(format!("{until}T23:59:59Z"));
        }
        Some(Attested::Unapproved { by, until, .. }) => {
            finding.reason = format!(
                "{by} vouches for it until {until}, and a second person must approve: seaworthy attest {} --approve --by NAME{look}",
                finding.control
            );
        }
        Some(Attested::Expired { by, until }) => {
            finding.verdict = Verdict::Expired;
            finding.reason = format!("{by} vouched for it until {until}; attest it again{look}");
        }
        Some(Attested::Outdated { by }) => {
            finding.verdict = Verdict::Expired;
            finding.reason =
                format!("{by} vouched for it, and what it asks for has changed since; attest it again{look}");
        }
        None => {}
    }
    finding
}

/// A control that the team does without. Nothing is tried, so nothing is proven: it is no tick, and every report shows why.
pub(crate) fn waived(control: &str, because: &str) -> Finding {
    let reason = format!("waived by the team: {because}");
    Finding { verdict: Verdict::NotApplicable, ..Finding::not_run(control, &reason) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seaworthy_core::FixedClock;
    use seaworthy_evidence::{Content, Ledger, SigningKey, Statement, verify};

    use super::*;

    /// A ledger that saw `control` so, for this commit.
    fn past(control: &str, verdict: Verdict, commit: &str) -> (tempfile::TempDir, Vec<Record>, Target) {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::open(&folder.path().join("key.pem")).unwrap();
        let path = folder.path().join("evidence.jsonl");
        let mut ledger = Ledger::open(&path, key, Duration::from_secs(86_400)).unwrap();
        let target = Target { commit: Some(commit.into()), ..Target::default() };
        let mut finding = Finding { verdict, ..Finding::not_run(control, "seen") };
        ledger.append(&mut finding, Vec::new(), &target, &FixedClock(0)).unwrap();
        let records = verify(&path, ledger.key().public(), None).unwrap().content;
        (folder, records, target)
    }

    #[test]
    fn what_cannot_be_tried_now_stands_from_then_only_for_the_same_release() {
        const CONTROL: &str = "edge.https-only";
        let (_folder, records, target) = past(CONTROL, Verdict::Pass, "a");
        let now = |tried: Verdict, target: &Target| {
            let finding = Finding { verdict: tried, ..Finding::not_run(CONTROL, "no address") };
            with_past(finding, true, &records, target, &FixedClock(1_000_000)).verdict
        };
        assert_eq!(now(Verdict::NotRun, &target), Verdict::Pass);
        assert_eq!(now(Verdict::Fail, &target), Verdict::Fail, "what is seen now comes first");
        assert_eq!(now(Verdict::Inconclusive, &target), Verdict::Inconclusive);
        let other = Target { commit: Some("b".into()), ..target.clone() };
        assert_eq!(now(Verdict::NotRun, &other), Verdict::Expired);
        let unknown = Target { commit: None, ..target.clone() };
        assert_eq!(now(Verdict::NotRun, &unknown), Verdict::Expired);
        let elsewhere = Target { admin: Some("http://127.0.0.1:9900".into()), ..target };
        assert_eq!(now(Verdict::NotRun, &elsewhere), Verdict::NotRun);
    }

    /// A control that people answer for, and that a probe looks at too.
    const FOR_PEOPLE: &str = "docs.runbooks";
    const NOW: i64 = 1_000_000_000_000;

    /// A ledger with looks at a control, each at its release, and perhaps two people's word for it.
    struct Kept {
        folder: tempfile::TempDir,
        ledger: Ledger,
    }

    impl Kept {
        fn new(control: &str, looks: &[(Verdict, usize, &str)], until: Option<&str>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let key = SigningKey::open(&folder.path().join("key.pem")).unwrap();
            let path = folder.path().join("evidence.jsonl");
            let ledger = Ledger::open(&path, key, Duration::from_secs(86_400 * 30)).unwrap();
            let mut kept = Self { folder, ledger };
            for (verdict, executed, commit) in looks {
                let mut finding =
                    Finding { verdict: *verdict, executed: *executed, ..Finding::not_run(control, "seen then") };
                kept.ledger.append(&mut finding, Vec::new(), &at(commit), &FixedClock(NOW)).unwrap();
            }
            if let Some(until) = until {
                let scope = Scope::new(Catalogue::built_in().find(control), None);
                let now = "1970-01-01T00:00:00Z".parse().unwrap();
                let said = Statement::holds(control, "Ann", None, "report 17", Some(until.parse().unwrap()), now);
                kept.keep(said.unwrap().within(scope.clone()));
                let approval = Statement::approves(control, "Ben", "", &scope, &kept.records(), now).unwrap();
                kept.keep(approval);
            }
            kept
        }

        fn keep(&mut self, said: Statement) {
            self.ledger.keep(Content::Statement(said), &FixedClock(NOW)).unwrap();
        }

        fn records(&self) -> Vec<Record> {
            let found = verify(&self.folder.path().join("evidence.jsonl"), self.ledger.key().public(), None).unwrap();
            assert!(found.problems.is_empty(), "{:?}", found.problems);
            found.content
        }
    }

    fn at(commit: &str) -> Target {
        Target { commit: Some(commit.into()), ..Target::default() }
    }

    #[test]
    fn a_persons_word_and_a_probes_look() {
        use Verdict::{Attested, Error, Expired, Fail, Inconclusive, NotApplicable, NotRun, Pass};
        const DAY: Option<&str> = Some("1970-06-01");
        const GONE: Option<&str> = Some("1970-01-02");
        // The control; looks before; the word's last day; what this run came to and how many cases it tried; is there a
        // probe; what it must come to.
        type Case<'a> = (&'a str, &'a [(Verdict, usize, &'a str)], Option<&'a str>, (Verdict, usize), bool, Verdict);
        let people = FOR_PEOPLE;
        let cases: [Case<'_>; 22] = [
            // Nobody can look: the word is all there is.
            ("process.security-audit", &[], DAY, (NotRun, 0), false, Attested),
            ("process.security-audit", &[], GONE, (NotRun, 0), false, Expired),
            ("process.security-audit", &[], None, (NotRun, 0), false, NotRun),
            // The look saw its part, or could not tell: the rest is a person's.
            (people, &[], DAY, (NotRun, 2), true, Attested),
            (people, &[], GONE, (NotRun, 2), true, Expired),
            (people, &[], DAY, (Inconclusive, 1), true, Attested),
            (people, &[], None, (Inconclusive, 1), true, Inconclusive),
            // The look could have been made, and was not.
            (people, &[], DAY, (NotRun, 0), true, NotRun),
            (people, &[(NotRun, 2, "a")], DAY, (NotRun, 0), true, Attested),
            (people, &[(NotRun, 2, "b")], DAY, (NotRun, 0), true, NotRun),
            (people, &[(NotRun, 2, "a")], GONE, (NotRun, 0), true, Expired),
            (people, &[(Inconclusive, 1, "a")], DAY, (NotRun, 0), true, NotRun),
            (people, &[(NotRun, 2, "a"), (NotRun, 0, "a")], DAY, (NotRun, 0), true, Attested),
            // Somebody saw it fail, now or at last.
            (people, &[], DAY, (Fail, 1), true, Fail),
            (people, &[(Fail, 1, "a")], DAY, (NotRun, 0), true, NotRun),
            (people, &[(Fail, 1, "a")], DAY, (Inconclusive, 1), true, Inconclusive),
            (people, &[(Fail, 1, "a"), (NotRun, 2, "a")], DAY, (NotRun, 0), true, Attested),
            // What else was seen now stays.
            (people, &[], DAY, (NotApplicable, 0), true, NotApplicable),
            (people, &[], DAY, (Error, 0), true, Error),
            // What a probe tries to its end, no word replaces: not even one from before there was a probe.
            ("edge.https-only", &[], DAY, (Inconclusive, 1), true, Inconclusive),
            ("edge.https-only", &[], DAY, (NotRun, 0), true, NotRun),
            ("edge.https-only", &[(Pass, 2, "a")], DAY, (NotRun, 0), true, Pass),
        ];
        for (index, (control, looks, until, (verdict, executed), probed, wanted)) in cases.into_iter().enumerate() {
            let kept = Kept::new(control, looks, until);
            let tried = Finding { verdict, executed, ..Finding::not_run(control, "what was seen now") };
            let found = with_past(tried, probed, &kept.records(), &at("a"), &FixedClock(NOW));
            assert_eq!(found.verdict, wanted, "case {index} ({control}): {}", found.reason);
            if probed && wanted == Attested {
                assert!(found.reason.contains("what was seen now"), "case {index}: {}", found.reason);
            }
        }
    }

    #[test]
    fn a_waived_control_is_no_tick_and_says_why() {
        let finding = waived("edge.cors", "the widget is meant for every page");
        assert!(!finding.verdict.closes() && finding.executed == 0);
        assert_eq!(finding.reason, "waived by the team: the widget is meant for every page");
    }
}
