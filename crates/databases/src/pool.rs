//! `data.pool`: limits of the connection pool are written down, and lost connections heal.

use seaworthy_containers::{
    Runs,
    engines::{Engines, Mapper},
};
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, is_for_development};

use super::stores;

pub(super) struct Pool;

impl Inspection for Pool {
    fn control(&self) -> &'static str {
        "data.pool"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let app = "import os\nfrom sqlalchemy import create_engine\nengine = create_engine(os.environ[\"DATABASE_URL\"], pool_size=10, max_overflow=5, pool_timeout=10, pool_pre_ping=True)\n";
        Sample::of(&[("requirements.txt", "sqlalchemy\npsycopg\n"), ("app.py", app)])
    }

    fn absent(&self) -> Sample {
        let app =
            "import os\nfrom sqlalchemy import create_engine\nengine = create_engine(os.environ[\"DATABASE_URL\"])\n";
        Sample::of(&[("requirements.txt", "sqlalchemy\npsycopg\n"), ("app.py", app)])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let pooler = stores::services_named(&runs, &["pgbouncer", "pgcat", "odyssey", "pgpool", "proxysql"]);
    let mut cases = Cases::plan(0);
    let mut seen = Vec::new();
    for mapper in Engines::built_in().mappers(repository) {
        let Some((place, call)) = place_of_use(repository, mapper) else { continue };
        seen.push(mapper.name.clone());
        cases.plan_more(1);
        let limited = setting(repository, &runs, mapper, &mapper.pool.0);
        let heals = mapper.heal.as_ref().map(|heal| setting(repository, &runs, mapper, &heal.0));
        match (limited, heals) {
            (Some(limit), None | Some(Some(_))) => {
                cases.tried(true, format!("{}'s pool is limited in {limit}", mapper.name))
            }
            (Some(limit), Some(None)) if mapper.name == "Django ORM" => {
                cases.told_nothing(format!(
                    "{limit} keeps connections; nothing checks them, so that a lost one fails a request before it heals"
                ));
            }
            (Some(limit), Some(None)) => cases.tried(
                false,
                format!("{limit} limits {}'s pool; nothing checks connections or lets them expire", mapper.name),
            ),
            (None, _) if mapper.in_address => {
                cases.told_nothing(format!(
                    "{place}: {}'s limits may be in the address, which only the environment gives",
                    mapper.name
                ));
            }
            (None, _) if is_open(&call, &mapper.language) => {
                cases.told_nothing(format!("{place}: the options of {}'s pool are made elsewhere", mapper.name));
            }
            (None, _) => cases.tried(false, format!("{place}: {} makes its pool without explicit limits", mapper.name)),
        }
    }
    if seen.is_empty() {
        return match stores::signs(repository, &runs).is_empty() {
            true => stores::without(repository),
            false => Sighting::unclear("no code is seen that makes a pool of a known library"),
        };
    }
    if let Some(service) = &pooler {
        cases.note(format!("{service} pools before the server"));
    }
    if only_a_file(repository, &runs) {
        return Sighting::unclear("only a database in a file (SQLite) is seen, which has no connections to a server");
    }
    let sighting = cases.sighting(format!("pools with explicit limits that heal: {}", seen.join(", ")));
    match (&sighting.outcome, pooler) {
        (seaworthy_repository::Outcome::Broken(why), Some(service)) => {
            Sighting::unclear(format!("{why}; {service} pools before the server, and its limits are not read here"))
        }
        _ => sighting,
    }
}

/// SQLite and nothing else.
fn only_a_file(repository: &Repository, runs: &Runs) -> bool {
    let signs = stores::signs(repository, runs);
    let servers = ["PostgreSQL", "MySQL", "MariaDB", "SQL Server", "CockroachDB", "MongoDB"];
    let django: Vec<_> = stores::django_engines(repository);
    let other = django.iter().any(|(_, engine)| engine != "sqlite3");
    let file = signs.iter().any(|sign| sign == "SQLite") || django.iter().any(|(_, engine)| engine == "sqlite3");
    file && !other && !signs.iter().any(|sign| servers.contains(&sign.as_str()))
}

