//! `data.pool`: limits of the connection pool are written down, and lost connections heal.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use regex::Regex;
use seaworthy_containers::{
    Runs,
    engines::{Engines, Mapper},
};
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, Source, is_for_development};

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
        let uses = uses(repository, mapper);
        if uses.is_empty() {
            continue;
        }
        seen.push(mapper.name.clone());
        for one in &uses {
            judge(&mut cases, repository, &runs, mapper, &uses, one);
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

/// One place that makes a pool. Limits within another call are of that one alone.
fn judge(cases: &mut Cases, repository: &Repository, runs: &Runs, mapper: &Mapper, uses: &[Use], one: &Use) {
    cases.plan_more(1);
    let (name, place) = (&mapper.name, &one.place);
    let own = |pattern: &Regex| pattern.is_match(&one.call).then(|| place.clone());
    let limited = own(&mapper.pool.0).or_else(|| setting(repository, runs, mapper, &mapper.pool.0, uses));
    let heals =
        mapper.heal.as_ref().map(|heal| own(&heal.0).or_else(|| setting(repository, runs, mapper, &heal.0, uses)));
    let open = is_open(&one.call, &mapper.language);
    match (limited, heals) {
        (Some(limit), None | Some(Some(_))) => match without_limits(repository, mapper).filter(|_| open) {
            Some(without) => cases.told_nothing(format!(
                "{place} takes options from elsewhere, and those of {without} have no limits as those of {limit} have"
            )),
            None => cases.tried(true, format!("{name}'s pool is limited in {limit}")),
        },
        (Some(limit), Some(None)) if mapper.name == "Django ORM" => cases.told_nothing(format!(
            "{limit} keeps connections; nothing checks them, so that a lost one fails a request before it heals"
        )),
        (Some(limit), Some(None)) => {
            cases.tried(false, format!("{limit} limits {name}'s pool; nothing checks connections or lets them expire"))
        }
        (None, _) if mapper.in_address => cases
            .told_nothing(format!("{place}: {name}'s limits may be in the address, which only the environment gives")),
        (None, _) if open => cases.told_nothing(format!("{place}: the options of {name}'s pool are made elsewhere")),
        (None, _) => cases.tried(false, format!("{place}: {name} makes its pool without explicit limits")),
    }
}

/// A set of options that makes a pool of its own and has no limits, where there are several sets.
fn without_limits(repository: &Repository, mapper: &Mapper) -> Option<String> {
    let options = mapper.options.as_ref()?;
    sources_of(repository, mapper).find_map(|(path, source)| {
        source.matches(&options.0).find_map(|found| {
            let at = found.get(0)?.start();
            let limited = mapper.pool.0.is_match(object_around(&source.code, at));
            (!limited).then(|| format!("{}:{}", path.display(), source.line(at)))
        })
    })
}

/// The innermost braces around a place.
fn object_around(code: &str, at: usize) -> &str {
    let mut depth = 0_usize;
    let start = code[..at].char_indices().rev().find_map(|(index, letter)| match letter {
        '}' => {
            depth += 1;
            None
        }
        '{' if depth == 0 => Some(index),
        '{' => {
            depth -= 1;
            None
        }
        _ => None,
    });
    let Some(start) = start else { return "" };
    let mut depth = 0_usize;
    for (index, letter) in code[start..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => return &code[start..=start + index],
            '}' => depth -= 1,
            _ => {}
        }
    }
    &code[start..]
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
    // A name, or a call that makes them: `knex(configure(settings))`.
    let is_name = first.starts_with(|letter: char| letter.is_alphabetic() || "_$".contains(letter));
    language == "javascript" && is_name && !first.starts_with("process.env")
}

/// Where code makes a pool.
struct Use {
    place: String,
    path: PathBuf,
    /// The bytes of the call in its source.
    span: Range<usize>,
    /// The call from its bracket.
    call: String,
}

