//! `config.default-secrets`: no secret that everybody knows is one that the app would run with.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, Variable, is_test};

use super::values::{holds_secret, is_placeholder, is_weak, own_value, password_in};
use seaworthy_repository::environment::{Purpose, Setting, is_tool, settings};

pub(super) struct DefaultSecrets;

/// Where code itself says a secret: frameworks' own names, and the calls that sign.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static LITERAL: LazyLock<Regex> = LazyLock::new(|| {
    let names = r"SECRET_KEY|JWT_SECRET|JWT_SECRET_KEY|SESSION_SECRET|secret_key|secret_key_base|jwtSecret|sessionSecret|cookieSecret|SECRET_KEY_BASE";
    let assigned =
        format!(r#"(?:^|[^\w$])(?P<at>(?:{names})["']?\]?)\s*(?::\s*str\s*)?[:=]\s*["'](?P<value>[^"'\n]+)["']"#);
    let session = r#"\bsession\(\s*\{[^}]{0,200}?\bsecret\s*:\s*["'](?P<session>[^"'\n]+)["']"#;
    let signed = r#"\bjwt\.(?:sign|verify|encode|decode)\([^"'\n)]*,\s*["'](?P<signed>[^"'\n]+)["']"#;
    Regex::new(&format!("(?m){assigned}|{session}|{signed}")).expect("the pattern is valid")
});

impl Inspection for DefaultSecrets {
    fn control(&self) -> &'static str {
        "config.default-secrets"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let mut cases = Cases::plan(0);
        let variables = of_variables(repository, &mut cases);
        let literals = of_literals(repository, &mut cases);
        let set = of_settings(repository, &mut cases);
        of_constants(repository, &mut cases);
        if let Some(why) = repository.not_whole() {
            cases.told_nothing(why);
        }
        let summary = format!(
            "{variables} secret variables of the code have no default that would be used; {literals} secrets in code, {set} in files, none that everybody knows"
        );
        let sighting = cases.sighting(summary);
        if sighting.planned == 0 && repository.not_whole().is_none() {
            return Sighting::unclear(
                "no secret is seen: none is read by the code and none is set by a file, so there is nothing to compare",
            );
        }
        sighting
    }

    fn present(&self) -> Sample {
        let compose = "services:\n  app:\n    build: .\n    environment:\n      SECRET_KEY: ${SECRET_KEY:?}\n  db:\n    image: postgres:17\n    environment:\n      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}\n";
        Sample::of(&[("app.py", "import os\nKEY = os.environ[\"SECRET_KEY\"]\n"), ("docker-compose.yml", compose)])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[("app.py", "import os\nKEY = os.getenv(\"SECRET_KEY\", \"changeme\")\n")])
    }
}

/// Defaults that the code has for the secrets that it reads.
fn of_variables(repository: &Repository, cases: &mut Cases) -> usize {
    let mut count = 0;
    for (name, variable) in &repository.variables().all {
        let own = variable.places.iter().any(|(path, _)| !is_tool(path) && !develops(path));
        let address = variable.default.as_deref().and_then(password_in);
        if !(holds_secret(name) || address.is_some()) {
            continue;
        }
        if !own {
            for_development_alone(cases, name, variable);
            continue;
        }
        count += 1;
        cases.plan_more(1);
        let place = variable.places.first().map_or(String::new(), |(path, line)| format!("{}:{line}", path.display()));
        let is_number =
            |text: &str| text.parse::<f64>().is_ok() || ["True", "False", "true", "false", "None"].contains(&text);
        // A number may be a known password as well.
        let is_none =
            |text: &str| text.is_empty() || is_number(text) && !(is_weak(text) && text.parse::<f64>().is_ok());
        let default = variable.default.as_deref().filter(|default| !is_none(default));
        match (default, address) {
            (None, _) => cases.tried(true, format!("{name} has no default")),
            (Some(_), Some((_, host))) if is_own_machine(host) => {
                cases.told_nothing(format!("{place}: {name} falls back to an address on the own machine with its password; only the live value tells"));
            }
            (Some(default), _) if is_refused(repository, name, variable, default) => {
                cases.tried(true, format!("{name} has a default, which the code compares with and refuses"));
            }
            (Some(_), _) => cases.tried(
                false,
                format!("{place}: when {name} is not set, the app runs with a value that is in the code"),
            ),
        }
    }
    count
}

