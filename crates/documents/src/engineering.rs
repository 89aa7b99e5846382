//! `docs.architecture`, `docs.contributing`, `docs.migrations`, `docs.security-policies`: pages for those who build the app.

use std::collections::BTreeMap;

use seaworthy_repository::{Cases, Repository, Sample, Sighting, yaml};

use super::written::{Look, Written, always};

pub(super) const ARCHITECTURE: Written = Written {
    control: "docs.architecture",
    person: true,
    beside_the_point: always,
    check: |look, cases| {
        diagram(look, cases);
        services(look, cases);
    },
    present: || Sample::of(&[("ARCHITECTURE.md", ARCHITECTURE_PAGE), ("docker-compose.yml", COMPOSE)]),
    absent: || {
        let compose = format!("{COMPOSE}  search:\n    image: opensearchproject/opensearch:2\n");
        Sample::of(&[("ARCHITECTURE.md", ARCHITECTURE_PAGE), ("docker-compose.yml", &compose)])
    },
};

const COMPOSE: &str = "services:\n  api:\n    build: .\n  worker:\n    build: .\n  db:\n    image: postgres:17\n  cache:\n    image: redis:7\n";
const ARCHITECTURE_PAGE: &str = "# Architecture\nThe API takes orders and answers at once; what takes longer goes through a queue in Redis to the worker, so that a slow mail \
                                 server does not hold a customer up. Both keep their data in PostgreSQL, since orders and stock must change together.\n\
                                 ```mermaid\ngraph LR\n  api --> redis\n  redis --> worker\n  api --> postgres\n  worker --> postgres\n```\nThe worker may be started more than once; the API keeps no \
                                 state of its own. Files are in the database as well: they are few, and one backup then has everything. Nothing else is needed to run it, \
                                 on purpose, because a small team has to know each part well enough to mend it at night.\n";

const DRAWINGS: &[&str] =
    &["mermaid", "plantuml", "puml", "dot", "graphviz", "d2", "uml", "structurizr", "ditaa", "svgbob"];

fn diagram(look: &Look<'_>, cases: &mut Cases) {
    let sections = || look.parts.iter().flat_map(|part| &part.sections);
    let drawn = sections().flat_map(|section| &section.blocks).any(|block| {
        let art = block
            .text
            .lines()
            .filter(|line| {
                line.contains(['│', '─', '└', '├', '▼', '→'])
                    || line.contains("-->")
                    || line.contains("+--")
                    || line.contains("--->")
            })
            .count();
        DRAWINGS.contains(&block.language.as_str()) || art >= 3
    });
    // A badge is no diagram.
    let is_picture = |target: &str| {
        !target.contains("shields.io")
            && !target.contains("badge")
            && !target.contains("/workflows/")
            && !target.contains("logo")
    };
    let shown = sections().flat_map(|section| &section.links).any(|link| {
        let file = [".drawio", ".puml", ".mmd", ".svg", ".png", ".d2", ".dsl"]
            .iter()
            .any(|ending| link.target.to_lowercase().ends_with(ending));
        (link.image || file) && is_picture(&link.target)
    });
    cases.plan_more(1);
    let seen =
        if drawn || shown { "there is a diagram".to_owned() } else { format!("{} has no diagram", look.places()) };
    cases.tried(drawn || shown, seen);
}

