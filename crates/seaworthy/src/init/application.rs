//! Where an app begins: its file, its object, and the name that Python knows it by.

use std::path::{Path, PathBuf};

use super::{hints::Hints, recognise::Surroundings};
use seaworthy_repository::{Source, Stack};

/// A place in the source that makes the app.
#[derive(Debug, Clone)]
pub struct Application {
    /// The file, relative to the project.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// Its name in the code.
    pub object: Option<String>,
    /// The object is a function that makes the app.
    pub factory: bool,
    /// Which kind, where a stack has several.
    pub kind: String,
    /// Where Python looks for its module, relative to the project; empty for the project itself.
    pub root: PathBuf,
    /// The module's name below that.
    pub module: String,
}

/// Names that files of apps usually have, the likeliest first.
const USUAL_NAMES: &[&str] =
    &["main", "app", "asgi", "wsgi", "server", "index", "__init__", "api", "application", "run", "web"];

/// Every app of a project, the likeliest first: what the project itself starts, then the usual names near the top.
pub fn find(around: &Surroundings<'_>, stack: &Stack, folder: &Path, hints: &Hints) -> Vec<Application> {
    let mut found: Vec<(usize, Application)> = Vec::new();
    for (path, source) in around.sources(stack, folder) {
        let Ok(file) = path.strip_prefix(folder) else { continue };
        for (order, pattern) in stack.app.iter().enumerate() {
            for matched in source.matches(&pattern.pattern.0) {
                let start = matched.name("object").or_else(|| matched.name("at")).or_else(|| matched.get(0));
                let line = source.line(start.map_or(0, |start| start.start()));
                let object = matched.name("object").map(|object| object.as_str().to_owned());
                let (root, module) = python_module(around, folder, file, source);
                let (factory, kind) = (pattern.factory, pattern.kind.clone());
                found.push((order, Application { file: file.to_owned(), line, object, factory, kind, root, module }));
            }
        }
    }
    if stack.recognise.dependencies.is_empty() || stack.language == "go" {
        keep_users(around, stack, folder, &mut found);
    }
    found.sort_by_key(|(order, app)| {
        let named = hints.name(&format!("{}:{}", app.module, app.object.as_deref().unwrap_or_default()))
            || app.file.to_str().is_some_and(|file| hints.name(file));
        let stem = app.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let usual = USUAL_NAMES.iter().position(|name| *name == stem).unwrap_or(USUAL_NAMES.len());
        (!named, *order, app.file.components().count(), usual, app.line)
    });
    found.into_iter().map(|(_, app)| app).collect()
}

/// In a repository of several programs, those in a folder that uses the framework itself go first.
fn keep_users(around: &Surroundings<'_>, stack: &Stack, folder: &Path, found: &mut [(usize, Application)]) {
    let Some(pattern) = &stack.recognise.source else { return };
    let users: Vec<&Path> = around
        .sources(stack, folder)
        .filter(|(_, source)| source.matches(&pattern.0).next().is_some())
        .filter_map(|(path, _)| path.parent())
        .collect();
    for (order, app) in found {
        let own = folder.join(&app.file);
        if !users.iter().any(|user| own.parent() == Some(user)) {
            *order += 10;
        }
    }
}

/// The module of a file, and the folder that it is looked for in: `src` when it is no package itself, and the file's own
/// folder when the file imports its neighbours by their bare names.
fn python_module(around: &Surroundings<'_>, folder: &Path, file: &Path, source: &Source) -> (PathBuf, String) {
    let mut root = PathBuf::new();
    let parent = file.parent().unwrap_or(Path::new(""));
    let is_package = |path: &Path| around.tree.has(&folder.join(path).join("__init__.py"));
    if file.starts_with("src") && !is_package(Path::new("src")) {
        root = "src".into();
    }
    if parent != root
        && !is_package(parent)
        && imports_neighbour(around, &folder.join(parent), &folder.join(&root), source)
    {
        root = parent.to_owned();
    }
    let inner = file.strip_prefix(&root).unwrap_or(file).with_extension("");
    let mut names: Vec<_> = inner.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if names.len() > 1 && names.last().is_some_and(|last| last == "__init__") {
        names.pop();
    }
    (root, names.join("."))
}

fn imports_neighbour(around: &Surroundings<'_>, folder: &Path, root: &Path, source: &Source) -> bool {
    let imported = source.code.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("from" | "import")).then(|| words.next()).flatten()
    });
    let mut names = imported.filter_map(|module| module.split(['.', ',']).next()).filter(|name| !name.is_empty());
    names.any(|name| {
        let is_module = |folder: &Path| {
            around.tree.has(&folder.join(name).with_extension("py"))
                || around.tree.has(&folder.join(name).join("__init__.py"))
        };
        is_module(folder) && !is_module(root)
    })
}
