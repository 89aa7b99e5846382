//! `data.dr-plan` and `data.rto-rpo`: written, filled in, with owners, numbers and a drill; the rest a person says.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_containers::Runs;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, calendar, records::Document};

use super::{schema::Schema, stores};

pub(super) struct DisasterRecovery;
pub(super) struct RecoveryObjectives;

/// A drill that is older says little of the system as it is now, in days.
const OLDEST_DRILL: i64 = 180;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static AMOUNT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b\d+(?:[.,]\d+)?\s*(?:s|sec|seconds?|min|minutes?|m|h|hrs?|hours?|days?|d)\b")
        .expect("the pattern is valid")
});

impl Inspection for DisasterRecovery {
    fn control(&self) -> &'static str {
        "data.dr-plan"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        recovery(repository)
    }

    fn present(&self) -> Sample {
        let text = format!(
            "# Disaster recovery plan\n\n| step | owner |\n|---|---|\n| 1. New host from Terraform | Ada Example |\n| 2. Restore the newest backup | Bo Example |\n| 3. Point DNS at it | Ada Example |\n\n\
             Last drill on an empty host: {} (41 minutes, [record](drills/last.md)).\n",
            date(20)
        );
        Sample::of(&[("docs/disaster-recovery.md", &text), ("app.py", "x = 1\n")])
    }

    fn absent(&self) -> Sample {
        let text = "# Disaster recovery plan\n\n1. Restore the backup\n2. Owner: TBD\n";
        Sample::of(&[("docs/disaster-recovery.md", text), ("app.py", "x = 1\n")])
    }
}

impl Inspection for RecoveryObjectives {
    fn control(&self) -> &'static str {
        "data.rto-rpo"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        objectives(repository)
    }

    fn present(&self) -> Sample {
        let text = format!(
            "# Recovery objectives\n\n- RTO: 2 hours\n- RPO: 15 minutes\n\nLast restore drill: {}, took 41 minutes.\n",
            date(20)
        );
        Sample::of(&[("docs/recovery.md", &text), ("app.py", "x = 1\n")])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[("docs/recovery.md", "# Recovery\n\nRTO and RPO are to be agreed.\n"), ("app.py", "x = 1\n")])
    }
}

/// A date so many days ago.
fn date(ago: i64) -> String {
    let wanted = calendar::today() - ago;
    let found = (2020..2100).flat_map(|year| {
        (1..=12).flat_map(move |month| (1..=31).map(move |day| format!("{year}-{month:02}-{day:02}")))
    });
    found.into_iter().find(|date| calendar::days(date) == Some(wanted)).unwrap_or_default()
}

fn recovery(repository: &Repository) -> Sighting {
    let words = ["disaster recovery", "disaster-recovery", "dr plan", "dr-plan", "recovery plan"];
    let documents = Document::all(repository);
    let titled = |document: &&Document| {
        let path = document.path.to_lowercase().replace('_', "-");
        words.iter().any(|word| path.contains(&word.replace(' ', "-")))
            || document.lower.lines().any(|line| line.starts_with('#') && words.iter().any(|word| line.contains(word)))
    };
    let mut cases = Cases::plan(4);
    let Some(plan) = documents.iter().find(titled) else {
        return nothing(repository, cases, documents.len(), "a disaster recovery plan");
    };
    cases.tried(true, format!("{} is there", plan.path));
    let blank = plan.blank();
    cases.tried(
        blank.is_none(),
        blank.map_or_else(|| "filled in".to_owned(), |line| format!("{}:{line} is not filled in", plan.path)),
    );
    owners(&mut cases, plan);
    match plan.age_of(&["drill", "rehears", "exercise", "test restore", "game day"]) {
        Some(age) if age <= OLDEST_DRILL => cases.tried(true, format!("rehearsed {age} days ago")),
        Some(age) => {
            cases.tried(false, format!("{}: the last drill was {age} days ago, more than {OLDEST_DRILL}", plan.path))
        }
        None => cases.tried(false, format!("{} names no drill with its date", plan.path)),
    }
    cases
        .sighting(format!(
            "{}: steps with owners, rehearsed within {OLDEST_DRILL} days; whether it is true and enough a person says",
            plan.path
        ))
        .for_a_person()
}