/// Read in files for development alone: what production takes instead is nowhere, so that it may be the same.
fn for_development_alone(cases: &mut Cases, name: &str, variable: &Variable) {
    let place = variable.places.iter().find(|(path, _)| !is_tool(path) && !is_test(path));
    let default = variable.default.as_deref().filter(|default| default.len() >= 3 && !is_placeholder(default));
    if let (Some((path, line)), Some(_)) = (place, default) {
        cases.plan_more(1);
        cases.told_nothing(format!(
            "{}:{line}: {name} has a value in the code; the file is named after development, and no other reads {name}: whether production runs with it is not seen",
            path.display()
        ));
    }
}

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static CONSTANT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?m)^(?P<name>DEFAULT_\w*(?:PASSWORD|SECRET|SECRET_KEY|TOKEN|API_KEY))\s*(?::\s*\w+\s*)?=\s*["'](?P<value>[^"'\n]{3,})["']"#)
        .expect("the pattern is valid")
});

/// Constants that say what a password is when nobody says it: `DEFAULT_SEARCH_PASSWORD = "…"`.
fn of_constants(repository: &Repository, cases: &mut Cases) {
    for (path, source) in repository.sources().iter().filter(|(path, _)| !is_tool(path) && !develops(path)) {
        for found in source.matches(&CONSTANT).filter(|found| is_value(&found["value"])) {
            let (name, at) = (&found["name"], found.get(0).map_or(0, |whole| whole.start()));
            let used = repository.sources().iter().find_map(|(user, source)| {
                let mut all = source.code.match_indices(name).map(|(at, _)| source.line(at));
                let line = all.find(|line| user != path && !is_import(&source.code, *line))?;
                Some(format!("{}:{line}", user.display()))
            });
            if let Some(user) = used {
                cases.plan_more(1);
                cases.told_nothing(format!(
                    "{}:{}: {name} is in the code, and {user} uses it; whether every deployment sets another is not seen",
                    path.display(),
                    source.line(at)
                ));
            }
        }
    }
}

/// `from .literals import (` and the lines of names below it.
fn is_import(code: &str, line: usize) -> bool {
    let text = code.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
    text.contains("import ")
        || text.trim_end_matches(',').chars().all(|letter| letter.is_alphanumeric() || "_, ".contains(letter))
}

/// The code compares this variable with its default: it is meant to be caught. The same literal elsewhere says nothing.
fn is_refused(repository: &Repository, name: &str, variable: &Variable, default: &str) -> bool {
    const MARKS: &[&str] =
        &["==", "!=", " in (", " in [", " in {", "startswith(", "includes(", "startsWith(", "is_in("];
    let quoted = [format!("\"{default}\""), format!("'{default}'")];
    let names = names_of(repository, name, variable);
    repository.sources().values().any(|source| {
        quoted.iter().any(|text| {
            source.code.match_indices(text.as_str()).any(|(at, _)| {
                let before = source.code[..at].trim_end();
                let line = before.rsplit('\n').next().unwrap_or_default().to_lowercase();
                MARKS.iter().any(|mark| before.ends_with(mark)) && names.iter().any(|name| line.contains(name.as_str()))
            })
        })
    })
}

/// What a comparison with the variable would say, in lower case: its name, its last word, and what it is assigned to.
fn names_of(repository: &Repository, name: &str, variable: &Variable) -> Vec<String> {
    let mut names = vec![name.to_lowercase()];
    let last = name.rsplit('_').next().unwrap_or_default().to_lowercase();
    names.extend(["key", "secret", "password", "token"].contains(&last.as_str()).then_some(last));
    for (path, line) in &variable.places {
        let Some(source) = repository.sources().get(path) else { continue };
        let text = source.code.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let Some((left, _)) = text.split_once('=') else { continue };
        let left = left.split(':').next().unwrap_or_default().trim();
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let own = left.rsplit(|letter: char| !is_part(letter)).next().unwrap_or_default();
        // Of one or two letters, any line has them.
        names.extend((own.len() > 2).then(|| own.to_lowercase()));
    }
    names
}

fn of_literals(repository: &Repository, cases: &mut Cases) -> usize {
    let mut count = 0;
    for (path, source) in repository.sources().iter().filter(|(path, _)| !is_tool(path) && !develops(path)) {
        for found in source.matches(&LITERAL) {
            let value = ["value", "session", "signed"].iter().find_map(|name| found.name(name));
            let Some(value) = value.map(|value| value.as_str()).filter(|value| is_value(value)) else { continue };
            let at = found.name("at").or(found.get(0)).map_or(0, |part| part.start());
            count += 1;
            cases.plan_more(1);
            let place = format!("{}:{}", path.display(), source.line(at));
            let line = source.code[..at].rsplit('\n').next().unwrap_or_default();
            // Below an `if`, it may be for development only; which one, only a run would tell.
            match line.starts_with([' ', '\t']) && !is_weak(value) {
                true => cases.told_nothing(format!("{place} has a secret as a literal, perhaps for some cases only")),
                false => {
                    cases.tried(false, format!("{place} has a secret as a literal, so everyone with the code knows it"))
                }
            }
        }
    }
    count
}

