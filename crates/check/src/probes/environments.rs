//! `config.environments`: development and production are configured apart, differently, and share no secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::LazyLock,
};

use ignore::WalkBuilder;
use regex::Regex;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct Environments;

const CONTROL: &str = "config.environments";

/// Configuration lies near the top.
const DEPTH: usize = 5;
const LARGEST: u64 = 1 << 20;
/// Folders of other people's work, and of what is built.
const FOREIGN: [&str; 12] = [
    ".git",
    "node_modules",
    "vendor",
    "target",
    "dist",
    "build",
    ".venv",
    "venv",
    "site-packages",
    "__pycache__",
    ".next",
    "tests",
];
const PRODUCTION: &str = "production";
/// What people call their environments, and what that comes to.
const NAMES: [(&str, &str); 12] = [
    ("production", PRODUCTION),
    ("prod", PRODUCTION),
    ("live", PRODUCTION),
    ("staging", "staging"),
    ("stage", "staging"),
    ("preprod", "staging"),
    ("preproduction", "staging"),
    ("uat", "staging"),
    ("qa", "staging"),
    ("development", "development"),
    ("dev", "development"),
    ("local", "development"),
];
/// Files that are configuration when nothing but an environment's name is added to theirs.
const STEMS: [&str; 17] = [
    "",
    ".env",
    "env",
    "environment",
    "settings",
    "config",
    "seaworthy",
    "appsettings",
    "application",
    "docker-compose",
    "compose",
    "values",
    "app",
    "database",
    "secrets",
    "terraform",
    "serverless",
];
/// Folders whose files or folders are named after environments.
const FOLDERS: [&str; 12] = [
    "environments",
    "environment",
    "envs",
    "env",
    "settings",
    "config",
    "configs",
    "overlays",
    "profiles",
    "deploy",
    "stages",
    "helm",
];

impl Probe for Environments {
    fn about(&self) -> About {
        About { control: CONTROL.into(), kind: ProbeKind::Static, class: SafetyClass::Passive }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(async move { look(subject) })
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            fixture::folder(&[
                ("settings/dev.py", "DEBUG = True\nDATABASE_URL = 'postgres://localhost/dev'\n"),
                ("settings/production.py", "DEBUG = False\nDATABASE_URL = os.environ['DATABASE_URL']\n"),
            ])
        })
    }

    // The common mistake: two files, and one database for both.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            fixture::folder(&[
                (".env.development", "DEBUG=1\nDATABASE_URL=postgres://db.internal/app\n"),
                (".env.production", "DEBUG=0\nDATABASE_URL=postgres://db.internal/app\n"),
            ])
        })
    }
}

/// A file of one environment.
struct Profile {
    environment: &'static str,
    path: String,
    values: BTreeMap<String, String>,
}

fn look(subject: &Subject) -> Sighting {
    let Some(repo) = &subject.repo else { return Sighting::not_tried("name the app's source with --repo") };
    if !repo.is_dir() {
        return Cases::plan(3).gave_up(format!("{} is not a folder", repo.display()));
    }
    // What a folder is (an app, or a package that others install) is found out once for all who ask.
    let started = subject.url.is_some() || subject.launcher.is_some();
    if let Ok(repository) = subject.source.started(started).open(repo, subject.run_code)
        && let Some(sighting) = seaworthy_repository::not_of_a_package(&repository, CONTROL)
    {
        return sighting;
    }
    let (profiles, looked_at) = profiles(repo);
    let families = families(profiles);
    let mut cases = Cases::plan(3);
    let Some(profiles) = families.into_values().max_by_key(|family| kinds(family).len()) else {
        cases.tried(false, format!("none of {looked_at} files is for one environment: all run with one configuration"));
        return cases.sighting("");
    };
    let listed = profiles.iter().map(|one| one.path.as_str()).collect::<Vec<_>>().join(", ");
    let kinds = kinds(&profiles);
    let apart = kinds.len() >= 2 && kinds.contains(PRODUCTION);
    cases.tried(apart, format!("{} environments ({}) in {listed}", kinds.len(), join(&kinds)));
    if !apart {
        return cases.sighting("");
    }
    let production: Vec<&Profile> = profiles.iter().filter(|one| one.environment == PRODUCTION).collect();
    let others: Vec<&Profile> = profiles.iter().filter(|one| one.environment != PRODUCTION).collect();
    let differing = differing(&production, &others);
    cases.tried(differing > 0, format!("{differing} values differ between production and the others ({listed})"));
    let (secrets, shared) = shared_secrets(&production, &others);
    match shared {
        Some((name, path)) => cases.tried(false, format!("production and {path} share the value of {name}")),
        None => cases.tried(true, format!("none of {secrets} secrets is shared")),
    }
    cases.sighting(format!(
        "{} environments ({}) in {listed}: {differing} values differ, none of {secrets} secrets or databases written there is shared",
        kinds.len(),
        join(&kinds)
    ))
}

