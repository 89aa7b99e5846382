//! What earlier evidence still says of a control.
//!
//! Evidence is of one release, one config and one meaning of the control. When any of them is another now, or its day has
//! passed, it says that the control *held*, not that it holds.

use jiff::Timestamp;
use seaworthy_checklist::Control;

use crate::{
    finding::Finding,
    record::{Content, Record, Seen, meaning},
    target::Target,
    verdict::Verdict,
};

/// What the ledger says of a control.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It was seen to hold, and nothing that matters has changed.
    Holds {
        /// What was seen.
        finding: Box<Finding>,
        /// When.
        time: String,
        /// Until when it counts.
        expires: String,
    },
    /// It was seen to hold, and that no longer counts.
    Stale {
        /// When it held.
        time: String,
        /// What is another now.
        why: String,
    },
}

/// The last word of a probe on a control in this place, if that was a pass: does it still count? A place is an address, an
/// environment and a folder of source; what was seen in another one says nothing here.
pub fn standing(
    control: &str,
    known: Option<&Control>,
    records: &[Record],
    target: &Target,
    now: Timestamp,
) -> Option<Standing> {
    let said = records.iter().rev().find_map(|record| match &record.content {
        Content::Finding(seen) if seen.finding.control == control && seen.target.is_same_place(target) => {
            (seen.finding.verdict != Verdict::NotRun).then_some((record, seen))
        }
        _ => None,
    });
    let (record, seen) = said.filter(|(_, seen)| seen.finding.verdict == Verdict::Pass)?;
    let time = record.time.clone();
    Some(match stale(seen, &record.expires, known, target, now) {
        Some(why) => Standing::Stale { time, why },
        None => Standing::Holds { finding: Box::new(seen.finding.clone()), time, expires: record.expires.clone() },
    })
}

/// When the last look at a control in this place saw its part hold, and nothing that matters has changed since: the part
/// of a control that a person answers for, or the whole of it.
pub fn seen_then(
    control: &str,
    known: Option<&Control>,
    records: &[Record],
    target: &Target,
    now: Timestamp,
) -> Option<String> {
    let (record, seen) = records.iter().rev().find_map(|record| match &record.content {
        Content::Finding(seen) if seen.finding.control == control && seen.target.is_same_place(target) => {
            (seen.finding.executed > 0 || seen.finding.verdict != Verdict::NotRun).then_some((record, seen))
        }
        _ => None,
    })?;
    let held = matches!(seen.finding.verdict, Verdict::NotRun | Verdict::Pass);
    (held && stale(seen, &record.expires, known, target, now).is_none()).then(|| record.time.clone())
}

/// Whether the last probe that looked at a control, wherever it was, saw it fail: then nobody's word closes it.
pub fn was_seen_to_fail(control: &str, records: &[Record]) -> bool {
    let seen = records.iter().rev().find_map(|record| match &record.content {
        Content::Finding(seen) if seen.finding.control == control => {
            // A look that told nothing takes no failure back; one that leaves the rest to a person saw its part hold.
            let told = match seen.finding.verdict {
                Verdict::Fail | Verdict::Pass => true,
                Verdict::NotRun => seen.finding.executed > 0,
                _ => false,
            };
            told.then_some(seen.finding.verdict)
        }
        _ => None,
    });
    seen == Some(Verdict::Fail)
}

/// What is another now than it was then.
fn stale(seen: &Seen, expires: &str, known: Option<&Control>, target: &Target, now: Timestamp) -> Option<String> {
    if expires.parse::<Timestamp>().is_ok_and(|end| end <= now) {
        return Some(format!("it counted until {expires}"));
    }
    if known.is_some_and(|control| meaning(control) != seen.catalogue) {
        return Some("what the control asks for has changed since".into());
    }
    if target.commit.is_none() {
        return Some("which release this is cannot be told (no commit)".into());
    }
    let changed = |what: &str, then: &Option<String>, is: &Option<String>| {
        (then != is).then(|| {
            let short = |value: &Option<String>| {
                value.as_ref().map_or_else(|| "unknown".to_owned(), |value| value.chars().take(12).collect())
            };
            format!("{what} was {} and is {}", short(then), short(is))
        })
    };
    changed("the release", &seen.target.commit, &target.commit)
        .or_else(|| changed("the live release", &seen.target.release, &target.release))
        .or_else(|| changed("the config", &seen.target.config, &target.config))
}

#[cfg(test)]
mod tests {
    use seaworthy_checklist::Catalogue;

    use super::*;

    const CONTROL: &str = "edge.https-only";

    fn target(commit: &str, config: &str) -> Target {
        Target {
            url: Some("https://app".into()),
            commit: Some(commit.into()),
            config: Some(config.into()),
            ..Target::default()
        }
    }

    fn record(verdict: Verdict, target: Target) -> Record {
        let known = Catalogue::built_in().find(CONTROL).unwrap();
        Record {
            sequence: 1,
            previous: String::new(),
            time: "2026-01-01T00:00:00Z".into(),
            expires: "2026-04-01T00:00:00Z".into(),
            content: Content::Finding(Box::new(Seen {
                catalogue: meaning(known),
                items: Vec::new(),
                method: "TEST".into(),
                target,
                finding: Finding { verdict, ..Finding::not_run(CONTROL, "seen") },
                transcript: Vec::new(),
                transcript_sha256: String::new(),
            })),
        }
    }