/// Whether the options of a call come from somewhere else: `knex(options)`, `create_engine(url, **settings)`.
fn is_open(call: &str, language: &str) -> bool {
    if call.contains("**") || call.contains("...") || call.starts_with("Async") {
        return true;
    }
    let first = call.split(',').next().unwrap_or_default().trim_start_matches('(').trim_end_matches(')').trim();
    let is_name = first.chars().all(|letter| letter.is_alphanumeric() || "._$".contains(letter));
    language == "javascript" && is_name && !first.is_empty() && !first.starts_with("process.env")
}

/// Where code makes a pool, and the call from its bracket.
fn place_of_use(repository: &Repository, mapper: &Mapper) -> Option<(String, String)> {
    if !mapper.files.is_empty() {
        let mut files = repository
            .files()
            .filter(|path| !seaworthy_repository::is_test(path))
            .filter(|path| path.file_name().is_some_and(|name| mapper.files.iter().any(|own| name == own.as_str())));
        return files.next().map(|path| (path.display().to_string(), String::new()));
    }
    let uses = mapper.uses.as_ref()?;
    let mut sources = repository.sources().iter().filter(|(path, _)| {
        !stores::is_beside_the_app(path)
            && !is_for_development(path)
            && speaks(path, &mapper.language)
            && !path.components().any(|part| part.as_os_str() == "migrations" || part.as_os_str() == "alembic")
    });
    sources.find_map(|(path, source)| {
        let found = source.matches(&uses.0).next()?.get(0)?;
        let open = source.code[found.start()..].find('(').map_or(found.end(), |at| found.start() + at);
        let call: String = source.code[open..].chars().take(2000).collect();
        let call = call_at(&call).to_owned();
        Some((format!("{}:{}", path.display(), source.line(found.start())), call))
    })
}

/// A call up to its closing bracket.
fn call_at(code: &str) -> &str {
    let mut depth = 0_usize;
    for (index, letter) in code.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &code[..=index];
                }
            }
            _ => {}
        }
    }
    code
}

/// Whether a file is of a language, by its ending.
pub(super) fn speaks(path: &std::path::Path, language: &str) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match language {
        "python" => ending == "py",
        "javascript" => ["js", "ts", "mjs", "cjs", "jsx", "tsx", "mts", "cts"].contains(&ending),
        "go" => ending == "go",
        "rust" => ending == "rs",
        "ruby" => ending == "rb",
        _ => false,
    }
}

fn setting(repository: &Repository, runs: &Runs, mapper: &Mapper, pattern: &regex::Regex) -> Option<String> {
    let in_source = repository
        .sources()
        .iter()
        .filter(|(path, _)| speaks(path, &mapper.language) && !stores::is_beside_the_app(path))
        .find_map(|(path, source)| {
            // A key of a mapping is a text: `"CONN_MAX_AGE": 60`. Comments are blanked.
            let found = pattern.find(&source.code)?;
            Some(format!("{}:{}", path.display(), source.line(found.start())))
        });
    let in_files = || {
        let names: Vec<&str> = mapper.files.iter().map(String::as_str).collect();
        let files: Vec<_> = repository.named(&names).collect();
        files.into_iter().find_map(|path| {
            let text = repository.text(path)?;
            let found = pattern.find(&text)?;
            Some(format!("{}:{}", path.display(), 1 + text[..found.start()].matches('\n').count()))
        })
    };
    let in_address = || {
        stores::addresses(repository, runs)
            .into_iter()
            .find(|address| pattern.is_match(&address.text))
            .map(|address| address.place)
    };
    in_source.or_else(in_files).or_else(in_address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{broken, outcome};
    use seaworthy_repository::Outcome;

    #[test]
    fn options_from_elsewhere_tell_nothing() {
        let with =
            |name: &str, code: &str, manifest: (&str, &str)| outcome(&Pool, &Sample::of(&[(name, code), manifest]));
        let python = ("requirements.txt", "sqlalchemy\npsycopg\n");
        assert!(matches!(with("a.py", "e = create_engine(url, **settings)\n", python), Outcome::Unclear(_)));
        assert!(broken(&with("a.py", "e = create_engine(url, pool_size=5)\n", python), "nothing checks"));
        assert!(broken(&with("a.py", "e = create_engine(url)  # pool_size=5\n", python), "without explicit"));
        let knex = ("package.json", "{\"dependencies\": {\"knex\": \"3\", \"pg\": \"8\"}}");
        assert!(matches!(with("a.js", "const k = knex(options);\n", knex), Outcome::Unclear(_)));
        assert!(broken(&with("a.js", "const k = knex({ client: 'pg' });\n", knex), "without explicit"));
    }
}
