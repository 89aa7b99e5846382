//! `data.query-timeout`: a limit for statements is set where the app connects, or on its role.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_containers::{
    Runs,
    engines::{Engines, Kind},
};
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, Source, is_for_development};

use super::stores;

pub(super) struct QueryTimeout;

/// Settings by which the server itself ends a statement; the value is a number that is not nought, or a variable.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static LIMIT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)\b(?:statement_timeout|statementTimeout|max_execution_time|max_statement_time|maxTimeMS|lock_timeout_and_statement)\b["']?\s*(?:=|:|TO\b|,|%3D)?\s*["']?(?P<value>[\w.${]+)"#).expect("the pattern is valid")
});
/// Settings by which the client gives up; the server may go on.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static CLIENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\bcommand_timeout\b["']?\]?\s*[:=]|\bquery_timeout\s*[:=]|\bsocketTimeoutMS\b|\bread_timeout\s*=|\brequestTimeout\s*:|\bmax_query_execution_time\b|\bsocketTimeout\b"#).expect("the pattern is valid")
});

/// Libraries by which Rust speaks to a database.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static RUST_DATABASE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:sqlx|diesel|diesel_async|tokio_postgres|postgres|sea_orm|deadpool_postgres|mysql|mysql_async)::")
        .expect("the pattern is valid")
});

impl Inspection for QueryTimeout {
    fn control(&self) -> &'static str {
        "data.query-timeout"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let app = "import os\nfrom sqlalchemy import create_engine\nengine = create_engine(os.environ[\"DATABASE_URL\"], connect_args={\"options\": \"-c statement_timeout=30000\"})\n";
        Sample::of(&[("requirements.txt", "sqlalchemy\npsycopg\n"), ("app.py", app)])
    }

    fn absent(&self) -> Sample {
        let app = "import os\nfrom sqlalchemy import create_engine\nengine = create_engine(os.environ[\"DATABASE_URL\"], pool_timeout=30)  # statement_timeout=30000\n";
        Sample::of(&[("requirements.txt", "sqlalchemy\npsycopg\n"), ("app.py", app)])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let signs = stores::signs(repository, &runs);
    if signs.is_empty() {
        return stores::without(repository);
    }
    if !stores::uses_a_server(repository, &runs) {
        return Sighting::unclear(format!(
            "no database server is seen ({}): a limit of the server cannot be looked for",
            signs.join(", ")
        ));
    }
    let mut cases = Cases::plan(1);
    let is_app = |path: &Path| !stores::is_beside_the_app(path) && !is_for_development(path);
    let mut client = None;
    for (path, source) in repository.sources().iter().filter(|(path, _)| is_app(path)) {
        if let Some(place) = limit_in(path, source, &mut cases) {
            cases.tried(true, format!("{place} sets a limit for statements"));
            return cases.sighting(format!("{place} sets a limit for statements"));
        }
        let place = |offset| format!("{}:{}", path.display(), source.line(offset));
        client = client.or_else(|| client_limit(source).map(place));
    }
    if let Some(place) = in_configuration(repository, &runs) {
        cases.tried(true, format!("{place} sets a limit for statements"));
        return cases.sighting(format!("{place} sets a limit for statements"));
    }
    match (client, repository.not_whole()) {
        (Some(place), _) => cases.told_nothing(format!(
            "{place} lets the client give up; whether the server ends the statement is only seen live"
        )),
        (None, Some(why)) => cases.told_nothing(why),
        (None, None) if connects(repository) => cases.tried(
            false,
            format!("no limit for statements in {} sources, nor in any configuration", repository.sources().len()),
        ),
        // Nothing shows that the app should set it where it connects.
        (None, None) => cases.told_nothing(
            "no code that connects to a database is seen; a limit may be set outside of the repository, by ALTER ROLE … SET statement_timeout",
        ),
    }
    cases.sighting("")
}

/// Where the client is told to give up: in code, or as the key of a mapping (`connect_args["command_timeout"]`).
fn client_limit(source: &Source) -> Option<usize> {
    let is_key = |at: usize| source.code[..at].ends_with(['"', '\'']);
    CLIENT.find_iter(&source.code).map(|found| found.start()).find(|at| !source.is_text(*at) || is_key(*at))
}