/// A case: every service of the compose files is named.
fn services(look: &Look<'_>, cases: &mut Cases) {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let is_compose = |name: &str| {
        name.contains("compose") && !["test", "ci", "example", "e2e"].iter().any(|word| name.contains(word))
    };
    for path in look.repository.ending(&["yml", "yaml"]).filter(|path| path.components().count() <= 2) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(text) = look.repository.text(path).filter(|_| is_compose(name)) else { continue };
        for (service, value) in
            yaml(&text).ok().into_iter().flatten().filter_map(|one| one["services"].as_object().cloned()).flatten()
        {
            let image = value["image"].as_str().unwrap_or_default();
            let image =
                image.rsplit('/').next().unwrap_or(image).split([':', '@']).next().unwrap_or_default().to_owned();
            all.entry(service).or_default().push(image);
        }
    }
    if all.is_empty() {
        return;
    }
    let said = look.said();
    let named = |(service, images): &(&String, &Vec<String>)| {
        let mut words: Vec<String> = images.iter().filter(|image| !image.is_empty()).cloned().collect();
        words.push((*service).clone());
        words.extend(service.split(['-', '_']).filter(|word| word.len() > 2).map(String::from));
        words.extend(
            images.iter().flat_map(|image| image.split(['-', '_'])).filter(|word| word.len() > 3).map(String::from),
        );
        words.iter().any(|word| said.contains(&word.to_lowercase().replace("postgresql", "postgres")))
    };
    let missing: Vec<&String> = all.iter().filter(|one| !named(one)).map(|(service, _)| service).collect();
    cases.plan_more(1);
    let seen = match missing.first() {
        None => format!("all {} services of the compose files are named", all.len()),
        Some(first) => format!(
            "{} of {} services of the compose files are not named in {}, {first} the first",
            missing.len(),
            all.len(),
            look.places()
        ),
    };
    cases.tried(missing.is_empty(), seen);
}

/// Pieces of commands that set a project up.
const SETUP: &[&str] = &[
    "install",
    "npm ci",
    "uv sync",
    "setup",
    "bootstrap",
    "make dev",
    "docker compose up",
    "docker-compose up",
    "cargo build",
    "cargo run",
    "go mod",
    "go build",
    "make build",
    "poetry sync",
    "bundle",
    "pip ",
    "pnpm i",
    "yarn",
    "nix develop",
    "pdm sync",
    "composer",
    "make init",
    "make up",
    "up -d",
    "uv run",
];
/// Pieces of commands that test.
const TESTS: &[&str] = &[
    "test",
    "tox",
    "nox",
    "rspec",
    "jest",
    "vitest",
    "make check",
    "pre-commit run",
    "cypress",
    "playwright",
    "phpunit",
];

pub(super) const CONTRIBUTING: Written = Written {
    control: "docs.contributing",
    person: false,
    beside_the_point: always,
    check: |look, cases| {
        let own = look.command_lines();
        let linked = look.linked_command_lines();
        for (what, words) in [("sets the project up", SETUP), ("runs the tests", TESTS)] {
            cases.plan_more(1);
            let fits = |line: &String| words.iter().any(|word| line.contains(word));
            let place = look.places();
            let elsewhere = linked.iter().find(|(_, line)| fits(line));
            match (own.iter().find(|line| fits(line)), elsewhere) {
                (Some(line), _) => cases.tried(true, format!("`{line}` {what}")),
                (None, Some((path, line))) => {
                    cases.tried(true, format!("{path}, to which {place} leads, shows `{line}`, which {what}"));
                }
                (None, None) => look.asked(cases, false, format!("{place} shows no command that {what}")),
            }
        }
    },
    present: || {
        let text = "# Contributing\nYou need Node 22. Clone the repository, then install and run the tests; they need no network.\n```sh\nnpm ci\nnpm test\n```\nBranch from `main`, one change for each pull \
                    request, and say in the message why. Another of us reads it within two days.\n";
        Sample::of(&[("CONTRIBUTING.md", text), ("package.json", "{\"scripts\": {\"test\": \"vitest\"}}")])
    },
    absent: || {
        let text = "# Contributing\nYou need Node 22. Clone the repository, then install and run the tests; they need no network.\n```sh\nnpm ci\nnpm run test:unit\n```\nBranch from `main`, one change for \
                    each pull request, and say in the message why. Another of us reads it within two days.\n";
        Sample::of(&[("CONTRIBUTING.md", text), ("package.json", "{\"scripts\": {\"test\": \"vitest\"}}")])
    },
};

