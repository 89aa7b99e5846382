//! `data.gdpr` and `data.retention`: documents, and the code that exports, erases and purges.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_containers::{Runs, When};
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, records::Document};

use super::{plans::nothing, stores};

pub(super) struct Gdpr;
pub(super) struct Retention;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static EXPORT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:def|function|func|fn|async|const|class)\s+\w*(?:export_?(?:\w+_)?(?:user|personal|account|my|subject|member|customer)\w*|(?:user|personal|account|subject)_?(?:data_?)?export\w*|data_?portability\w*|takeout\w*)").expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static ERASE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:def|function|func|fn|async|const|class)\s+\w*(?:(?:erase|anonymi[sz]e|forget)_?(?:\w+_)?(?:user|personal|account|subject|member|customer|me)\w*|(?:delete|remove|close)_?(?:my_?)?(?:account|user(?:_?(?:data|account))?|personal_?data|me)\b\w*|right_?to_?be_?forgotten\w*)").expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static PURGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:def|function|func|fn|async|const|class)\s+\w*(?:purge|prune|expire|cleanup|clean_?up|delete_?(?:old|expired|stale)|retention)\w*|\bexpireAfterSeconds\b|\bexpires\s*:\s*['\x22]?\d|\badd_retention_policy\b|\bcron\.schedule\b[^\n]*DELETE").expect("the pattern is valid")
});

/// A heading that is about how long data is kept: *Data retention policy*, not *Index for the retention vacuum*.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static TITLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^#+\s*(?:[\d.]+\s+)?(?:(?:our|the|about)\s+)?(?:(?:[\w-]+|&)\s+){0,3}?retention(?:\s+(?:polic(?:y|ies)|periods?|schedules?|rules?|times?|limits?|(?:and|&|of|for)\s.*))?[\s.:#]*$").expect("the pattern is valid")
});
/// A sentence that says how long something is kept.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static KEPT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:kept|keeps?|stored|retained|expires?|expired|deleted|removed|purged|erased)\b[^.\n]{0,60}\b(?:for|after|within|in)\s+(?:\w+\s+){0,2}?\d+\s*(?:days?|weeks?|months?|years?|hours?)\b").expect("the pattern is valid")
});

impl Inspection for Gdpr {
    fn control(&self) -> &'static str {
        "data.gdpr"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        gdpr(repository)
    }

    fn present(&self) -> Sample {
        let code = "def export_user_data(user):\n    return dump(user)\n\n\ndef erase_user(user):\n    user.delete()\n";
        let text = "# Privacy and data protection (GDPR)\n\nResponsible: Ada Example\n\n- export: `privacy.export_user_data`\n- erasure: `privacy.erase_user`, tables, logs and index\n- lawful basis: contract\n";
        Sample::of(&[("privacy.py", code), ("docs/privacy.md", text)])
    }

    fn absent(&self) -> Sample {
        let text =
            "# Privacy (GDPR)\n\nResponsible: Ada Example\n\nWrite to us to have your data exported or erased.\n";
        Sample::of(&[("app.py", "def index():\n    return 1\n"), ("docs/privacy.md", text)])
    }
}

impl Inspection for Retention {
    fn control(&self) -> &'static str {
        "data.retention"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        retention(repository)
    }

    fn present(&self) -> Sample {
        let text = "# Data retention\n\nApproved by: Ada Example, 2026-02-03\n\n| table | kept |\n|---|---|\n| sessions | 30 days |\n| audit_log | 365 days |\n";
        let code = "def purge_expired_sessions():\n    Session.objects.filter(created__lt=limit()).delete()\n";
        Sample::of(&[
            ("docs/retention.md", text),
            ("jobs/purge.py", code),
            ("crontab", "0 3 * * * python -m jobs.purge\n"),
        ])
    }

    fn absent(&self) -> Sample {
        let text = "# Data retention\n\nApproved by: Ada Example, 2026-02-03\n\nSessions are kept for 30 days.\n";
        Sample::of(&[("docs/retention.md", text), ("app.py", "def index():\n    return 1\n")])
    }
}

/// The first definition or setting that fits.
fn place(repository: &Repository, pattern: &Regex) -> Option<String> {
    let sources = repository.sources().iter().filter(|(path, _)| !stores::is_beside_the_app(path) || is_job(path));
    sources.into_iter().find_map(|(path, source)| {
        let found = source.matches(pattern).next()?;
        Some(format!("{}:{}", path.display(), source.line(found.get(0)?.start())))
    })
}

fn is_job(path: &Path) -> bool {
    path.iter().any(|part| part == "scripts" || part == "jobs")
}