/// A limit that a source sets for every statement.
fn limit_in(path: &Path, source: &Source, cases: &mut Cases) -> Option<String> {
    // In a migration or a task it may be for that one alone.
    let single = ["migrations", "versions", "management", "tasks"];
    let single = path.iter().filter_map(|part| part.to_str()).any(|part| single.contains(&part));
    // Rust has its tests and samples within the source: a text there is a setting only where a database is spoken to.
    let texts_count =
        path.extension().is_none_or(|ending| ending != "rs") || source.matches(&RUST_DATABASE).next().is_some();
    let all = LIMIT.captures_iter(&source.code);
    let counts = |start: usize| texts_count || !source.is_text(start);
    for found in all.filter(|found| found.get(0).is_some_and(|whole| counts(whole.start()))) {
        let place = format!("{}:{}", path.display(), source.line(found.get(0)?.start()));
        let off = ["0", "0s", "none", "null", "false"].contains(&found["value"].to_lowercase().as_str());
        match () {
            () if off => cases.note(format!("{place}: switched off")),
            () if single && !source.code.contains("ALTER ROLE") => {
                cases.note(format!("{place}: for a migration or a task"));
            }
            () => return Some(place),
        }
    }
    None
}

/// Whether code opens connections by a known library.
fn connects(repository: &Repository) -> bool {
    let mappers: Vec<_> = Engines::built_in().mappers(repository).collect();
    repository.sources().iter().any(|(path, source)| {
        mappers.iter().any(|mapper| {
            super::pool::speaks(path, &mapper.language)
                && mapper.uses.as_ref().is_some_and(|uses| source.matches(&uses.0).next().is_some())
        })
    }) || repository.has("config/database.yml")
}

fn in_configuration(repository: &Repository, runs: &Runs) -> Option<String> {
    let sets = |text: &str| LIMIT.captures(text).is_some_and(|found| &found["value"] != "0");
    let of_service = runs.compositions.iter().flat_map(|one| one.services.values()).find(|service| {
        let server = service
            .image()
            .and_then(|image| Engines::built_in().of_image(&image))
            .is_some_and(|engine| engine.kind == Kind::Relational);
        let addressed = service.environment().iter().any(|(_, value)| value.contains("://") && sets(value));
        server && service.line("command").is_some_and(|command| sets(&command)) || addressed
    });
    let files: Vec<_> = repository
        .files()
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            ["postgresql.conf", "database.yml", "my.cnf", "pgbouncer.ini"].contains(&name)
                || ending == "sql"
                || ending == "tf"
        })
        .collect();
    let in_file = || {
        files.into_iter().find_map(|path| {
            let text = repository.text(path)?;
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let line = text.lines().position(|line| {
                let line = line.trim();
                // In SQL only a role or the database keeps the setting; `SET` ends with the session.
                let lasting = ending != "sql"
                    || line.to_uppercase().starts_with("ALTER ROLE")
                    || line.to_uppercase().starts_with("ALTER DATABASE")
                    || line.to_uppercase().starts_with("ALTER USER")
                    || line.to_uppercase().starts_with("ALTER SYSTEM");
                !line.starts_with(['#', ';', '-', '/']) && lasting && sets(line)
            })?;
            Some(format!("{}:{}", path.display(), line + 1))
        })
    };
    of_service.map(|service| service.place.clone()).or_else(in_file)
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    #[test]
    fn a_key_of_a_mapping_is_a_limit_of_the_client() {
        let of = |code: &str| {
            let folder = tempfile::tempdir().unwrap();
            let make = "from sqlalchemy import create_engine\nengine = create_engine(url, connect_args=connect_args)\n";
            let files = [("requirements.txt", "sqlalchemy\nasyncpg\n"), ("a.py", make), ("b.py", code)];
            Sample::of(&files).write(folder.path()).unwrap();
            look(&Repository::open(folder.path()).unwrap()).outcome
        };
        let seen = of("connect_args[\"command_timeout\"] = self.timeout\n");
        assert!(matches!(&seen, Outcome::Unclear(why) if why.contains("b.py:1")), "{seen:?}");
        let spoken_of = of("message = \"set the command_timeout: it ends what is slow\"\n");
        assert!(matches!(spoken_of, Outcome::Broken(_)), "{spoken_of:?}");
    }

    #[test]
    fn a_text_in_rust_is_a_setting_only_beside_a_database() {
        let of = |code: &str| {
            let manifest =
                "[package]\nname = \"a\"\n[dependencies]\nsqlx = { version = \"0.8\", features = [\"postgres\"] }\n";
            let folder = tempfile::tempdir().unwrap();
            let files = [
                ("Cargo.toml", manifest),
                ("compose.yaml", "services:\n  db:\n    image: postgres:17\n"),
                ("src/a.rs", code),
            ];
            Sample::of(&files).write(folder.path()).unwrap();
            look(&Repository::open(folder.path()).unwrap()).outcome
        };
        let sample = "fn a() -> &'static str { \"options=-c statement_timeout=30000\" }\n";
        let seen = of(sample);
        assert!(matches!(&seen, Outcome::Unclear(why) if why.contains("ALTER ROLE")), "{seen:?}");
        let pool = "fn a() { sqlx::postgres::PgConnectOptions::new().options([(\"statement_timeout\", \"30000\")]) }\n";
        assert_eq!(of(pool), Outcome::Holds);
    }
}