    fn say(records: &[Record], target: &Target, now: &str) -> Option<Standing> {
        standing(CONTROL, Catalogue::built_in().find(CONTROL), records, target, now.parse().unwrap())
    }

    #[test]
    fn it_holds_until_the_release_the_config_or_the_day_is_another() {
        let records = [record(Verdict::Pass, target("a", "1"))];
        let day = "2026-02-01T00:00:00Z";
        assert!(matches!(say(&records, &target("a", "1"), day), Some(Standing::Holds { .. })));
        for (place, now, word) in [
            (target("b", "1"), day, "release"),
            (target("a", "2"), day, "config"),
            (target("a", "1"), "2026-04-01T00:00:00Z", "counted until"),
        ] {
            let Some(Standing::Stale { why, .. }) = say(&records, &place, now) else { panic!("{word}") };
            assert!(why.contains(word), "{why}");
        }
        let live = Target { release: Some("1.1".into()), ..target("a", "1") };
        let Some(Standing::Stale { why, .. }) = say(&records, &live, day) else { panic!("the live release") };
        assert!(why.contains("live release was unknown and is 1.1"), "{why}");
        let mut other = records.clone();
        let Content::Finding(seen) = &mut other[0].content else { unreachable!() };
        seen.catalogue = "other".into();
        assert!(matches!(say(&other, &target("a", "1"), day), Some(Standing::Stale { .. })));
    }

    #[test]
    fn only_the_last_word_in_the_same_place_counts() {
        let day = "2026-02-01T00:00:00Z";
        let pass = record(Verdict::Pass, target("a", "1"));
        let fail = record(Verdict::Fail, target("a", "1"));
        let not_run = record(Verdict::NotRun, target("a", "1"));
        assert!(say(&[pass.clone(), fail.clone()], &target("a", "1"), day).is_none());
        assert!(matches!(say(&[fail, pass.clone(), not_run], &target("a", "1"), day), Some(Standing::Holds { .. })));
        let elsewhere = Target { environment: Some("staging".into()), ..target("a", "1") };
        assert!(say(&[pass], &elsewhere, day).is_none());
    }

    #[test]
    fn a_failure_stands_until_a_look_tells_otherwise() {
        use Verdict::{Attested, Error, Expired, Fail, Inconclusive, NotApplicable, NotRun, Pass};
        let told = |verdicts: &[(Verdict, usize)]| {
            let look = |(verdict, executed): &(Verdict, usize)| {
                let mut record = record(*verdict, target("a", "1"));
                let Content::Finding(seen) = &mut record.content else { unreachable!() };
                seen.finding.executed = *executed;
                record
            };
            was_seen_to_fail(CONTROL, &verdicts.iter().map(look).collect::<Vec<_>>())
        };
        assert!(!told(&[]) && !told(&[(Pass, 1)]) && told(&[(Fail, 1)]));
        // These tell nothing of it, so the failure stands.
        for nothing in [(NotRun, 0), (Inconclusive, 1), (Error, 0), (NotApplicable, 0), (Expired, 0), (Attested, 0)] {
            assert!(told(&[(Fail, 1), nothing]), "{nothing:?}");
            assert!(!told(&[(Pass, 1), nothing]), "{nothing:?}");
        }
        // These do: it held, or its part did and the rest is a person's to say.
        assert!(!told(&[(Fail, 1), (Pass, 2)]) && !told(&[(Fail, 1), (NotRun, 2)]));
        assert!(told(&[(Fail, 1), (Pass, 2), (Fail, 1)]) && told(&[(NotRun, 2), (Fail, 1), (NotRun, 0)]));
        // Wherever it failed: a word is said of the control, and not of one place.
        let elsewhere = Target { environment: Some("staging".into()), ..target("a", "1") };
        assert!(was_seen_to_fail(CONTROL, &[record(Fail, elsewhere)]));
        assert!(!was_seen_to_fail("edge.cors", &[record(Fail, target("a", "1"))]));
    }

    #[test]
    fn a_part_that_was_seen_counts_for_its_release_alone() {
        let day = "2026-02-01T00:00:00Z";
        let look = |verdict, executed, target| {
            let mut record = record(verdict, target);
            let Content::Finding(seen) = &mut record.content else { unreachable!() };
            seen.finding.executed = executed;
            record
        };
        let then = |records: &[Record], target: &Target, now: &str| {
            seen_then(CONTROL, Catalogue::built_in().find(CONTROL), records, target, now.parse().unwrap()).is_some()
        };
        let seen = [look(Verdict::NotRun, 2, target("a", "1"))];
        assert!(then(&seen, &target("a", "1"), day));
        assert!(!then(&seen, &target("b", "1"), day), "another release");
        assert!(!then(&seen, &target("a", "2"), day), "another config");
        assert!(!then(&seen, &target("a", "1"), "2026-04-01T00:00:00Z"), "too long ago");
        assert!(!then(&seen, &Target { url: None, ..target("a", "1") }, day), "another place");
        assert!(!then(&[look(Verdict::NotRun, 0, target("a", "1"))], &target("a", "1"), day), "no look");
        let worse = [seen[0].clone(), look(Verdict::Inconclusive, 1, target("a", "1"))];
        assert!(!then(&worse, &target("a", "1"), day), "the last look counts");
    }
}
