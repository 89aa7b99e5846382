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
}