/// Each step has an owner: a column of a table, or a name behind each step; one owner for the whole will do, by name.
fn owners(cases: &mut Cases, plan: &Document) {
    let names = ["owner", "responsible", "who"];
    let mut head = None;
    let (mut steps, mut without) = (0, None);
    for (index, line) in plan.lower.lines().enumerate() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        if line.trim_start().starts_with('|') && cells.len() > 1 {
            match head {
                None => head = cells.iter().position(|cell| names.iter().any(|name| cell.contains(name))),
                Some(column) if !cells.iter().all(|cell| cell.chars().all(|letter| ":-".contains(letter))) => {
                    steps += 1;
                    if cells.get(column).is_none_or(|cell| cell.is_empty() || *cell == "-") {
                        without.get_or_insert(index + 1);
                    }
                }
                Some(_) => {}
            }
        } else if !line.trim().is_empty() {
            head = None;
        }
    }
    match (steps, without) {
        (0, _)
            if plan.lower.lines().any(|line| {
                names.iter().any(|name| line.contains(&format!("{name}:")) || line.contains(&format!("{name}:**")))
            }) =>
        {
            cases.tried(true, "an owner is named")
        }
        (0, _) => cases.tried(false, format!("{} names no owner for its steps", plan.path)),
        (_, Some(line)) => cases.tried(false, format!("{}:{line} has no owner", plan.path)),
        (_, None) => cases.tried(true, format!("{steps} steps have owners")),
    }
}

fn objectives(repository: &Repository) -> Sighting {
    let documents = Document::all(repository);
    let mut cases = Cases::plan(3);
    let named = |document: &&Document| {
        document.has_any(&["rto", "recovery time objective"])
            && document.has_any(&["rpo", "recovery point objective"])
            && line_of(document, &["rto", "recovery time"]).is_some()
    };
    let Some(document) = documents
        .iter()
        .filter(named)
        .max_by_key(|document| usize::from(amount(document, &["rto", "recovery time"]).is_some()))
    else {
        return nothing(repository, cases, documents.len(), "recovery objectives (RTO and RPO)");
    };
    for (name, words) in [("RTO", ["rto", "recovery time"]), ("RPO", ["rpo", "recovery point"])] {
        let amount = amount(document, &words);
        let line = line_of(document, &words).unwrap_or(1);
        cases.tried(
            amount.is_some(),
            amount.map_or_else(
                || format!("{}:{line} gives no number for the {name}", document.path),
                |amount| format!("{name} {amount}"),
            ),
        );
    }
    match document.age_of(&["drill", "restore", "rehears", "exercise"]) {
        Some(age) if age <= OLDEST_DRILL => cases.tried(true, format!("last drill {age} days ago")),
        Some(age) => cases
            .tried(false, format!("{}: the last drill was {age} days ago, more than {OLDEST_DRILL}", document.path)),
        None => cases.told_nothing(format!(
            "{} names no drill with its date: whether the numbers are met is not seen",
            document.path
        )),
    }
    cases
        .sighting(format!("{}: both numbers and a drill; that the drill meets them a person says", document.path))
        .for_a_person()
}

fn is_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let free = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric());
        free(line[..at].chars().next_back()) && free(line[at + word.len()..].chars().next())
    })
}

fn line_of(document: &Document, words: &[&str]) -> Option<usize> {
    document.lower.lines().position(|line| words.iter().any(|word| is_word(line, word))).map(|at| at + 1)
}

/// The amount of time on a line that names one of these.
fn amount(document: &Document, words: &[&str]) -> Option<String> {
    let lines = document.lower.lines().filter(|line| words.iter().any(|word| is_word(line, word)));
    lines
        .filter_map(|line| {
            // Both may stand on one line: the amount behind the word is meant.
            let start = words.iter().filter_map(|word| line.find(word)).min()?;
            AMOUNT.find(&line[start..]).map(|found| found.as_str().to_owned())
        })
        .next()
}

pub(super) fn nothing(repository: &Repository, mut cases: Cases, documents: usize, what: &str) -> Sighting {
    match repository.not_whole() {
        Some(why) => cases.gave_up(why),
        // Of what stores nothing, there is nothing to recover, to export and to erase.
        None if stores::signs(repository, &Runs::read(repository)).is_empty() && Schema::read(repository).is_none() => {
            stores::without(repository)
        }
        None => {
            cases.tried(false, format!("none of {documents} documents is {what}"));
            cases.sighting("")
        }
    }
}
