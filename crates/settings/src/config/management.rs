//! `config.management`: one typed source of settings, and no reads of the environment beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::LazyLock,
};

use seaworthy_repository::{Cases, Inspection, Pattern, Repository, Sample, Sighting};
use serde::Deserialize;

use super::env_example::nothing_read;
use seaworthy_repository::environment::{first_few, is_of_build, is_of_standard, is_tool, read_by_app};

pub(super) struct Management;

#[derive(Deserialize)]
struct Sources {
    source: Vec<TypedSource>,
}

/// A way to have settings with types.
#[derive(Deserialize)]
struct TypedSource {
    name: String,
    language: String,
    extensions: Vec<String>,
    pattern: Pattern,
    #[serde(default)]
    packages: Vec<String>,
    /// It reads a file or a command line: nothing says that the settings all come from there.
    #[serde(default)]
    doubtful: bool,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static SOURCES: LazyLock<Sources> =
    LazyLock::new(|| toml::from_str(include_str!("sources.toml")).expect("the list of typed sources is valid"));

impl Inspection for Management {
    fn control(&self) -> &'static str {
        "config.management"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let read = read_by_app(repository);
        let typed = typed_sources(repository, false);
        if read.is_empty() && typed.is_empty() {
            return nothing_read(repository);
        }
        let mut cases = Cases::plan(2);
        let mut by_file: BTreeMap<&Path, BTreeSet<&str>> = BTreeMap::new();
        for variable in read.iter().filter(|read| !is_of_build(read.name)) {
            for (path, _) in variable.places.iter().filter(|_| !is_of_standard(variable.name)) {
                by_file.entry(path).or_default().insert(variable.name);
            }
        }
        cases.note(format!("{} variables read in {} files; typed sources: {}", read.len(), by_file.len(), typed.len()));
        let doubtful = match by_file.keys().any(|path| typed.contains_key(path)) {
            true => BTreeMap::new(),
            false => typed_sources(repository, true),
        };
        let own: BTreeSet<&str> = by_file.values().flatten().copied().filter(|name| !names_a_file(name)).collect();
        match (typed.iter().next(), doubtful.iter().next()) {
            // Nearly all settings are in a file that is read with types: the variables are no source beside it.
            (_, Some((path, name))) if own.len() <= FEW => {
                return doubt(cases, path, name, &own, repository);
            }
            (None, _) => cases.tried(
                false,
                format!(
                    "{} variables are read in {} files, and no typed schema gathers them",
                    read.len(),
                    by_file.len()
                ),
            ),
            (Some((path, name)), _) => cases.tried(true, format!("{} ({name})", path.display())),
        }
        beside(&mut cases, &typed, &by_file, read.len());
        if let Some(why) = repository.not_whole() {
            cases.told_nothing(why);
        }
        let places: Vec<String> = typed.iter().map(|(path, name)| format!("{} ({name})", path.display())).collect();
        cases.sighting(format!(
            "{} variables come from {}; beside it none is read, but what a platform or a build sets",
            read.len(),
            places.join(", ")
        ))
    }

    fn present(&self) -> Sample {
        let settings = "from pydantic_settings import BaseSettings\n\nclass Settings(BaseSettings):\n    database_url: str\n    log_level: str = \"info\"\n\nsettings = Settings()\n";
        Sample::of(&[
            ("app/settings.py", settings),
            ("app/main.py", "from .settings import settings\n"),
            ("requirements.txt", "pydantic-settings\n"),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            ("app/a.py", "import os\nA = os.environ[\"DATABASE_URL\"]\n"),
            ("app/b.py", "import os\nB = os.getenv(\"LOG_LEVEL\", \"info\")\n"),
        ])
    }
}

/// So few variables are no second source of settings.
const FEW: usize = 5;

