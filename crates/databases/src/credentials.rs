//! `data.credentials`: no default or literal login of a database in files or code.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_containers::{Purpose, Runs};
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, is_for_development};

use super::stores::{self, Of};

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

/// What was seen of logins.
#[derive(Default)]
struct Logins {
    looked: usize,
    wrong: Option<String>,
    /// Users that the app logs in as, where production may say so: place, name, and whether it is surely production.
    users: Vec<(String, String, bool)>,
    /// Users that a server makes its administrators.
    owners: Vec<String>,
    /// A literal login that may be for a developer's machine alone.
    local: Option<String>,
}

impl Logins {
    fn see(&mut self, place: &str, name: &str, value: &str) {
        self.looked += 1;
        if let Some(why) = literal(value) {
            self.wrong.get_or_insert(format!("{place}: {name} is {why}"));
        }
    }

    fn of_services(&mut self, runs: &Runs) {
        let compositions = runs.compositions.iter().filter(|one| one.purpose != Purpose::Development);
        for service in compositions.flat_map(|one| one.services.values()) {
            for (name, value) in service.environment_as_written() {
                if NAMES.contains(&name.as_str()) {
                    self.see(&service.place, &name, &value);
                }
                if let Some(login) = LOGIN.captures(&value) {
                    self.see(&service.place, &format!("the password in {name}"), &login[2]);
                }
                let allows = |value: &str| !["", "no", "0", "false"].contains(&value);
                if name == "POSTGRES_HOST_AUTH_METHOD" && value == "trust"
                    || name == "MYSQL_ALLOW_EMPTY_PASSWORD" && allows(&value)
                {
                    self.see(&service.place, "the server", OPEN);
                }
                // The image of PostgreSQL makes this user a superuser.
                if name == "POSTGRES_USER" {
                    self.owners.push(value);
                }
            }
        }
    }

    /// Files of variables that are in the checkout, examples left out.
    fn of_files(&mut self, repository: &Repository) {
        for path in repository.files().filter(|path| is_variables(path) && !is_for_development(path)) {
            let text = repository.text(path).unwrap_or_default();
            for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
                let Some((name, value)) = line.split_once('=') else { continue };
                let (name, value) = (name.trim().trim_start_matches("export "), value.trim().trim_matches(['"', '\'']));
                let place = format!("{}:{}", path.display(), index + 1);
                if NAMES.contains(&name) {
                    self.see(&place, name, value);
                } else if let Some(login) =
                    LOGIN.captures(value).filter(|_| name.contains("URL") || name.contains("URI"))
                {
                    self.see(&place, &format!("the password in {name}"), &login[2]);
                }
            }
        }
    }

    fn of_sources(&mut self, repository: &Repository) {
        let is_app = |path: &Path| !stores::is_beside_the_app(path) && !is_for_development(path);
        for (path, source) in repository.sources().iter().filter(|(path, _)| is_app(path)) {
            for found in DJANGO.captures_iter(&source.code).filter(|_| source.code.contains("DATABASES")) {
                let line = source.line(found.get(0).map_or(0, |whole| whole.start()));
                self.see(&format!("{}:{line}", path.display()), "PASSWORD", &found[1]);
            }
        }
    }

    fn of_addresses(&mut self, repository: &Repository, runs: &Runs) {
        for address in stores::addresses(repository, runs) {
            let Some(login) = LOGIN.captures(&address.text) else { continue };
            let (user, password, host) = (&login[1], &login[2], &login[3]);
            if address.of != Of::Code {
                self.users.push((address.place.clone(), user.to_owned(), address.of == Of::Production));
                continue;
            }
            // A default for a developer's own machine, or an example in a text, is no login of production, but also no proof.
            let example = ["example", "hostname", "your", "{", "<"].iter().any(|word| host.contains(word));
            let example =
                example || ["password", "your", "xxx"].iter().any(|word| password.to_lowercase().contains(word));
            let own = !host.contains('.') || host.starts_with("127.") || host.starts_with("0.0.") || example;
            if !own {
                self.see(&address.place, "the password in an address", password);
            } else if literal(password).is_some() {
                self.local = Some(address.place.clone());
            }
        }
    }
}