pub(super) const MIGRATIONS: Written = Written {
    control: "docs.migrations",
    person: false,
    beside_the_point: no_database,
    check: |look, cases| {
        let lines = look.command_lines();
        let words = [
            "migrat",
            "alembic",
            "upgrade",
            "prisma",
            "knex",
            "sequelize",
            "drizzle",
            "goose",
            "dbmate",
            "flyway",
            "liquibase",
            "diesel",
            "atlas",
            "sqlx",
            "db:",
            "typeorm",
            "rake db",
        ];
        let count = lines.iter().filter(|line| words.iter().any(|word| line.contains(word))).count();
        cases.plan_more(1);
        let seen = match count {
            0 => format!("{} shows no command that applies a schema change", look.places()),
            _ => format!("{count} commands apply or undo a schema change"),
        };
        cases.tried(count > 0, seen);
    },
    present: || {
        let text = "# Migrations\nA change of the schema is a revision of Alembic. Apply what is new before the release is started, and undo the last one like this:\n```sh\nalembic upgrade head\nalembic downgrade -1\n```\n";
        Sample::of(&[
            ("docs/migrations.md", text),
            ("alembic.ini", "[alembic]\n"),
            ("migrations/versions/1_a.py", "def upgrade(): pass\n"),
        ])
    },
    absent: || {
        let text = "# Migrations\nA change of the schema is a revision of Alembic. Apply what is new before the release is started, and undo the last one like this:\n```sh\nalembic upgrade head\nalembic downgrade -1\n```\n";
        Sample::of(&[("docs/migrations.md", text), ("prisma/schema.prisma", "model A {}\n"), ("package.json", "{}")])
    },
};

/// Sources, and neither a migration nor a library that keeps data in tables.
fn no_database(repository: &Repository) -> Option<Sighting> {
    let python = [
        "sqlalchemy",
        "django",
        "alembic",
        "peewee",
        "tortoise-orm",
        "sqlmodel",
        "flask-sqlalchemy",
        "psycopg2",
        "psycopg2-binary",
        "psycopg",
        "asyncpg",
        "mysqlclient",
        "pymysql",
    ];
    let javascript = [
        "prisma",
        "@prisma/client",
        "knex",
        "sequelize",
        "typeorm",
        "drizzle-orm",
        "pg",
        "mysql",
        "mysql2",
        "better-sqlite3",
        "sqlite3",
        "mikro-orm",
        "@mikro-orm/core",
        "objection",
        "bookshelf",
    ];
    let ruby = ["rails", "activerecord", "sequel", "pg", "mysql2", "sqlite3"];
    let rust = ["sqlx", "diesel", "sea-orm", "rusqlite", "tokio-postgres"];
    let go = [
        "gorm.io/gorm",
        "github.com/jackc/pgx/v5",
        "github.com/lib/pq",
        "github.com/jmoiron/sqlx",
        "entgo.io/ent",
        "github.com/golang-migrate/migrate/v4",
    ];
    let depends = repository.depends_on("python", &python)
        || repository.depends_on("javascript", &javascript)
        || repository.depends_on("ruby", &ruby)
        || repository.depends_on("rust", &rust)
        || repository.depends_on("go", &go);
    let migrates = repository.files().any(|path| {
        let text = path.to_string_lossy();
        text.contains("migration")
            || text.contains("alembic")
            || text.ends_with(".prisma")
            || text.contains("db/migrate")
            || text.ends_with(".sql")
    });
    let none = !depends && !migrates && !repository.sources().is_empty() && repository.not_whole().is_none();
    let sources = repository.sources().len();
    none.then(|| {
        Sighting::not_applicable(format!("no migration and no database library is found in {sources} sources"))
    })
}