fn join(kinds: &BTreeSet<&str>) -> String {
    kinds.iter().copied().collect::<Vec<_>>().join(", ")
}

fn kinds(family: &[Profile]) -> BTreeSet<&'static str> {
    family.iter().map(|one| one.environment).collect()
}

/// Every file that is named after an environment, and how many files there were.
fn profiles(repo: &Path) -> (Vec<(String, Profile)>, usize) {
    let mut found = Vec::new();
    let mut looked_at = 0;
    let own = |name: &str| !FOREIGN.contains(&name);
    // Files that Git ignores count: that is where environments have their values.
    let walk = WalkBuilder::new(repo)
        .standard_filters(false)
        .max_depth(Some(DEPTH))
        .filter_entry(move |entry| entry.depth() == 0 || entry.file_name().to_str().is_some_and(own))
        .build();
    for entry in walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file())) {
        looked_at += 1;
        let Some(path) = entry.path().strip_prefix(repo).ok().and_then(Path::to_str) else { continue };
        let Some((family, environment)) = classify(path) else { continue };
        if entry.metadata().is_ok_and(|data| data.len() <= LARGEST)
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            found.push((family, Profile { environment, path: path.to_owned(), values: values(path, &text) }));
        }
    }
    found.sort_by(|one, other| one.1.path.cmp(&other.1.path));
    (found, looked_at)
}

fn families(profiles: Vec<(String, Profile)>) -> BTreeMap<String, Vec<Profile>> {
    let mut families: BTreeMap<String, Vec<Profile>> = BTreeMap::new();
    for (family, profile) in profiles {
        families.entry(family).or_default().push(profile);
    }
    families
}

/// Which files a path belongs with, and its environment. A file without an environment in its name, beside others that have
/// one, is what development runs with.
fn classify(path: &str) -> Option<(String, &'static str)> {
    const KINDS: [&str; 15] = [
        "env",
        "toml",
        "yml",
        "yaml",
        "json",
        "py",
        "rb",
        "js",
        "ts",
        "properties",
        "tfvars",
        "ini",
        "cfg",
        "conf",
        "exs",
    ];
    let parts: Vec<&str> = path.split('/').collect();
    let (name, folders) = parts.split_last()?;
    // What an example shows is not what an environment has.
    if [".example", ".sample", ".template", ".dist"].iter().any(|end| name.ends_with(end)) {
        return None;
    }
    let is_dotenv = name.starts_with(".env");
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if !is_dotenv && !KINDS.contains(&extension) {
        return None;
    }
    let stem = if is_dotenv { *name } else { name.strip_suffix(&format!(".{extension}"))? };
    let (base, environment) = match stem.rsplit_once(['.', '-', '_']).filter(|(_, last)| known(last).is_some()) {
        Some((base, last)) => (base, known(last)),
        None => match known(stem) {
            Some(environment) => ("", Some(environment)),
            None => (stem, None),
        },
    };
    let place = folders.join("/");
    if let Some(environment) = environment.filter(|_| STEMS.contains(&base.to_lowercase().as_str())) {
        let placed =
            !base.is_empty() || folders.last().is_some_and(|folder| is_environments(folder)) || extension == "tfvars";
        return placed.then(|| (format!("{place}/{base}"), environment));
    }
    if let Some(found) = by_folder(folders, &stem.to_lowercase(), extension) {
        return Some(found);
    }
    let alone = base.to_lowercase();
    let base_of = ["seaworthy", ".env", "appsettings", "application", "docker-compose", "compose", "values"];
    let is_base = base_of.contains(&alone.as_str()) && (is_dotenv || is_configuration(&alone, extension));
    is_base.then(|| (format!("{place}/{base}"), "development"))
}