const OPEN: &str = "without a password";

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    if stores::signs(repository, &runs).is_empty() {
        return stores::without(repository);
    }
    let mut logins = Logins::default();
    logins.of_services(&runs);
    logins.of_files(repository);
    logins.of_sources(repository);
    logins.of_addresses(repository, &runs);
    let mut cases = Cases::plan(2);
    match (&logins.wrong, logins.looked) {
        (Some(why), _) => cases.tried(false, why.clone()),
        (None, 0) => {
            cases.told_nothing("no login of a database is written here; whether the one in use is strong is not seen")
        }
        (None, looked) => cases.tried(true, format!("{looked} logins come from variables or secrets")),
    }
    let is_owner = |user: &str| ADMINISTRATORS.contains(&user) || logins.owners.iter().any(|owner| owner == user);
    let powerful = logins.users.iter().find(|(_, user, _)| is_owner(user));
    match (powerful, logins.users.first()) {
        (Some((place, user, production)), _) if *production || ADMINISTRATORS.contains(&user.as_str()) => {
            cases.tried(false, format!("{place}: the app logs in as {user}, which may do everything"));
        }
        (Some((place, user, _)), _) => {
            cases.told_nothing(format!(
                "{place}: the app logs in as {user}, which the server's image makes a superuser"
            ));
        }
        (None, Some((place, user, _))) if !user.contains('$') && !user.is_empty() && !logins.owners.is_empty() => {
            cases.tried(true, format!("{place}: the app's user {user} is not the server's owner"));
        }
        _ => cases.told_nothing("which user the app logs in as, and whether it is limited, is not seen"),
    }
    if let Some(place) = logins.local.filter(|_| !cases.is_broken()) {
        cases.told_nothing(format!("{place} has a literal login as a default: production must set another one"));
    }
    cases.sighting(format!(
        "{} logins of databases, none of them literal, the app's user is not the owner",
        logins.looked
    ))
}

/// `.env`, `.env.production`, `.envs/.production/.postgres`.
fn is_variables(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
    let harmless = ["example", "sample", "template", "dist", "default", "schema", "test", "dev", "local"];
    let in_folder = path.parent().is_some_and(|folder| folder.iter().any(|part| part == ".envs"));
    let named = name == ".env" || name.starts_with(".env.") || name.ends_with(".env") || in_folder;
    named && !harmless.iter().any(|word| name.contains(word))
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
    if value == OPEN {
        return Some("open to everyone".into());
    }
    Some(format!("a literal of {} characters", value.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{broken, outcome};
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
        assert!(
            matches!(with("POSTGRES_PASSWORD: '${P}'"), Outcome::Unclear(_)),
            "whose login the app has is not seen"
        );
        let committed = Credentials.present().with(&[(".env", "# A=1\nPOSTGRES_PASSWORD=changethis\n")]);
        assert!(broken(&outcome(&Credentials, &committed), ".env:2"));
        let code = |text: &str| {
            outcome(&Credentials, &Sample::of(&[("a.py", text), ("requirements.txt", "redis\npsycopg\n")]))
        };
        let login = "redis://app:Super1Secret@cache.internal.net:6379";
        assert!(broken(&code(&format!("u = \"{login}\"\n")), "a.py:1"));
        let described = code(&format!("\"\"\"Use it so:\n    connect(\"{login}\")\n\"\"\"\n"));
        assert!(matches!(described, Outcome::Unclear(_)), "{described:?}");
        assert!(broken(&with("DATABASE_URL: 'postgres://postgres:${P}@db/a'"), "everything"));
        assert!(broken(&with("POSTGRES_HOST_AUTH_METHOD: trust"), "everyone"));
        let Outcome::Broken(reason) = with("POSTGRES_PASSWORD: hunter2x") else { panic!() };
        assert!(!reason.contains("hunter2x"));
    }
}