/// A variable that says where the settings are is none of them.
fn names_a_file(name: &str) -> bool {
    ["_CONFIG", "_SETTINGS", "_CONF", "_CONFIG_FILE", "_CONFIG_PATH", "_SETTINGS_FILE", "_CONFIG_DIR"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// What is to be said of settings that come from a file or the command line.
fn doubt(mut cases: Cases, path: &Path, name: &str, beside: &BTreeSet<&str>, repository: &Repository) -> Sighting {
    let others = match beside.len() {
        0 => String::new(),
        count => format!(", and {count} variables are read besides ({})", first_few(beside.iter().copied(), 3)),
    };
    cases.told_nothing(format!(
        "{} reads settings with types ({name}){others}; whether all settings come from there, and unknown ones are refused, only a person can say",
        path.display()
    ));
    if let Some(why) = repository.not_whole() {
        cases.told_nothing(why);
    }
    cases.sighting("")
}

/// Files that make a typed schema, and with what.
fn typed_sources(repository: &Repository, doubtful: bool) -> BTreeMap<&Path, &'static str> {
    let mut found = BTreeMap::new();
    for known in SOURCES.source.iter().filter(|known| known.doubtful == doubtful) {
        let names: Vec<&str> = known.packages.iter().map(String::as_str).collect();
        if !names.is_empty() && !repository.depends_on(&known.language, &names) {
            continue;
        }
        let fits = |path: &Path| {
            path.extension()
                .and_then(|own| own.to_str())
                .is_some_and(|own| known.extensions.iter().any(|ending| ending == own))
        };
        for (path, source) in repository.sources().iter().filter(|(path, _)| fits(path) && !is_tool(path)) {
            // What is in a struct's tag is a text: it begins with its quote, which is code.
            if source.matches(&known.pattern.0).next().is_some() {
                found.entry(path.as_path()).or_insert(known.name.as_str());
            }
        }
    }
    found
}

/// A case: the environment is read in the typed source alone.
fn beside(
    cases: &mut Cases,
    typed: &BTreeMap<&Path, &str>,
    by_file: &BTreeMap<&Path, BTreeSet<&str>>,
    variables: usize,
) {
    // What a typed source is made of may stand in the files beside it.
    let folders: BTreeSet<&Path> =
        typed.keys().filter_map(|path| path.parent()).filter(|folder| is_settings_folder(folder)).collect();
    let own = |path: &&Path| typed.contains_key(*path) || folders.iter().any(|folder| path.starts_with(folder));
    let beside: Vec<(&&Path, &BTreeSet<&str>)> = by_file.iter().filter(|(path, _)| !own(path)).collect();
    let names: BTreeSet<&str> = beside.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let Some((path, _)) = beside.first() else {
        return cases.tried(true, "no variable is read beside it");
    };
    let seen = format!(
        "{} of {variables} variables are read in {} other files ({}): {}",
        names.len(),
        beside.len(),
        path.display(),
        first_few(names.iter().copied(), 3)
    );
    // One or two may have a reason of their own, which nobody but the team knows.
    match typed.is_empty() || names.len() * 5 > variables {
        true => cases.tried(false, seen),
        false => cases.told_nothing(seen),
    }
}

fn is_settings_folder(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["config", "settings", "configuration", "conf", "env", "environment"].contains(&name)
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        Management.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn schemas_of_several_languages_count() {
        let zod = "import { z } from 'zod';\nconst schema = z.object({ A_URL: z.string() });\nexport const env = schema.parse(process.env);\n";
        assert_eq!(outcome(&[("src/env.ts", zod)]), Outcome::Holds);
        let go = "package a\nimport \"github.com/caarlos0/env/v11\"\ntype C struct {\n\tHome string `env:\"A_URL,required\"`\n}\n";
        assert_eq!(outcome(&[("a.go", go)]), Outcome::Holds);
        assert!(matches!(
            outcome(&[("src/env.ts", zod), ("src/a.ts", "const a = process.env.OTHER_URL")]),
            Outcome::Broken(_)
        ));
        assert!(matches!(outcome(&[("a.py", "print(1)")]), Outcome::NotApplicable(_)));
    }

    #[test]
    fn settings_from_a_file_with_types_are_for_a_person_to_judge() {
        let parser =
            "from configparser import ConfigParser\nconf = ConfigParser()\nport = conf.getint('server', 'port')\n";
        let start = ("a/run.py", "import os\npath = os.environ.get('APP_SETTINGS')\n");
        assert!(matches!(outcome(&[("a/config.py", parser), start]), Outcome::Unclear(_)));
        assert!(matches!(outcome(&[("a/config.py", "x = 1\n"), start]), Outcome::Broken(_)));
        let strict = "package a\nfunc Load(b []byte) error { return yaml.UnmarshalStrict(b, &c) }\n";
        let debug = ("main.go", "package main\nvar debug = os.Getenv(\"DEBUG\")\n");
        assert!(matches!(outcome(&[("config/config.go", strict), debug]), Outcome::Unclear(_)));
        // A file of settings does not excuse a source beside it.
        let many: String = (0..6).map(|at| format!("import os\nA{at} = os.environ['SETTING_{at}']\n")).collect();
        assert!(matches!(outcome(&[("a/config.py", parser), ("a/b.py", &many)]), Outcome::Broken(_)));
    }

    #[test]
    fn options_with_variables_are_a_typed_source() {
        let option = |at: usize| format!("p.add_argument('--o{at}', type=int, env_var='APP_O{at}')\n");
        let options: String = std::iter::once("import configargparse\n".to_owned()).chain((0..6).map(option)).collect();
        let package = ("requirements.txt", "configargparse\n");
        assert_eq!(outcome(&[package, ("a/arguments.py", &options)]), Outcome::Holds);
        let standard = ("a/b.py", "import os\nE = os.environ['OTEL_TRACES_EXPORTER']\n");
        assert_eq!(outcome(&[package, ("a/arguments.py", &options), standard]), Outcome::Holds);
        let other = ("a/b.py", "import os\nE = os.environ['A_URL'], os.environ['B_URL']\n");
        assert!(matches!(outcome(&[package, ("a/arguments.py", &options), other]), Outcome::Broken(_)));
    }
}
