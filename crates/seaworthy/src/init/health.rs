//! The path that says whether the app is well, when the code has one.

use std::path::{Path, PathBuf};

use super::recognise::{Candidate, Surroundings};
use seaworthy_repository::HealthPattern;

/// A route that is for health checks.
#[derive(Debug, PartialEq, Eq)]
pub struct HealthPath {
    /// Its path.
    pub path: String,
    /// Where it was seen, relative to the tree.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// False when something may stand before it: a router's prefix.
    pub whole: bool,
}

/// What health checks are called, the most telling first.
const USUAL_PATHS: &[&str] = &[
    "/readyz",
    "/healthz",
    "/health",
    "/api/health",
    "/api/healthz",
    "/livez",
    "/up",
    "/ready",
    "/live",
    "/ping",
    "/healthcheck",
    "/health-check",
    "/_health",
    "/health/ready",
    "/health/live",
];

/// Looks for one; a whole path goes before one that may lack its beginning.
pub fn find(around: &Surroundings<'_>, candidate: &Candidate<'_>) -> Option<HealthPath> {
    let by_file = candidate.stack.health_files.iter().find_map(|(path, files)| {
        let file = files.iter().find_map(|file| file_like(around, &candidate.folder.join(file)))?;
        Some(HealthPath { path: path.clone(), file, line: 1, whole: true })
    });
    by_file.or_else(|| {
        let mut found = Vec::new();
        for pattern in candidate.stack.health.iter().chain(&candidate.language.health) {
            collect(around, candidate, pattern, &mut found);
        }
        let order = |path: &str| USUAL_PATHS.iter().position(|usual| *usual == path.trim_end_matches('/'));
        found.into_iter().min_by_key(|one: &HealthPath| (!one.whole, order(&one.path)))
    })
}

fn collect(around: &Surroundings<'_>, candidate: &Candidate<'_>, pattern: &HealthPattern, found: &mut Vec<HealthPath>) {
    let app = candidate.applications.first();
    for (file, source) in around.sources(candidate.stack, &candidate.folder) {
        for matched in source.matches(&pattern.pattern.0) {
            let (Some(whole_match), Some(path)) = (matched.get(0), matched.name("path")) else { continue };
            let path = format!("/{}", path.as_str().trim_start_matches('/'));
            if !USUAL_PATHS.contains(&path.trim_end_matches('/')) {
                continue;
            }
            let object = matched.name("object").map(|object| object.as_str());
            let is_app = object.is_none_or(|object| {
                let own =
                    app.and_then(|app| app.object.as_deref()) == Some(object) && app.is_some_and(|app| !app.factory);
                own || pattern.objects.iter().any(|known| known == object) || object == "app"
            });
            let beside = !pattern.beside || app.is_some_and(|app| is_beside(candidate, file, &app.file));
            let nested = candidate.stack.language == "rust" && source.code.contains(".nest(");
            let line = source.line(whole_match.start());
            found.push(HealthPath { path, file: file.to_owned(), line, whole: is_app && beside && !nested });
        }
    }
}

fn is_beside(candidate: &Candidate<'_>, file: &Path, app: &Path) -> bool {
    file.parent() == candidate.folder.join(app).parent()
}

/// A file whose name ends with anything (`route.*`).
fn file_like(around: &Surroundings<'_>, pattern: &Path) -> Option<PathBuf> {
    let stem = pattern.with_extension("");
    around.tree.files.iter().find(|file| file.with_extension("") == stem).cloned()
}
