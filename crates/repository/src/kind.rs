//! What a project is: an app that its team deploys, or a package that others install. A package cannot have what only a
//! deployment has (a rollback, a runbook, a pool of connections in production), so that nothing there is missing.
//!
//! Where it is in doubt it is an app: a control that is wrongly left out would hide what is missing.

use std::{path::Path, sync::OnceLock};

use serde::Deserialize;

use crate::{is_test, knowledge::Pattern, repository::Repository, sighting::Sighting};

/// What a project is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Something in it deploys or starts it; where.
    Deployed(String),
    /// Others install it: its manifest says so, and nothing deploys or starts it; what the manifest is.
    Package(String),
    /// Neither is seen: it is taken for an app.
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    of_a_deployment: Vec<String>,
    beside: Vec<String>,
    pages: Vec<String>,
    files: Files,
    code: Vec<Code>,
    classifiers: Classifiers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    names: Vec<String>,
    starts: Vec<String>,
    ends: Vec<String>,
    compose: Pattern,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    language: String,
    serves: Pattern,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Classifiers {
    any: Pattern,
    private: Pattern,
    of_others: Pattern,
}

/// What is built in; nothing when our own file is wrong, which a test refuses.
fn facts() -> Option<&'static Facts> {
    static FACTS: OnceLock<Option<Facts>> = OnceLock::new();
    FACTS.get_or_init(|| toml::from_str(include_str!("kind.toml")).ok()).as_ref()
}

/// The answer for a control that only a deployment can have, where nothing is deployed.
pub fn not_of_a_package(repository: &Repository, control: &str) -> Option<Sighting> {
    let asked = facts().is_some_and(|facts| facts.of_a_deployment.iter().any(|own| own == control));
    match repository.kind() {
        Kind::Package(what) if asked => Some(Sighting::not_applicable(format!(
            "{what}, and nothing outside of examples, tests and documents deploys or starts it: this is for those who deploy it"
        ))),
        _ => None,
    }
}

/// What a repository is.
pub(crate) fn of(repository: &Repository) -> Kind {
    let Some(facts) = facts() else { return Kind::Unknown };
    if repository.declared.started {
        return Kind::Deployed("a command or an address of it is given".into());
    }
    if repository.not_whole().is_some() {
        return Kind::Unknown;
    }
    let published = published(repository);
    let for_others =
        published.is_some() && python_texts(repository).any(|text| facts.classifiers.of_others.0.is_match(&text));
    let code = || if for_others { None } else { code_that_serves(repository, facts) };
    match (file_that_deploys(repository, facts).or_else(code), published) {
        (Some(place), _) => Kind::Deployed(place),
        (None, Some(what)) => Kind::Package(what),
        (None, None) => Kind::Unknown,
    }
}

fn is_beside(path: &Path, facts: &Facts) -> bool {
    let mut folders = path.parent().into_iter().flat_map(Path::iter).filter_map(|part| part.to_str());
    is_test(path) || folders.any(|folder| facts.beside.iter().any(|own| own.eq_ignore_ascii_case(folder)))
}

fn file_that_deploys(repository: &Repository, facts: &Facts) -> Option<String> {
    let deploys = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let named = facts.files.names.iter().any(|own| own == name)
            || facts.files.starts.iter().any(|start| name.starts_with(start.as_str()))
            || facts.files.ends.iter().any(|end| name.ends_with(end.as_str()));
        let compose = || {
            name.contains("compose")
                && (name.ends_with(".yml") || name.ends_with(".yaml"))
                && repository.text(path).is_some_and(|text| facts.files.compose.0.is_match(&text))
        };
        named || compose()
    };
    let mut files = repository.tree().files.iter().filter(|path| !is_beside(path, facts));
    files.find(|path| deploys(path)).map(|path| path.display().to_string())
}