/// By a folder that is named after an environment.
fn by_folder(folders: &[&str], stem: &str, extension: &str) -> Option<(String, &'static str)> {
    // docker/development/settings.py: it holds that environment's configuration.
    if let Some(environment) = folders.last().and_then(|folder| known(folder))
        && is_configuration(stem, extension)
    {
        return Some((format!("{}/*/{stem}", folders[..folders.len() - 1].join("/")), environment));
    }
    // overlays/production/kustomization.yaml
    folders.iter().enumerate().skip(1).find_map(|(at, folder)| {
        let environment = known(folder).filter(|_| is_environments(folders[at - 1]))?;
        Some((format!("{}/*", folders[..at].join("/")), environment))
    })
}

fn is_environments(folder: &str) -> bool {
    FOLDERS.contains(&folder.to_lowercase().as_str())
}

/// Whether a file of this stem configures something: a program may be called `compose.js` or `application.py` as well.
fn is_configuration(stem: &str, extension: &str) -> bool {
    let only_settings = ["settings", "config", "environment"].contains(&stem);
    let is_code = ["py", "rb", "js", "ts", "exs"].contains(&extension);
    stem.len() > 1 && STEMS.contains(&stem) && (only_settings || !is_code)
}

fn known(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

/// Names and values, as most formats write them; what is nested counts by its last name.
fn values(path: &str, text: &str) -> BTreeMap<String, String> {
    if let Some(value) = path.ends_with(".json").then(|| serde_json::from_str(text).ok()).flatten() {
        let mut found = BTreeMap::new();
        nested(&value, "", 0, &mut found);
        return found;
    }
    static ASSIGNMENTS: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r#"(?m)^\s*(?:export\s+|-\s+)?["']?([A-Za-z_][\w.-]*)["']?\s*(?:=>|[:=])\s*(\S.*?)[,;]?\s*$"#)
            .expect("the pattern is valid")
    });
    let found = ASSIGNMENTS.captures_iter(text);
    found.map(|pair| (pair[1].to_owned(), pair[2].trim_matches(['"', '\'']).to_owned())).collect()
}

/// Values of JSON under their whole names: `database_connection_host`.
fn nested(value: &serde_json::Value, name: &str, depth: usize, found: &mut BTreeMap<String, String>) {
    match value {
        serde_json::Value::Object(table) if depth < 16 => {
            for (key, value) in table {
                let whole = if name.is_empty() { key.clone() } else { format!("{name}_{key}") };
                nested(value, &whole, depth + 1, found);
            }
        }
        serde_json::Value::String(text) => {
            found.insert(name.to_owned(), text.clone());
        }
        other => {
            found.insert(name.to_owned(), other.to_string());
        }
    }
}

/// How many values production has that the others have not.
fn differing(production: &[&Profile], others: &[&Profile]) -> usize {
    let has = |key: &String, value: &String| others.iter().any(|one| one.values.get(key) == Some(value));
    let of_one = |one: &&Profile| one.values.iter().filter(|(key, value)| !has(key, value)).count();
    production.iter().map(of_one).sum()
}

/// How many secrets and databases production has in the open, and one that another environment has too.
fn shared_secrets(production: &[&Profile], others: &[&Profile]) -> (usize, Option<(String, String)>) {
    static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(
            r"(?i)secret|passw|token|api_?key|private_?key|(?:database|db|redis|mongo)\w*_?(?:url|uri|name|host)$|dsn$",
        )
        .expect("the pattern is valid")
    });
    let mut count = 0;
    for (key, value) in production.iter().flat_map(|one| &one.values) {
        if !SECRETS.is_match(key) || !is_literal(value) {
            continue;
        }
        count += 1;
        if let Some(other) = others.iter().find(|other| other.values.get(key) == Some(value)) {
            return (count, Some((key.clone(), other.path.clone())));
        }
    }
    (count, None)
}