pub(super) const SECURITY_POLICIES: Written = Written {
    control: "docs.security-policies",
    person: true,
    beside_the_point: always,
    check: |look, cases| {
        look.says(
            cases,
            "what access it is about",
            &["production", "database", "server", "admin", "console", "deploy", "cloud", "aws"],
        );
        cases.plan_more(1);
        let rows: usize = look
            .parts
            .iter()
            .flat_map(|part| &part.sections)
            .map(|section| section.rows.len().saturating_sub(1).max(section.items))
            .sum();
        let seen = match rows {
            0 | 1 => format!("{} has no list of those who have access", look.places()),
            _ => format!("a list of {rows} entries is in it"),
        };
        cases.tried(rows >= 2, seen);
    },
    present: || {
        let text = "# Access control policy\nProduction is reached over the bastion alone, with a key of one's own and a second factor. Access is given by the head of engineering, for as long as it is needed, \
                    and is taken away on the last day of work. The list is compared with the servers each quarter.\n\n| who | server | database |\n|---|---|---|\n| A. Meier | yes | yes |\n| B. Lund | yes | no |\n";
        Sample::of(&[("docs/policies/access-control.md", text)])
    },
    absent: || {
        let text = "# Access control policy\nProduction is reached over the bastion alone, with a key of one's own and a second factor. Access is given by the head of engineering, for as long as it is needed, \
                    and is taken away on the last day of work. The list is compared with the servers each quarter.\n";
        Sample::of(&[("docs/policies/access-control.md", text)])
    },
};

#[cfg(test)]
mod tests {
    use seaworthy_repository::{Inspection, Outcome};

    use super::*;

    fn look(inspection: &Written, files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        inspection.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    const WORDS: &str = "Thank you for making this better. Write what you change and why, keep it small, and add tests for what you add; somebody reads it within                          two days and tells you what they make of it, and then it goes out with the next release, with your name. First comes ";

    #[test]
    fn what_a_contributor_needs_may_be_a_link_away() {
        let leads = format!("{WORDS}:doc:`/dev/testing` and :ref:`setting-up`.\n");
        let setup =
            "Start\n=====\n\n.. _setting-up:\n\nSetting up\n----------\n\n.. code-block:: sh\n\n    pip install -e .\n";
        let with = |command: &str| {
            let testing = format!("Testing\n=======\n\n.. code-block:: sh\n\n    {command}\n");
            let files = [
                ("docs/conf.py", ""),
                ("docs/contributing.rst", leads.as_str()),
                ("docs/start.rst", setup),
                ("docs/dev/testing.rst", testing.as_str()),
            ];
            look(&CONTRIBUTING, &files)
        };
        assert_eq!(with("pytest"), Outcome::Holds);
        assert!(matches!(with("git status"), Outcome::Broken(why) if why.contains("no command that runs the tests")));
    }

    #[test]
    fn a_page_that_sends_out_beside_one_that_says_little_leaves_it_open() {
        let readme = format!("# App\n## Contributing\n{WORDS} a talk.\n");
        let alone = [("README.md", readme.as_str())];
        assert!(matches!(look(&CONTRIBUTING, &alone), Outcome::Broken(_)));
        let out = "Contributing\n============\n\nThe guide is online:\n\nhttps://docs.invalid/contributing.html\n";
        let both = [("README.md", readme.as_str()), ("CONTRIBUTING.rst", out)];
        assert!(matches!(look(&CONTRIBUTING, &both), Outcome::Unclear(why) if why.contains("docs.invalid")));
        for readme in [
            "# App\n<p><a href=\"https://docs.invalid/x\">Contributing</a></p>\n",
            "# App\n[Contribute to App](https://docs.invalid/x)\n",
        ] {
            assert!(matches!(look(&CONTRIBUTING, &[("README.md", readme)]), Outcome::Unclear(_)), "{readme}");
        }
        let target = "App\n===\n\nRead `Contributing to App`_ first.\n\n.. _`Contributing to App`:\n    https://docs.invalid/x\n";
        assert!(matches!(look(&CONTRIBUTING, &[("README.rst", target)]), Outcome::Unclear(_)));
    }
}
