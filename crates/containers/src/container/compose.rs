//! Compose files: which belong together, and their services after merging.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use seaworthy_repository::{Repository, yaml};
use serde_json::{Map, Value};

use super::{merge::merged, place::line_of, service::Service};

/// Files that one command reads together.
#[derive(Debug, Clone)]
pub struct Composition {
    /// The files, the base first.
    pub files: Vec<PathBuf>,
    /// What it is for, by the names of its files.
    pub purpose: Purpose,
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// Top-level names that services may refer to, by section.
    pub declared: BTreeMap<&'static str, Vec<String>>,
    /// Why a file or a service cannot be read.
    pub problems: Vec<String>,
}

/// What a composition is for, as far as the names of its files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing says.
    Plain,
    /// A file is named for production.
    Production,
    /// A file is named for development or tests.
    Development,
}

const PRODUCTION: &[&str] = &["prod", "production", "deploy", "live", "release"];
const DEVELOPMENT: &[&str] =
    &["dev", "development", "local", "test", "tests", "testing", "ci", "debug", "e2e", "devcontainer"];
const SECTIONS: &[&str] = &["volumes", "networks", "secrets", "configs"];

impl Composition {
    /// Every composition of a repository, tests' and examples' left out.
    pub fn all(repository: &Repository) -> Vec<Self> {
        let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        for path in repository.ending(&["yml", "yaml"]).filter(|path| is_compose(path) && !is_beside(path)) {
            folders.entry(path.parent().unwrap_or(Path::new("")).to_owned()).or_default().push(path.to_owned());
        }
        folders.into_values().flat_map(|files| of_folder(repository, &files)).collect()
    }

    /// `a.yml` or `a.yml with b.yml`.
    pub fn name(&self) -> String {
        let names: Vec<String> = self.files.iter().map(|path| path.display().to_string()).collect();
        names.join(" with ")
    }

    fn read(repository: &Repository, files: Vec<PathBuf>, purpose: Purpose) -> Self {
        let mut found =
            Self { files, purpose, services: BTreeMap::new(), declared: BTreeMap::new(), problems: Vec::new() };
        let mut whole = Map::new();
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        for path in found.files.clone() {
            let text = repository.text(&path).unwrap_or_default();
            let value = match yaml(&text) {
                Ok(documents) => documents.into_iter().next().unwrap_or_default(),
                Err(reason) => {
                    found.problems.push(format!("{} cannot be read: {reason}", path.display()));
                    continue;
                }
            };
            for name in value["services"].as_object().into_iter().flatten().map(|(name, _)| name) {
                let line = line_of(&text, &["services", name]);
                places.entry(name.clone()).or_insert_with(|| format!("{}:{line}", path.display()));
            }
            match value {
                Value::Object(own) => merged(&mut whole, own),
                _ => found.problems.push(format!("{} holds no mapping", path.display())),
            }
        }
        for section in SECTIONS {
            let names = whole.get(*section).and_then(Value::as_object).into_iter().flat_map(|own| own.keys().cloned());
            found.declared.insert(section, names.collect());
        }
        let services = whole.get("services").and_then(Value::as_object).cloned().unwrap_or_default();
        let folder = found.files.first().and_then(|path| path.parent()).unwrap_or(Path::new("")).to_owned();
        for (name, value) in &services {
            let value = extended(repository, &folder, &services, value, 0).unwrap_or_else(|reason| {
                found.problems.push(format!("service {name}: {reason}"));
                value.clone()
            });
            let place = places.get(name).cloned().unwrap_or_default();
            found.services.insert(name.clone(), Service { name: name.clone(), place, folder: folder.clone(), value });
        }
        if found.services.is_empty() && found.problems.is_empty() {
            found.problems.push(format!("{} has no services", found.name()));
        }
        found
    }
}

