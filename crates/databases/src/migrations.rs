//! `data.migrations`: the schema is made by versioned migrations in one line, which a step of the deploy applies.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_containers::{Runs, When};
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::{
    migration_tools::{self, History},
    stores,
};

pub(super) struct Migrations;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static WITHOUT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\.create_all\s*\(|\bsynchronize\s*:\s*true\b|\bsequelize\.sync\s*\(|\.AutoMigrate\s*\(|\bgenerate_schemas\s*=\s*True").expect("the pattern is valid")
});

impl Inspection for Migrations {
    fn control(&self) -> &'static str {
        "data.migrations"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let step = "revision = 'a1'\ndown_revision = None\n\ndef upgrade():\n    op.create_table('users', sa.Column('id', sa.Integer(), primary_key=True))\n\n\
                    def downgrade():\n    op.drop_table('users')\n";
        Sample::of(&[
            ("requirements.txt", "sqlalchemy\nalembic\n"),
            ("alembic.ini", "[alembic]\nscript_location = migrations\n"),
            ("migrations/versions/a1_users.py", step),
            ("Procfile", "release: alembic upgrade head\nweb: gunicorn app:app\n"),
            ("app.py", "import sqlalchemy\n"),
        ])
    }

    fn absent(&self) -> Sample {
        let app = "from sqlalchemy import create_engine\nengine = create_engine(url)\nBase.metadata.create_all(bind=engine)\n";
        Sample::of(&[("requirements.txt", "sqlalchemy\n"), ("app.py", app)])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let histories = migration_tools::histories(repository);
    let by_hand =
        repository.sources().iter().filter(|(path, _)| !stores::is_beside_the_app(path)).find_map(|(path, source)| {
            let found = source.matches(&WITHOUT).next()?;
            let whole = found.get(0)?;
            Some(format!(
                "{}:{} makes the schema itself ({})",
                path.display(),
                source.line(whole.start()),
                whole.as_str().trim_end_matches('(').trim()
            ))
        });
    if histories.is_empty() {
        return without(repository, &runs, by_hand);
    }
    let mut cases = Cases::plan(0);
    let mut steps = 0;
    for history in &histories {
        cases.plan_more(1);
        steps += history.steps.len();
        cases.note(format!("{}: {} migrations of {}", history.folder.display(), history.steps.len(), history.tool));
        let seen = history.problems.first().map_or_else(
            || format!("{} is one line", history.folder.display()),
            |problem| format!("{}: {problem}", history.tool),
        );
        cases.tried(history.problems.is_empty(), seen);
    }
    let mut tools: Vec<&str> = histories.iter().map(|history| history.tool.as_str()).collect();
    tools.sort_unstable();
    tools.dedup();
    for tool in &tools {
        cases.plan_more(1);
        match applied(repository, &runs, tool) {
            Some(place) => cases.tried(true, format!("applied by {place}")),
            None => cases.told_nothing(format!(
                "no start, release or pipeline step that applies the migrations of {tool} is seen in the repository"
            )),
        }
    }
    if let Some(place) = by_hand {
        cases.told_nothing(format!("{place} beside migrations: the schema may come from either"));
    }
    cases.sighting(format!(
        "{steps} migrations of {} in {} histories, each one line with one head, applied by a step",
        tools.join(", "),
        histories.len()
    ))
}

fn without(repository: &Repository, runs: &Runs, by_hand: Option<String>) -> Sighting {
    let signs = stores::signs(repository, runs);
    if signs.is_empty() {
        return stores::without(repository);
    }
    let mut cases = Cases::plan(1);
    match (by_hand, repository.not_whole()) {
        (Some(place), _) => cases.tried(false, format!("{place}, and there are no migrations")),
        (None, Some(why)) => cases.told_nothing(why),
        (None, None) if signs.iter().all(|sign| sign == "MongoDB") => {
            return Sighting::not_applicable("the database has no schema (MongoDB)");
        }
        (None, None) => cases.told_nothing(format!(
            "no migrations of a known tool, though {} is used; what makes the schema is not seen",
            signs.join(", ")
        )),
    }
    cases.sighting("")
}

/// Where migrations of a tool are applied: a step of the deploy, or the app's own start.
fn applied(repository: &Repository, runs: &Runs, tool: &str) -> Option<String> {
    let tool = migration_tools::tool(tool)?;
    let by_step = runs.at(&[When::Release, When::Start, When::Pipeline]).find(|run| {
        let reverts = tool.revert.as_ref().is_some_and(|revert| revert.0.is_match(&run.text));
        tool.apply.0.is_match(&run.text) && !reverts && !is_dry(&run.text)
    });
    let in_code = || {
        let pattern = tool.in_code.as_ref()?;
        let mut sources = repository.sources().iter().filter(|(path, _)| !stores::is_beside_the_app(path));
        sources.find_map(|(path, source)| {
            let found = source.matches(&pattern.0).next()?;
            Some(format!("{}:{}", path.display(), source.line(found.get(0)?.start())))
        })
    };
    by_step.map(|run| run.place.clone()).or_else(in_code)
}

fn is_dry(command: &str) -> bool {
    ["--sql", "--check", "--plan", "--dry-run", "--fake"].iter().any(|word| command.contains(word))
}

/// Whether every migration says how to go back.
pub(super) fn all_revert(histories: &[History]) -> Option<&std::path::Path> {
    histories.iter().flat_map(|history| &history.steps).find(|step| !step.down).map(|step| step.path.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{broken, outcome};
    use seaworthy_repository::Outcome;

    #[test]
    fn steps_that_do_not_count() {
        let with = |name: &str, text: &str| {
            outcome(&Migrations, &Migrations.present().without("Procfile").with(&[(name, text)]))
        };
        let is_unclear = |outcome: Outcome| matches!(outcome, Outcome::Unclear(_));
        assert!(is_unclear(with("Procfile", "web: gunicorn a:b\n")));
        assert!(is_unclear(with("Procfile", "# release: alembic upgrade head\nweb: x\n")));
        assert!(is_unclear(with("Procfile", "release: alembic upgrade head --sql\n")));
        assert!(is_unclear(with("start.sh", "alembic upgrade head\n")), "nobody calls it");
        assert!(is_unclear(with(
            ".github/workflows/a.yml",
            "on: push\njobs:\n  a:\n    steps:\n      - run: alembic upgrade head || true\n"
        )));
        assert!(is_unclear(with(
            ".github/workflows/a.yml",
            "on: push\njobs:\n  a:\n    if: false\n    steps:\n      - run: alembic upgrade head\n"
        )));
        assert_eq!(
            with(".github/workflows/a.yml", "on: push\njobs:\n  a:\n    steps:\n      - run: alembic upgrade head\n"),
            Outcome::Holds
        );
        let script = Migrations.present().without("Procfile").with(&[
            ("Dockerfile", "FROM a:1\nENTRYPOINT [\"/srv/start.sh\"]\n"),
            ("deploy/start.sh", "#!/bin/sh\nset -e\nalembic upgrade head\nexec gunicorn a:b\n"),
        ]);
        assert_eq!(outcome(&Migrations, &script), Outcome::Holds);
    }

    #[test]
    fn two_heads_are_named() {
        let second = "revision = 'b2'\ndown_revision = None\ndef upgrade(): pass\n";
        assert!(broken(
            &outcome(&Migrations, &Migrations.present().with(&[("migrations/versions/b2.py", second)])),
            "heads"
        ));
    }
}
