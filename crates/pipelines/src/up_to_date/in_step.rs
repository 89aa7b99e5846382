//! Whether a lock file was made from the manifest beside it.

use std::path::{Path, PathBuf};

use seaworthy_repository::{Repository, setup_py};
use serde_json::Value;

use super::super::{dependency_updates::Place, lock_files::lock_files};

/// What the manifest has and the lock file does not. Only what is sure is said: a package that is not there at all, or, in
/// a lock file of npm, another range.
pub(super) fn difference(repository: &Repository, place: &Place, lock: &Path) -> Option<String> {
    let text = repository.text(lock)?;
    let manifest = place.file();
    let missing = |name: &str| {
        format!("{} names {name}, which {} does not have: they are not in step", manifest.display(), lock.display())
    };
    let name = lock.file_name()?.to_str()?;
    // Whether a folder further down belongs to what a lock file is for is not said everywhere.
    let beside = lock.parent() == Some(place.folder.as_path());
    if !beside && name != "package-lock.json" {
        return None;
    }
    if ["package-lock.json", "npm-shrinkwrap.json"].contains(&name) {
        return npm(repository, place, lock, &text);
    }
    let names = names(repository, place, manifest);
    match name {
        "yarn.lock" | "pnpm-lock.yaml" => names
            .iter()
            .find(|name| {
                !text.contains(&format!("{name}@"))
                    && !text.contains(&format!("/{name}/"))
                    && !text.contains(&format!("{name}:"))
            })
            .map(|name| missing(name)),
        "go.sum" => {
            let source = repository.text(manifest)?;
            let replaced = |name: &str| source.lines().any(|line| line.contains(name) && line.contains("=>"));
            names.iter().find(|name| !text.contains(&format!("{name} v")) && !replaced(name)).map(|name| missing(name))
        }
        "Cargo.lock" => {
            names.iter().find(|name| !text.contains(&format!("name = \"{name}\""))).map(|name| missing(name))
        }
        "poetry.lock" | "uv.lock" => {
            let lowered = text.to_lowercase().replace(['_', '.'], "-");
            names.iter().find(|name| !lowered.contains(&format!("name = \"{name}\""))).map(|name| missing(name))
        }
        "Gemfile.lock" => names.iter().find(|name| !text.contains(name.as_str())).map(|name| missing(name)),
        _ => None,
    }
}

/// Direct dependencies of one manifest that a registry has.
fn names(repository: &Repository, place: &Place, manifest: &Path) -> Vec<String> {
    let source = repository.text(manifest).unwrap_or_default();
    let own = source
        .parse::<toml::Table>()
        .ok()
        .and_then(|table| table.get("project")?.get("name")?.as_str().map(str::to_lowercase));
    let json: Value = serde_json::from_str(&source).unwrap_or_default();
    let all = repository.manifests().all.iter().filter(|((folder, _), _)| *folder == place.folder);
    let here = all.flat_map(|(_, manifest)| &manifest.dependencies).filter(|one| one.file == manifest);
    let from_elsewhere = |name: &str| {
        let range =
            ["dependencies", "devDependencies"].iter().find_map(|key| json[*key][name].as_str()).unwrap_or_default();
        ["workspace:", "file:", "link:", "portal:", "git", "http", "patch:", "catalog:"]
            .iter()
            .any(|start| range.starts_with(start))
            || range.contains('/')
    };
    here.filter(|one| !one.name.contains('[') && one.name != "python" && Some(&one.name) != own.as_ref())
        .filter(|one| !from_elsewhere(&one.name))
        .map(|one| one.name.clone())
        .collect()
}

/// The lock file repeats the manifest's ranges.
fn npm(repository: &Repository, place: &Place, lock: &Path, text: &str) -> Option<String> {
    let manifest = place.file();
    let locked: Value = serde_json::from_str(text).ok()?;
    let own: Value = serde_json::from_str(&repository.text(manifest)?).ok()?;
    let inside = place.folder.strip_prefix(lock.parent()?).ok()?.to_string_lossy().into_owned();
    if !inside.is_empty() && locked["packages"][&inside].is_null() {
        return None;
    }
    for key in ["dependencies", "devDependencies"] {
        for (name, range) in own[key].as_object().into_iter().flatten() {
            let optional = own["optionalDependencies"][name].is_string();
            let there = match locked["packages"].as_object() {
                Some(packages) => packages.get(&inside).is_some_and(|root| root[key][name] == *range),
                None => locked["dependencies"][name].is_object(),
            };
            if !there && !optional {
                return Some(format!(
                    "{} has {name} {}, and {} does not: they are not in step",
                    manifest.display(),
                    range.as_str().unwrap_or_default(),
                    lock.display()
                ));
            }
        }
    }
    None
}

/// A setup.py in which every package that the app needs has its version.
fn pinned_setup(repository: &Repository, place: &Place) -> Option<PathBuf> {
    let path = place.file();
    let text = repository.text(path).filter(|_| path.file_name().is_some_and(|name| name == "setup.py"))?;
    let needed: Vec<_> = setup_py::requirements(&text).into_iter().filter(|one| one.extra.is_none()).collect();
    let pinned = |line: &str| line.split(';').next().is_some_and(|line| line.contains("=="));
    (!needed.is_empty() && needed.iter().all(|one| pinned(&one.line))).then(|| path.to_owned())
}

/// A file of requirements beside the manifest in which every package has its version.
pub(super) fn pinned_requirements(repository: &Repository, place: &Place) -> Option<PathBuf> {
    let files = lock_files(repository).0;
    let beside =
        files.iter().filter(|file| file.format.name == "requirements.txt" && file.path.starts_with(&place.folder));
    let pinned = |path: &Path| {
        let text = repository.text(path).unwrap_or_default();
        let joined = text.replace("\\\n", " ");
        let mut lines = joined.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
        lines.all(|line| line.is_empty() || line.starts_with(['#', '-']) || line.contains("==") || line.contains(" @ "))
    };
    // What is pinned for tests alone pins nothing of the app.
    let of_app = |path: &PathBuf| {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        !["dev", "test", "lint", "doc", "ci", "build"].iter().any(|word| name.contains(word))
    };
    beside
        .map(|file| file.path.clone())
        .filter(of_app)
        .find(|path| pinned(path))
        .or_else(|| pinned_setup(repository, place))
}
