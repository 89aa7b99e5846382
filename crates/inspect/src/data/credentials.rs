//! `data.credentials`: no default or literal login of a database in files or code.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::stores::{self, Of};
use crate::{container::Purpose, runs::Runs};

pub(super) struct Credentials;

const NAMES: &[&str] = &[
    "POSTGRES_PASSWORD",
    "MYSQL_ROOT_PASSWORD",
    "MYSQL_PASSWORD",
    "MARIADB_ROOT_PASSWORD",
    "MARIADB_PASSWORD",
    "MONGO_INITDB_ROOT_PASSWORD",
    "REDIS_PASSWORD",
    "SA_PASSWORD",
    "MSSQL_SA_PASSWORD",
    "DB_PASSWORD",
    "DB_PASS",
    "DATABASE_PASSWORD",
    "PGPASSWORD",
    "POSTGRESQL_PASSWORD",
];
/// Logins that may do everything.
const ADMINISTRATORS: &[&str] = &["postgres", "root", "sa", "admin"];

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static LOGIN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"://([^\s:/@]*):([^\s@/]*)@([^\s:/?]*)").expect("the pattern is valid"));
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static DJANGO: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"["']PASSWORD["']\s*:\s*["']([^"'\n]+)["']"#).expect("the pattern is valid"));

impl Inspection for Credentials {
    fn control(&self) -> &'static str {
        "data.credentials"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let compose = "services:\n  web:\n    build: .\n    environment:\n      DATABASE_URL: postgres://app_rw:${DB_PASSWORD:?}@db/app\n  \
                       db:\n    image: postgres:18\n    environment:\n      POSTGRES_USER: owner\n      POSTGRES_PASSWORD_FILE: /run/secrets/db\n    secrets: [db]\n\
                       secrets:\n  db:\n    file: ./db.secret\n";
        Sample::of(&[("compose.yml", compose), ("app.py", "import os\nurl = os.environ[\"DATABASE_URL\"]\n")])
    }

    fn absent(&self) -> Sample {
        let compose = "services:\n  db:\n    image: postgres:18\n    environment:\n      POSTGRES_PASSWORD: postgres\n";
        Sample::of(&[("docker-compose.yml", compose), ("app.py", "import os\nurl = os.environ[\"DATABASE_URL\"]\n")])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    if stores::signs(repository, &runs).is_empty() {
        return stores::without(repository);
    }
    let mut cases = Cases::plan(1);
    let (mut looked, mut wrong) = (0, None);
    let mut see = |place: &str, name: &str, value: &str| {
        looked += 1;
        if let Some(why) = literal(value) {
            wrong.get_or_insert(format!("{place}: {name} is {why}"));
        }
    };
    for composition in runs.compositions.iter().filter(|one| one.purpose != Purpose::Development) {
        for service in composition.services.values() {
            for (name, value) in
                service.environment_as_written().iter().filter(|(name, _)| NAMES.contains(&name.as_str()))
            {
                see(&service.place, name, value);
            }
            for (name, value) in service.environment_as_written() {
                if let Some(login) = LOGIN.captures(&value) {
                    see(&service.place, &format!("the password in {name}"), &login[2]);
                }
            }
            let trusting = service.environment().iter().any(|(name, value)| {
                name == "POSTGRES_HOST_AUTH_METHOD" && value == "trust"
                    || name == "MYSQL_ALLOW_EMPTY_PASSWORD" && !["", "no", "0", "false"].contains(&value.as_str())
            });
            if trusting {
                see(&service.place, "the server", "without a password");
            }
        }
    }
    for (path, source) in repository
        .sources()
        .iter()
        .filter(|(path, _)| !stores::is_beside_the_app(path) && !stores::is_for_development(path))
    {
        if source.code.contains("DATABASES") {
            for found in DJANGO.captures_iter(&source.code) {
                let place =
                    format!("{}:{}", path.display(), source.line(found.get(0).map_or(0, |whole| whole.start())));
                see(&place, "PASSWORD", &found[1]);
            }
        }
    }
    let (mut administrator, mut local) = (None, None);
    for address in stores::addresses(repository, &runs) {
        let Some(login) = LOGIN.captures(&address.text) else { continue };
        if address.of == Of::Code {
            // A default for a developer's own machine, or an example in a text, is no login of production, but also no proof.
            let host = &login[3];
            let example = ["example", "hostname", "your", "{", "<"].iter().any(|word| host.contains(word));
            let own = !host.contains('.') || host.starts_with("127.") || host.starts_with("0.0.") || example;
            match own {
                true if literal(&login[2]).is_some() => local = Some(address.place.clone()),
                true => {}
                false => see(&address.place, "the password in an address", &login[2]),
            }
        }
        if ADMINISTRATORS.contains(&&login[1]) && address.of != Of::Code {
            administrator
                .get_or_insert(format!("{}: the app logs in as {}, which may do everything", address.place, &login[1]));
        }
    }
    let seen = wrong.clone().unwrap_or_else(|| format!("{looked} logins come from variables or secrets"));
    if looked > 0 {
        cases.tried(wrong.is_none(), seen);
    }
    if let Some(why) = administrator {
        cases.plan_more(1);
        cases.tried(false, why);
    }
    if let Some(place) = local.filter(|_| !cases.is_broken()) {
        cases.told_nothing(format!("{place} has a literal login as a default: production must set another one"));
    }
    if looked == 0 && !cases.is_broken() {
        cases.told_nothing("no login of a database is written here; whether the one in use is strong is not seen");
    }
    cases.sighting(format!("{looked} logins of databases, none of them literal, none an administrator's"))
}

/// Why a value is a literal password, when it is one. What refers to a variable or a secret is none.
fn literal(value: &str) -> Option<String> {
    let value = value.trim();
    let reference = |text: &str| {
        text.starts_with('$')
            || text.contains("{{")
            || text.starts_with('{')
            || text.starts_with('<')
            || text.contains("%(")
    };
    if let Some(inner) = value.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')) {
        let default = inner.split_once(":-").or_else(|| inner.split_once('-')).map(|(_, default)| default)?;
        return (!default.is_empty() && !reference(default))
            .then(|| "a literal when its variable is not set".to_owned());
    }
    if value.is_empty() || reference(value) || value.contains("${") {
        return None;
    }
    if value == "without a password" {
        return Some("open to everyone".into());
    }
    Some(format!("a literal of {} characters", value.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::tests::{broken, outcome};
    use seaworthy_repository::Outcome;

    #[test]
    fn literals_defaults_and_references() {
        assert!(literal("postgres").is_some() && literal("${A:-postgres}").is_some());
        assert!(
            literal("${A}").is_none()
                && literal("$A").is_none()
                && literal("${A:?set it}").is_none()
                && literal("").is_none()
        );
        let with = |environment: &str| {
            let compose = format!("services:\n  db: {{image: 'postgres:18', environment: {{{environment}}}}}\n");
            outcome(&Credentials, &Sample::of(&[("compose.yml", &compose), ("a.py", "x = 1\n")]))
        };
        assert_eq!(with("POSTGRES_PASSWORD: '${P}'"), Outcome::Holds);
        assert!(broken(&with("DATABASE_URL: 'postgres://postgres:${P}@db/a'"), "everything"));
        assert!(broken(&with("POSTGRES_HOST_AUTH_METHOD: trust"), "everyone"));
        let Outcome::Broken(reason) = with("POSTGRES_PASSWORD: hunter2x") else { panic!() };
        assert!(!reason.contains("hunter2x"));
    }
}