/// A value itself, and not a reference to one or a place for one.
fn is_literal(value: &str) -> bool {
    const ELSEWHERE: [&str; 14] = [
        "${",
        "$(",
        "{{",
        "<",
        "env(",
        "env:",
        "file:",
        "environ",
        "getenv",
        "process.env",
        "ENV[",
        "ENV.",
        "changeme",
        "xxx",
    ];
    value.len() >= 4
        && !ELSEWHERE.iter().any(|sign| value.contains(sign))
        // Each has its own machine under this name.
        && !["true", "false", "null", "None", "localhost", "127.0.0.1", "0.0.0.0"].contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        look(&fixture::folder(files).unwrap().subject).outcome
    }

    #[test]
    fn every_stack_names_its_environments_in_its_own_way() {
        for (path, environment) in [
            ("seaworthy.production.toml", PRODUCTION),
            ("seaworthy.toml", "development"),
            (".env.staging", "staging"),
            (".env", "development"),
            ("app/settings/prod.py", PRODUCTION),
            ("config/environments/production.rb", PRODUCTION),
            ("src/appsettings.Production.json", PRODUCTION),
            ("src/main/resources/application-dev.yml", "development"),
            ("docker-compose.prod.yml", PRODUCTION),
            ("k8s/overlays/staging/kustomization.yaml", "staging"),
            ("infra/production.tfvars", PRODUCTION),
            ("extras/docker/development/settings.py", "development"),
            ("deploy/production/config.json", PRODUCTION),
            ("compose.yaml", "development"),
        ] {
            assert_eq!(classify(path).map(|(_, found)| found), Some(environment), "{path}");
        }
        for path in [
            ".env.example",
            "src/local.py",
            "src/core/application.py",
            "public/client/compose.js",
            "src/live/app.js",
            "src/local/index.ts",
            "src/live.js",
            "package.json",
            "docs/production.md",
            ".env.production.example",
        ] {
            assert_eq!(classify(path), None, "{path}");
        }
    }

    #[test]
    fn one_environment_or_twice_the_same_is_not_two() {
        let broken = |files: &[(&str, &str)]| match outcome(files) {
            Outcome::Broken(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(broken(&[("main.py", "x = 1")]).contains("one configuration"));
        assert!(broken(&[(".env.production", "A=1")]).contains("1 environments"));
        assert!(broken(&[(".env.production", "A=1"), (".env.dev", "A=1")]).contains("0 values differ"));
        let shared = [(".env.production", "A=1\nAPI_KEY=abcdefgh"), (".env", "A=2\nAPI_KEY=\"abcdefgh\"")];
        let why = broken(&shared);
        assert!(why.contains("API_KEY") && !why.contains("abcdefgh"), "{why}");
    }

    #[test]
    fn nested_values_of_json_are_compared_under_their_whole_names() {
        let with = |host: &str, word: &str| {
            format!("{{\"database\": {{\"connection\": {{\"host\": \"{host}\", \"password\": \"{word}\"}}}}}}")
        };
        let of = |one: (&str, &str), two: (&str, &str)| {
            let (dev, live) = (with(one.0, one.1), with(two.0, two.1));
            outcome(&[("config/config.development.json", &dev), ("config/config.production.json", &live)])
        };
        let shared = |seen: &Outcome, name: &str| matches!(seen, Outcome::Broken(why) if why.contains(name));
        assert!(shared(&of(("db.internal", "one-word"), ("db.internal", "another")), "database_connection_host"));
        assert!(shared(&of(("a.internal", "one-word"), ("b.internal", "one-word")), "database_connection_password"));
        assert_eq!(of(("127.0.0.1", "one-word"), ("127.0.0.1", "another")), Outcome::Holds);
    }

    #[test]
    fn a_package_that_others_install_has_no_environments() {
        let manifest = ("pyproject.toml", "[project]\nclassifiers = [\"Framework :: Flask\"]\n");
        let library = [manifest, ("a/__init__.py", "x = 1\n")];
        assert!(matches!(outcome(&library), Outcome::NotApplicable(_)));
        assert!(matches!(outcome(&[library[0], library[1], ("Procfile", "web: a\n")]), Outcome::Broken(_)));
    }

    #[test]
    fn references_are_no_shared_secrets() {
        let files = [
            ("seaworthy.toml", "[a]\ntoken = \"env:TOKEN\"\nlisten = \"1\""),
            ("seaworthy.production.toml", "token = \"env:TOKEN\"\nlisten = \"2\""),
        ];
        assert_eq!(outcome(&files), Outcome::Holds);
    }
}
