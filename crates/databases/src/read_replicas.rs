//! `data.read-replicas`: reads go to a replica, or a decision that one node is enough is on file.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_containers::Runs;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, records::decision};

use super::stores;

pub(super) struct ReadReplicas;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static ROUTES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\bdef\s+db_for_read\b|\breplication\s*:\s*\{|@prisma/extension-read-replicas|\breadReplicas\s*\(|\bconnects_to\s+database:\s*\{[^}]*reading|\bwithReplicas\s*\(|\bdbresolver\.Register\s*\(").expect("the pattern is valid")
});

impl Inspection for ReadReplicas {
    fn control(&self) -> &'static str {
        "data.read-replicas"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let record = "# 7. One database node, no read replica\n\nStatus: accepted\nDate: 2026-03-04\nDecided by: Ada Example\n\n## Decision\n\n40 reads a second at peak; one node carries 900. We review at 400.\n";
        Sample::of(&[
            ("requirements.txt", "psycopg\n"),
            ("app.py", "import psycopg\n"),
            ("docs/adr/0007-no-read-replica.md", record),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            ("requirements.txt", "psycopg\n"),
            ("app.py", "import psycopg\n"),
            ("README.md", "# App\n\nOne day we may add a read replica.\n"),
        ])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    if stores::signs(repository, &runs).is_empty() {
        return stores::without(repository);
    }
    let routed = repository.sources().iter().find_map(|(path, source)| {
        let found = ROUTES.find(&source.code)?;
        Some(format!("{}:{}", path.display(), source.line(found.start())))
    });
    if let Some(place) = routed {
        return Sighting::unclear(format!(
            "{place} routes reads to a replica; how closely it follows is only seen live"
        ));
    }
    if !stores::uses_a_server(repository, &runs) {
        return Sighting::unclear("no database server is seen: whether it has a replica is not in the repository");
    }
    let mut cases = Cases::plan(1);
    match (decision(repository, &[&["replica", "single node", "one node", "one database"]]), repository.not_whole()) {
        (Some(record), _) => {
            let blank = record.blank();
            let seen = match (blank, record.is_signed()) {
                (Some(line), _) => format!("{}:{line} is not filled in", record.path),
                (None, true) => format!("{} records the decision, dated and signed", record.path),
                (None, false) => format!("{} has no date or nobody who stands for it", record.path),
            };
            cases.tried(blank.is_none() && record.is_signed(), seen.clone());
            cases.sighting(seen)
        }
        (None, Some(why)) => cases.gave_up(why),
        (None, None) => {
            cases.tried(false, "no code routes reads to a replica, and no decision that one node is enough is on file");
            cases.sighting("")
        }
    }
}