fn gdpr(repository: &Repository) -> Sighting {
    let documents = Document::all(repository);
    let mut cases = Cases::plan(4);
    let titled = |document: &&Document| {
        let path = document.path.to_lowercase();
        let head = document.lower.lines().take(40).collect::<Vec<_>>().join("\n");
        ["privacy", "gdpr", "dsgvo", "data-protection", "data_protection"].iter().any(|word| path.contains(word))
            || head.lines().any(|line| {
                line.starts_with('#') && ["gdpr", "privacy", "data protection"].iter().any(|word| line.contains(word))
            })
    };
    let Some(document) = documents.iter().find(titled) else {
        return nothing(repository, cases, documents.len(), "about privacy law (GDPR)");
    };
    let blank = document.blank();
    cases.tried(
        blank.is_none(),
        blank.map_or_else(
            || format!("{} is filled in", document.path),
            |line| format!("{}:{line} is not filled in", document.path),
        ),
    );
    let named = ["responsible", "controller", "data protection officer", "dpo", "owner", "contact"]
        .iter()
        .any(|word| document.lower.contains(word));
    cases.tried(
        named,
        format!("{} names {}", document.path, if named { "who answers for it" } else { "nobody who answers for it" }),
    );
    for (what, pattern) in [("exports a person's data", &EXPORT), ("erases a person's data", &ERASE)] {
        match place(repository, pattern) {
            Some(place) => cases.tried(true, format!("{place} {what}")),
            None => cases.tried(false, format!("no code that {what} among {} sources", repository.sources().len())),
        }
    }
    cases
        .sighting(format!(
            "{}, and code that exports and erases; whether both reach every store and the law is met a person says",
            document.path
        ))
        .for_a_person()
}

fn retention(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let keeps = !stores::signs(repository, &runs).is_empty();
    let documents = Document::all(repository);
    let mut cases = Cases::plan(3);
    let titled = |document: &&Document| {
        document.path.to_lowercase().contains("retention") || document.lower.lines().any(|line| TITLE.is_match(line))
    };
    match documents.iter().find(titled) {
        None if !keeps => return stores::without(repository),
        None => {
            if let Some(why) = repository.not_whole() {
                return cases.gave_up(why);
            }
            let told = documents.iter().find_map(|document| {
                let line = document.lower.lines().position(|line| KEPT.is_match(line))?;
                Some(format!("{}:{}", document.path, line + 1))
            });
            cases.tried(
                false,
                match told {
                    Some(place) => {
                        format!("{place} tells how long some data is kept, and no signed policy declares it")
                    }
                    None => format!("none of {} documents declares how long data is kept", documents.len()),
                },
            );
        }
        Some(document) => {
            let signed = document.is_signed() && document.blank().is_none();
            cases.tried(
                signed,
                format!(
                    "{} {}",
                    document.path,
                    if signed { "is dated and signed" } else { "is not filled in, dated and signed" }
                ),
            );
        }
    }
    let purge = place(repository, &PURGE);
    match &purge {
        Some(place) => cases.tried(true, format!("{place} purges")),
        None => cases.tried(false, format!("nothing purges old data among {} sources", repository.sources().len())),
    }
    match scheduled(repository, &runs) {
        Some(place) => cases.tried(true, format!("{place} runs it")),
        None => cases.told_nothing("what starts the purge is not seen"),
    }
    cases.sighting(format!("a signed policy, {} purges, on a schedule", purge.unwrap_or_default()))
}

/// What starts a purge by itself: a schedule, or a database that lets rows expire.
fn scheduled(repository: &Repository, runs: &Runs) -> Option<String> {
    let words = ["purge", "prune", "retention", "clean", "expire", "clearsessions"];
    let by_command =
        runs.at(&[When::Schedule]).find(|run| words.iter().any(|word| run.text.to_lowercase().contains(word)));
    let by_code = || {
        repository.sources().iter().find_map(|(path, source)| {
            let lower = source.code.to_lowercase();
            let schedules = [
                "beat_schedule",
                "crontab(",
                "cron.schedule(",
                "@cron(",
                "periodic_task",
                "add_job(",
                "add_cron",
                "repeat:",
                "expireafterseconds",
                "add_retention_policy",
                "every(",
            ];
            let found = schedules.iter().find_map(|word| lower.find(word))?;
            words.iter().any(|word| lower.contains(word)).then(|| format!("{}:{}", path.display(), source.line(found)))
        })
    };
    by_command.map(|run| run.place.clone()).or_else(by_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{broken, outcome};
    use seaworthy_repository::Outcome;

    #[test]
    fn a_heading_about_retention_is_about_data() {
        for title in
            ["# data retention", "## 3. retention policy", "# log and backup retention", "## retention of invoices"]
        {
            assert!(TITLE.is_match(title), "{title}");
        }
        for title in ["## 0012: add an index for retention vacuum", "# customer retention dashboard", "a retention"] {
            assert!(!TITLE.is_match(title), "{title}");
        }
    }

    #[test]
    fn what_stores_nothing_has_nothing_to_erase() {
        let page = Sample::of(&[("src/main.js", "document.title = 'a';\n"), ("README.md", "# Page\n")]);
        assert!(matches!(outcome(&Gdpr, &page), Outcome::Unclear(why) if why.contains("no database")));
        let stores = page.with(&[("package.json", "{\"dependencies\": {\"pg\": \"8\"}}")]);
        assert!(broken(&outcome(&Gdpr, &stores), "privacy law"));
        let told = stores.with(&[("docs/a.md", "# Sessions\n\nSessions are deleted after 30 days.\n")]);
        assert!(broken(&outcome(&Retention, &told), "docs/a.md:3"));
        assert!(broken(&outcome(&Retention, &stores_only()), "none of"));
    }

    fn stores_only() -> Sample {
        Sample::of(&[("package.json", "{\"dependencies\": {\"pg\": \"8\"}}"), ("a.js", "x = 1;\n")])
    }
}