/// Sources in which the app may make a pool.
fn sources_of<'r>(repository: &'r Repository, mapper: &'r Mapper) -> impl Iterator<Item = (&'r PathBuf, &'r Source)> {
    repository.sources().iter().filter(|(path, _)| {
        !stores::is_beside_the_app(path)
            && !is_for_development(path)
            && speaks(path, &mapper.language)
            && !path.components().any(|part| part.as_os_str() == "migrations" || part.as_os_str() == "alembic")
    })
}

/// Every place where code makes a pool; the file that says it, where that is no code.
fn uses(repository: &Repository, mapper: &Mapper) -> Vec<Use> {
    if !mapper.files.is_empty() {
        let mut files = repository
            .files()
            .filter(|path| !seaworthy_repository::is_test(path))
            .filter(|path| path.file_name().is_some_and(|name| mapper.files.iter().any(|own| name == own.as_str())));
        let of_file = |path: &Path| Use {
            place: path.display().to_string(),
            path: path.to_owned(),
            span: 0..0,
            call: String::new(),
        };
        return files.next().map(of_file).into_iter().collect();
    }
    let Some(pattern) = &mapper.uses else { return Vec::new() };
    let all = sources_of(repository, mapper).flat_map(|(path, source)| {
        source.matches(&pattern.0).filter_map(move |found| {
            let found = found.get(0)?;
            let open = source.code[found.start()..].find('(').map_or(found.end(), |at| found.start() + at);
            let part: String = source.code[open..].chars().take(2000).collect();
            let call = call_at(&part).to_owned();
            let place = format!("{}:{}", path.display(), source.line(found.start()));
            Some(Use { place, path: path.clone(), span: open..open + call.len(), call })
        })
    });
    all.collect()
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
pub(super) fn speaks(path: &Path, language: &str) -> bool {
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

/// Where a setting stands outside of the calls that make pools: in a mapping, a file, an address.
fn setting(repository: &Repository, runs: &Runs, mapper: &Mapper, pattern: &Regex, uses: &[Use]) -> Option<String> {
    let in_call = |path: &Path, at: usize| uses.iter().any(|one| one.path == path && one.span.contains(&at));
    let in_source = repository
        .sources()
        .iter()
        .filter(|(path, _)| speaks(path, &mapper.language) && !stores::is_beside_the_app(path))
        .find_map(|(path, source)| {
            // A key of a mapping is a text: `"CONN_MAX_AGE": 60`. Comments are blanked.
            let found = pattern.find_iter(&source.code).find(|found| !in_call(path, found.start()))?;
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
        assert!(matches!(with("a.js", "const k = knex(make(all.get('db')));\n", knex), Outcome::Unclear(_)));
        assert!(broken(&with("a.js", "const k = knex({ client: 'pg' });\n", knex), "without explicit"));
    }

    #[test]
    fn every_place_that_makes_a_pool_is_judged() {
        let with =
            |name: &str, code: &str, manifest: (&str, &str)| outcome(&Pool, &Sample::of(&[(name, code), manifest]));
        let python = ("requirements.txt", "sqlalchemy\npsycopg\n");
        let limits = "pool_size=5, pool_pre_ping=True";
        let two = format!("a = create_engine(url, {limits})\nb = create_engine(url)\n");
        assert!(broken(&with("a.py", &two, python), "a.py:2"));
        let open = "a = create_engine(url, poolclass=NullPool)\nb = create_engine(url, **kwargs)\n";
        assert!(matches!(with("a.py", open, python), Outcome::Unclear(why) if why.contains("a.py:2")));
        let elsewhere = format!("kwargs = dict({limits})\nb = create_engine(url, **kwargs)\n");
        assert_eq!(with("a.py", &elsewhere, python), Outcome::Holds);
        let knex = ("package.json", "{\"dependencies\": {\"knex\": \"3\", \"pg\": \"8\"}}");
        let one = "config = { client: 'pg', pool: { min: 1, max: 5 } };\nconst k = knex(config);\n";
        assert_eq!(with("a.js", one, knex), Outcome::Holds);
        let other = format!("if (a) {{ config = {{ client: 'mysql2', connection: {{ host }} }}; }}\n{one}");
        assert!(matches!(with("a.js", &other, knex), Outcome::Unclear(why) if why.contains("a.js:1")));
    }
}