fn code_that_serves(repository: &Repository, facts: &Facts) -> Option<String> {
    let knowledge = repository.knowledge();
    let of_pages = |path: &Path| path.iter().any(|part| facts.pages.iter().any(|own| part == own.as_str()));
    let is_script = |path: &Path, language: &str| match language {
        "python" => path.starts_with("bin"),
        "javascript" => of_pages(path),
        _ => false,
    };
    repository.sources().iter().filter(|(path, _)| !is_beside(path, facts)).find_map(|(path, source)| {
        let extension = path.extension().and_then(|extension| extension.to_str())?;
        let speaks = |language: &str| {
            let known = knowledge.languages.get(language);
            known.is_some_and(|known| known.extensions.iter().any(|own| own == extension)) && !is_script(path, language)
        };
        // A generator of Go (`//go:build ignore`) is part of no build.
        let apart = extension == "go" && repository.text(path).is_some_and(|text| text.contains("//go:build ignore"));
        let own = facts.code.iter().filter(|code| !apart && speaks(&code.language)).map(|code| &code.serves);
        let of_stacks = knowledge.stacks.iter().filter(|stack| stack.language != "go" && speaks(&stack.language));
        let apps = of_stacks.flat_map(|stack| {
            // A function that makes an app does so where the framework is called; elsewhere it is a name like another.
            let calls = stack.recognise.source.as_ref();
            let makes = calls.is_some_and(|calls| source.matches(&calls.0).next().is_some());
            stack.app.iter().filter(move |app| makes || !app.factory).map(|app| &app.pattern)
        });
        let found =
            own.chain(apps).find_map(|pattern| source.matches(&pattern.0).next()?.get(0).map(|all| all.start()))?;
        Some(format!("{}:{}", path.display(), source.line(found)))
    })
}

/// Manifests of Python in the root, comments included.
fn python_texts(repository: &Repository) -> impl Iterator<Item = std::sync::Arc<str>> {
    ["pyproject.toml", "setup.cfg", "setup.py"].into_iter().filter_map(|name| repository.text(name))
}

/// The manifest in the root that makes a package which others install.
pub(crate) fn published(repository: &Repository) -> Option<String> {
    let facts = facts()?;
    let python = ["pyproject.toml", "setup.cfg", "setup.py"]
        .into_iter()
        .find(|name| repository.text(name).is_some_and(|text| facts.classifiers.any.0.is_match(&text)));
    if let Some(name) = python {
        let private = python_texts(repository).any(|text| facts.classifiers.private.0.is_match(&text));
        return (!private).then(|| format!("{name} makes a package that others install (it has classifiers)"));
    }
    if let Some(why) = repository.text("package.json").and_then(|text| of_npm(&text)) {
        return Some(format!("package.json makes a package that others install ({why})"));
    }
    let has_source =
        |extension: &str| repository.sources().keys().any(|path| path.extension().is_some_and(|own| own == extension));
    if repository.has("go.mod") && has_source("go") {
        return Some("go.mod makes a module that others import (no package main)".into());
    }
    if repository.has("Cargo.toml") && repository.has("src/lib.rs") {
        let private =
            repository.text("Cargo.toml").and_then(|text| text.parse::<toml::Table>().ok()).is_none_or(|table| {
                let package = table.get("package");
                package.is_none_or(|package| package.get("publish").and_then(toml::Value::as_bool) == Some(false))
            });
        return (!private).then(|| "Cargo.toml makes a library that others use (src/lib.rs)".to_owned());
    }
    let mut of_root = repository.tree().files.iter().filter(|path| path.components().count() == 1);
    let gem = of_root.find(|path| path.extension().is_some_and(|extension| extension == "gemspec"))?;
    Some(format!("{} makes a gem that others install", gem.display()))
}

