//! `data.migrations-tested`: a pipeline runs migrations up and down on a restored copy before they run in production.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_containers::{Run, Runs, When};
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::{migration_tools, migrations, stores};

pub(super) struct MigrationsTested;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static RESTORE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\bpg_restore\b|\bpsql\b.*(?:<|-f|--file)\s*\S*(?:dump|backup|snapshot|copy)|\bmysql\b.*<\s*\S+|\bmongorestore\b|\bpgbackrest\b.*\brestore\b|\bwal-g\b.*\bbackup-fetch\b|\brestore-db-(?:instance|cluster)\b|\brestore[-_]\w*(?:backup|dump|db|database)\b").expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static IN_TESTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\bcommand\.(upgrade|downgrade)\s*\(|\bpytest_alembic\b|\btest_model_definitions_match|\bMigratorTestCase\b|\bdjango_test_migrations\b|\brunMigrations\s*\(|\bundoLastMigration\s*\(|\bmigrate\.(?:latest|rollback)\s*\(").expect("the pattern is valid")
});

impl Inspection for MigrationsTested {
    fn control(&self) -> &'static str {
        "data.migrations-tested"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let step = "revision = 'a1'\ndown_revision = None\ndef upgrade():\n    pass\n\ndef downgrade():\n    pass\n";
        let workflow = "on:\n  pull_request:\njobs:\n  rehearsal:\n    runs-on: ubuntu-latest\n    steps:\n      - run: pg_restore --no-owner -d scratch latest.dump\n      \
                        - run: alembic upgrade head\n      - run: alembic downgrade -1\n";
        Sample::of(&[
            ("migrations/versions/a1.py", step),
            (".github/workflows/migrations.yml", workflow),
            ("requirements.txt", "alembic\nsqlalchemy\n"),
            ("app.py", "x = 1\n"),
        ])
    }

    fn absent(&self) -> Sample {
        let step = "revision = 'a1'\ndown_revision = None\ndef upgrade():\n    pass\n";
        let workflow = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: pytest\n";
        Sample::of(&[
            ("migrations/versions/a1.py", step),
            (".github/workflows/ci.yml", workflow),
            ("requirements.txt", "alembic\nsqlalchemy\n"),
            ("app.py", "x = 1\n"),
        ])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let histories = migration_tools::histories(repository);
    if histories.is_empty() {
        return match stores::signs(repository, &runs).is_empty() {
            true => stores::without(repository),
            false => Sighting::unclear("there are no migrations of a known tool"),
        };
    }
    let pipelines: Vec<&Run> = runs.at(&[When::Pipeline, When::Schedule]).collect();
    let mut cases = Cases::plan(3);
    cases.note(format!("{} pipeline commands", pipelines.len()));
    let tools: Vec<_> = histories.iter().filter_map(|history| migration_tools::tool(&history.tool)).collect();
    let up = pipelines.iter().find(|run| tools.iter().any(|tool| tool.apply.0.is_match(&run.text)));
    let down = pipelines
        .iter()
        .find(|run| tools.iter().any(|tool| tool.revert.as_ref().is_some_and(|revert| revert.0.is_match(&run.text))));
    let restore = pipelines.iter().find(|run| RESTORE.is_match(&run.text));
    let tests = repository
        .tests()
        .iter()
        .find_map(|(path, source)| source.matches(&IN_TESTS).next().map(|_| path.display().to_string()));
    let django = histories.iter().all(|history| history.tool == "Django");
    if pipelines.is_empty() && tests.is_none() {
        return cases.gave_up("no pipeline is in the repository: whether migrations are rehearsed is not seen");
    }
    match (up, &tests) {
        (Some(run), _) => cases.tried(true, format!("{}: `{}`", run.place, run.text)),
        // Django's test runner applies every migration to the test database.
        (None, Some(path)) => cases.told_nothing(format!("{path} runs migrations on an empty database; a rehearsal on a copy of production's data is not seen")),
        (None, None) if django => cases.told_nothing("Django's tests apply migrations to an empty database; a rehearsal on a copy of production's data is not seen"),
        (None, None) => cases.tried(false, format!("none of {} pipeline commands and no test runs the migrations", pipelines.len())),
    }
    match (down, up) {
        (Some(run), _) => cases.tried(true, format!("{}: `{}`", run.place, run.text)),
        (None, Some(run)) => match migrations::all_revert(&histories) {
            Some(path) if !django => {
                cases.told_nothing(format!("{} goes up only, and {} has no way back", run.place, path.display()))
            }
            _ => cases.told_nothing(format!("{} goes up; nothing goes down again", run.place)),
        },
        (None, None) => cases.told_nothing("nothing goes down"),
    }
    let same_job = |one: &Run, other: &Run| one.of == other.of;
    match (restore, up, down) {
        (Some(restore), Some(up), Some(down)) if same_job(restore, up) && same_job(up, down) => cases.tried(true, format!("{} restores data first", restore.place)),
        _ => cases.told_nothing("no pipeline restores a copy of the data before it runs migrations: an empty database shows neither locks nor rows that do not fit"),
    }
    cases.sighting("a pipeline restores a copy, migrates it up and down again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::outcome;
    use seaworthy_repository::Outcome;

    #[test]
    fn an_empty_database_is_no_rehearsal() {
        let workflow =
            "on: push\njobs:\n  a:\n    steps:\n      - run: alembic upgrade head && alembic downgrade base\n";
        let sample = MigrationsTested.present().with(&[(".github/workflows/migrations.yml", workflow)]);
        assert!(matches!(outcome(&MigrationsTested, &sample), Outcome::Unclear(_)));
    }
}