/// A service with what it `extends` below it.
fn extended(
    repository: &Repository,
    folder: &Path,
    services: &Map<String, Value>,
    value: &Value,
    depth: usize,
) -> Result<Value, String> {
    let extends = &value["extends"];
    let name = extends["service"].as_str().or_else(|| extends.as_str());
    let Some(name) = name else { return Ok(value.clone()) };
    if depth > 8 {
        return Err("extends itself".into());
    }
    let base = match extends["file"].as_str() {
        None => {
            let base = services.get(name).ok_or_else(|| format!("extends {name}, which is not there"))?;
            extended(repository, folder, services, base, depth + 1)?
        }
        Some(file) => {
            let path = folder.join(file);
            let text = repository.text(&path).ok_or_else(|| format!("extends {file}, which is not there"))?;
            let document = yaml(&text)?.into_iter().next().unwrap_or_default();
            let others = document["services"].as_object().cloned().unwrap_or_default();
            let base = others.get(name).ok_or_else(|| format!("extends {name} of {file}, which is not there"))?;
            extended(repository, path.parent().unwrap_or(folder), &others, base, depth + 1)?
        }
    };
    let (Value::Object(mut base), Value::Object(own)) = (base, value.clone()) else {
        return Err("is no mapping".into());
    };
    merged(&mut base, own);
    base.shift_remove("extends");
    Ok(Value::Object(base))
}

/// The compositions that the files of one folder make.
fn of_folder(repository: &Repository, files: &[PathBuf]) -> Vec<Composition> {
    let marks = |path: &Path| marks(path);
    let base = files.iter().find(|path| marks(path).is_empty());
    let over = files.iter().find(|path| marks(path) == ["override"]);
    let mut made = Vec::new();
    if let Some(base) = base {
        made.push(Composition::read(repository, vec![base.clone()], Purpose::Plain));
        // Read by itself on a developer's machine only: production names its files.
        if let Some(over) = over {
            made.push(Composition::read(repository, vec![base.clone(), over.clone()], Purpose::Development));
        }
    }
    for path in files.iter().filter(|path| !marks(path).is_empty() && Some(*path) != over) {
        let alone = Composition::read(repository, vec![path.clone()], purpose(path));
        let whole = alone.services.values().all(|service| service.image().is_some() || service.build().is_some());
        match base.filter(|_| !whole) {
            Some(base) => made.push(Composition::read(repository, vec![base.clone(), path.clone()], purpose(path))),
            None => made.push(alone),
        }
    }
    made
}

fn purpose(path: &Path) -> Purpose {
    let marks = marks(path);
    let any = |words: &[&str]| marks.iter().any(|mark| words.contains(&mark.as_str()));
    match (any(PRODUCTION), any(DEVELOPMENT)) {
        (true, _) => Purpose::Production,
        (false, true) => Purpose::Development,
        _ => Purpose::Plain,
    }
}

/// What a file's name says besides that it is a compose file: `prod` of `docker-compose.prod.yml`.
fn marks(path: &Path) -> Vec<String> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
    let words = name.split(['.', '-', '_']).filter(|word| !["docker", "compose", ""].contains(word));
    words.map(String::from).collect()
}

fn is_compose(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
    name.starts_with("docker-compose")
        || name.starts_with("compose.")
        || name.starts_with("compose-")
        || name == "production.yml" && path.parent() == Some(Path::new(""))
}

/// Files of tests, examples and editors are not what brings the app up.
pub fn is_beside(path: &Path) -> bool {
    const FOLDERS: &[&str] = &[
        "test",
        "tests",
        "testing",
        "e2e",
        "example",
        "examples",
        "sample",
        "samples",
        "demo",
        "demos",
        "docs",
        "doc",
        ".devcontainer",
        "fixtures",
        "testdata",
        "benchmark",
        "benchmarks",
        "bench",
        "template",
        "templates",
        ".github",
        "cypress",
        "node_modules",
        "integration-tests",
        "integration",
    ];
    let folders = path.parent().into_iter().flat_map(Path::components);
    folders.filter_map(|part| part.as_os_str().to_str()).any(|part| FOLDERS.contains(&part.to_lowercase().as_str()))
}