/// What in a package.json is there for those who install it.
fn of_npm(text: &str) -> Option<&'static str> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let starts = ["start", "serve"].iter().any(|name| value["scripts"][*name].is_string());
    if value["private"] == true || !value["name"].is_string() || !value["bin"].is_null() || starts {
        return None;
    }
    let keys = ["exports", "module", "types", "typings", "publishConfig", "peerDependencies"];
    let main_and_files = || (value["main"].is_string() && value["files"].is_array()).then_some("main and files");
    keys.into_iter().find(|key| !value[*key].is_null()).or_else(main_and_files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_folder::folder_with;

    fn kind(files: &[(&str, &str)]) -> Kind {
        let folder = folder_with(files);
        Repository::open(folder.path()).unwrap().kind().clone()
    }

    fn is_package(files: &[(&str, &str)]) -> bool {
        matches!(kind(files), Kind::Package(_))
    }

    const PYPROJECT: (&str, &str) =
        ("pyproject.toml", "[project]\nname = \"a\"\nclassifiers = [\"Topic :: Internet\", \"Framework :: Django\"]\n");

    #[test]
    fn our_own_file_is_valid() {
        let read: Result<Facts, _> = toml::from_str(include_str!("kind.toml"));
        assert!(read.is_ok(), "{read:?}");
    }

    #[test]
    fn packages_that_others_install() {
        let app = ("examples/app.py", "from flask import Flask\napp = Flask(__name__)\napp.run()\n");
        let library = ("a/__init__.py", "def index(app):\n    return 1\n");
        assert!(is_package(&[PYPROJECT, library, app, ("tests/manage.py", "x = 1\n")]));
        assert!(is_package(&[
            ("setup.py", "setup(\n    classifiers=[\n        'Topic :: Internet',\n    ])\n"),
            library
        ]));
        let stores =
            ("docker-compose.yml", "services:\n  db:\n    image: postgres:14\n    command: postgres -c 'a=1'\n");
        assert!(is_package(&[PYPROJECT, library, stores]), "a compose file of nothing but stores");
        assert!(is_package(&[
            ("package.json", "{\"name\": \"a\", \"exports\": \"./a.js\"}"),
            ("a.js", "export const a = 1;\n")
        ]));
        let command = ("a/cli.py", "def create_app(name, key):\n    download(name)\n");
        assert!(is_package(&[PYPROJECT, library, command]), "a command that makes a folder is no app");
        let page = ("a/static/jquery.js", "socket.listen(1);\n");
        assert!(is_package(&[PYPROJECT, library, page]), "a script for browsers serves nothing");
        let tool = ("hack/make.go", "//go:build ignore\n\npackage main\n\nfunc main() {}\n");
        assert!(is_package(&[("go.mod", "module a\n"), ("a.go", "package a\n// package main\n"), tool]));
        assert!(is_package(&[("Cargo.toml", "[package]\nname = \"a\"\n"), ("src/lib.rs", "pub fn a() {}\n")]));
        assert!(is_package(&[("a.gemspec", "Gem::Specification.new\n"), ("lib/a.rb", "module A\nend\n")]));
        let framework =
            "[project]\nclassifiers = [\"Topic :: Software Development :: Libraries :: Application Frameworks\"]\n";
        assert!(is_package(&[("pyproject.toml", framework), ("a/cli.py", "import uvicorn\nuvicorn.run(path)\n")]));
    }

    #[test]
    fn apps_that_are_published_are_apps() {
        let served = [
            ("a/main.py", "def run():\n    uvicorn.run(make())\n"),
            ("a/server.py", "WSGIServer((host, port), make_app(conf)).serve_forever()\n"),
            ("a/app.py", "from fastapi import FastAPI\napi = FastAPI()\n"),
            ("a/__init__.py", "def create_app():\n    made = Flask(__name__)\n    return made\n"),
            ("a/wsgi.py", "application = get_wsgi_application()\n"),
            ("manage.py", "x = 1\n"),
            ("Procfile", "web: a\n"),
            ("docker/Dockerfile.alpine", "FROM a\n"),
            ("compose.yaml", "services:\n  a:\n    build: .\n"),
        ];
        for file in served {
            assert!(matches!(kind(&[PYPROJECT, file]), Kind::Deployed(_)), "{}", file.0);
        }
        let framework = "[project]\nclassifiers = [\"Topic :: Software Development :: Testing\"]\n";
        assert!(!is_package(&[("pyproject.toml", framework), ("manage.py", "x = 1\n")]));
    }

    #[test]
    fn what_is_in_doubt_is_no_package() {
        let quiet = ("a/__init__.py", "x = 1\n");
        let doubtful: &[&[(&str, &str)]] = &[
            &[quiet],
            &[quiet, ("pyproject.toml", "[project]\nname = \"a\"\n")],
            &[
                quiet,
                ("pyproject.toml", "[project]\nclassifiers = [\"Private :: Do Not Upload\", \"Topic :: Internet\"]\n"),
            ],
            &[quiet, ("setup.py", "setup()\n# 'Topic :: Internet'\n")],
            &[("package.json", "{\"name\": \"a\", \"main\": \"a.js\"}"), ("a.js", "x = 1;\n")],
            &[("package.json", "{\"name\": \"a\", \"private\": true, \"exports\": \"./a.js\"}"), ("a.js", "x = 1;\n")],
            &[
                ("package.json", "{\"name\": \"a\", \"types\": \"a\", \"scripts\": {\"start\": \"node a\"}}"),
                ("a.js", "x\n"),
            ],
            &[
                ("package.json", "{\"name\": \"a\", \"exports\": \"./a.js\"}"),
                ("a.js", "http.createServer(a).listen(1);\n"),
            ],
            &[("go.mod", "module a\n"), ("cmd/a/main.go", "package main\n\nfunc main() {}\n")],
            &[("Cargo.toml", "[package]\nname = \"a\"\n"), ("src/main.rs", "fn main() {}\n"), ("src/lib.rs", "")],
            &[("Cargo.toml", "[package]\nname = \"a\"\npublish = false\n"), ("src/lib.rs", "")],
        ];
        for files in doubtful {
            assert!(!is_package(files), "{files:?}");
        }
        let folder = folder_with(&[PYPROJECT, quiet]);
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.declared.started = true;
        assert!(matches!(repository.kind(), Kind::Deployed(_)), "the team starts it");
    }
}