/// Not a name, a setting's path, or a text that the code puts together.
fn is_value(value: &str) -> bool {
    value.len() >= 3
        && !value.contains("${")
        && !value.starts_with('{')
        && !value.starts_with("process.env")
        && (!value.contains('_') || value.to_ascii_uppercase() != value)
}

fn of_settings(repository: &Repository, cases: &mut Cases) -> usize {
    let all = settings(repository);
    let mut count = 0;
    for setting in &all {
        let value = own_value(&setting.value);
        let weak = value.and_then(|value| match password_in(value) {
            Some((password, _)) => is_weak(password).then_some("an address whose password everybody knows"),
            None => (holds_secret(&setting.name) && is_weak(value)).then_some("a value that everybody knows"),
        });
        if !holds_secret(&setting.name) && weak.is_none() {
            continue;
        }
        if setting.purpose == Purpose::Development {
            if weak.is_some() {
                cases.note(format!("{} sets {} to a known value, for development", setting.place, setting.name));
            }
            continue;
        }
        count += 1;
        cases.plan_more(1);
        match weak {
            None if is_literal(setting) && setting.purpose == Purpose::Production => {
                cases.tried(
                    false,
                    format!(
                        "{} has the value of {}, so everyone with the repository knows it",
                        setting.place, setting.name
                    ),
                );
            }
            None if is_literal(setting) => {
                cases.told_nothing(format!(
                    "{} has a value of {}; whether production takes it is not seen here",
                    setting.place, setting.name
                ));
            }
            None => cases.tried(true, format!("{} sets {} to nothing that is known", setting.place, setting.name)),
            Some(what) if setting.purpose == Purpose::Open && elsewhere_for_production(&all) => {
                cases.told_nothing(format!(
                    "{} sets {} to {what}; whether production takes it, another file decides",
                    setting.place, setting.name
                ));
            }
            Some(what) => cases.tried(false, format!("{} sets {} to {what}", setting.place, setting.name)),
        }
    }
    count
}

/// A value that stands in a committed file, and is neither a name nor a place of one.
fn is_literal(setting: &Setting) -> bool {
    let value = own_value(&setting.value).filter(|_| !setting.referenced && !setting.ignored);
    value.is_some_and(|value| {
        !is_placeholder(value)
            && !value.starts_with('/')
            && !value.starts_with("ENC[")
            && !["true", "false"].contains(&value)
            && value.parse::<f64>().is_err()
    })
}

fn elsewhere_for_production(all: &[Setting]) -> bool {
    all.iter().any(|setting| setting.purpose == Purpose::Production)
}

fn is_own_machine(host: &str) -> bool {
    ["localhost", "127.0.0.1", "0.0.0.0", "[::1]", "db", "postgres", "mongo", "redis", "mysql", "host.docker.internal"]
        .contains(&host.rsplit_once(':').map_or(host, |(name, _)| name))
}

/// Sources that are for a developer's machine.
fn develops(path: &Path) -> bool {
    let text = path.to_string_lossy().to_lowercase();
    text.split(['/', '.', '_', '-']).any(|word| {
        [
            "dev",
            "development",
            "local",
            "test",
            "tests",
            "testing",
            "example",
            "sample",
            "ci",
            "fixtures",
            "seed",
            "seeds",
            "mock",
            "mocks",
            "demo",
        ]
        .contains(&word)
    })
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    #[test]
    fn defaults_that_production_may_share_are_not_passed_over() {
        let of = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            Sample::of(files).write(folder.path()).unwrap();
            DefaultSecrets.look(&Repository::open(folder.path()).unwrap()).outcome
        };
        let key = "import os\nKEY = os.getenv('SECRET_KEY', 'a-well-known-key')\n";
        let alone = of(&[("docker/development/settings.py", key), ("app.py", "T = os.environ['API_TOKEN']\n")]);
        assert!(matches!(&alone, Outcome::Unclear(why) if why.contains("settings.py:2")), "{alone:?}");
        let beside =
            [("settings/dev.py", key), ("settings/production.py", "import os\nKEY = os.environ['SECRET_KEY']\n")];
        assert!(!matches!(of(&beside), Outcome::Unclear(why) if why.contains("whether production")));
        let constant = ("a/literals.py", "DEFAULT_SEARCH_PASSWORD = 'searchpassword'\n");
        let used = (
            "a/b.py",
            "from .literals import (\n    DEFAULT_SEARCH_PASSWORD,\n)\nauth = ('e', DEFAULT_SEARCH_PASSWORD)\n",
        );
        let token = ("app.py", "import os\nT = os.environ['API_TOKEN']\n");
        assert!(matches!(of(&[constant, used, token]), Outcome::Unclear(why) if why.contains("a/b.py:4")));
        assert_eq!(of(&[constant, token]), Outcome::Holds, "nothing uses it");
    }

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        DefaultSecrets.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    fn is_broken(files: &[(&str, &str)]) -> bool {
        matches!(outcome(files), Outcome::Broken(_))
    }

    #[test]
    fn what_everybody_knows_is_found() {
        assert!(is_broken(&[("shop/settings.py", "SECRET_KEY = 'django-insecure-a{b$c'\n")]));
        assert!(is_broken(&[("a.js", "const s = process.env.JWT_SECRET || \"secret\";\n")]));
        assert!(is_broken(&[("a.js", "app.use(session({ resave: false, secret: 'keyboard cat' }));\n")]));
        assert!(is_broken(&[
            ("a.js", "x"),
            (
                "compose.yaml",
                "services:\n  a: {build: ., environment: {DATABASE_URL: \"postgres://postgres:postgres@db/x\"}}\n"
            )
        ]));
        assert!(is_broken(&[("a.js", "x"), (".env.production", "ADMIN_PASSWORD=admin\n")]));
        assert!(is_broken(&[("a.js", "x"), ("Dockerfile", "FROM x\nENV SECRET_KEY=changeme\n")]));
    }

    #[test]
    fn what_is_for_development_or_refused_is_left_alone() {
        let read = "import os\nKEY = os.environ[\"SECRET_KEY\"]\n";
        assert_eq!(
            outcome(&[
                ("a.py", read),
                ("docker-compose.dev.yml", "services: {a: {build: ., environment: {POSTGRES_PASSWORD: postgres}}}\n")
            ]),
            Outcome::Holds
        );
        let refused = "import os\nKEY = os.getenv(\"SECRET_KEY\", \"changeme\")\nif production and KEY == \"changeme\": raise RuntimeError\n";
        assert_eq!(outcome(&[("a.py", refused)]), Outcome::Holds);
        let numbers = "import os\nKEY = os.environ[\"SECRET_KEY\"]\nAGE = os.getenv(\"ACCESS_TOKEN_EXPIRE_MINUTES\", \"30\")\nB = os.getenv(\"TOKEN_HEADER\", \"authorization\")\n";
        assert_eq!(outcome(&[("a.py", numbers)]), Outcome::Holds);
        assert_eq!(outcome(&[("a.py", read), ("settings/local.py", "SECRET_KEY = 'x-local-y'\n")]), Outcome::Holds);
        assert!(matches!(outcome(&[("a.py", "print(1)")]), Outcome::Unclear(_)));
        // An argument of a task is no secret of the app.
        let task = ("lib/tasks/mail.rake", "task :mail do\n  login ENV['password']\nend\n");
        assert!(matches!(outcome(&[("a.rb", "puts 1\n"), task]), Outcome::Unclear(_)));
    }

    #[test]
    fn a_comparison_of_something_else_refuses_nothing() {
        let role = "import os\nP = os.getenv(\"ADMIN_PASSWORD\", \"admin\")\nif user.role == \"admin\": pass\n";
        assert!(is_broken(&[("a.py", role)]));
        let own = "const jwt = process.env.JWT_SECRET || 'secret';\nif (jwt === 'secret') throw new Error();\n";
        assert_eq!(outcome(&[("a.js", own)]), Outcome::Holds);
    }

    #[test]
    fn a_known_number_is_a_default() {
        assert!(is_broken(&[("a.js", "const s = process.env.JWT_SECRET || \"123456\";\n")]));
    }

    #[test]
    fn a_default_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(&[("a.py", "import os\nKEY = os.getenv(\"API_TOKEN\", \"tok-hunter2x\")\n")])
            .write(folder.path())
            .unwrap();
        let seen = DefaultSecrets.look(&Repository::open(folder.path()).unwrap());
        assert!(!format!("{seen:?}").contains("hunter2x"), "{seen:?}");
    }
}
