//! Routes as the app's source declares them, for the frameworks that write them down plainly. What cannot be told (a
//! prefix that is computed, a router that nobody is seen to include) is left out and not guessed.

mod django;
mod express;
mod modules;
mod next;
mod python;
mod rails;
mod text;

use std::{fs, path::Path};

use ignore::WalkBuilder;

use super::{Origin, Route};

/// Larger files are no handwriting; more files are no single app.
const LARGEST: u64 = 512 << 10;
const MOST_FILES: usize = 20_000;

/// Not the app: what it depends on, what is made of it, and its tests.
const ELSEWHERE: [&str; 12] = [
    "node_modules",
    "vendor",
    "dist",
    "build",
    "venv",
    "site-packages",
    "tests",
    "test",
    "__tests__",
    "spec",
    "e2e",
    "target",
];
const KINDS: [&str; 8] = ["py", "js", "mjs", "cjs", "ts", "jsx", "tsx", "rb"];

/// The files of a repository that may declare routes, by their path in it.
struct Tree<'a> {
    root: &'a Path,
    paths: Vec<String>,
}

/// A route that is written down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Declared {
    method: String,
    /// With `{name}` for each parameter.
    template: String,
    needs_query: bool,
}

/// Every route that some reader understands.
pub(super) fn read(repo: &Path) -> Vec<Route> {
    let tree = Tree::of(repo);
    let readers = [python::read, django::read, express::read, next::read, rails::read];
    let mut found: Vec<Declared> = readers.iter().flat_map(|reader| reader(&tree)).collect();
    found.retain(|one| one.template.parse::<http::Uri>().is_ok() || one.template.contains('{'));
    found.sort();
    found.dedup();
    let route = |one: Declared| Route {
        needs_query: one.needs_query,
        ..Route::plain(&one.method, &one.template, Origin::Source)
    };
    found.into_iter().map(route).collect()
}

impl<'a> Tree<'a> {
    fn of(root: &'a Path) -> Self {
        let walk = WalkBuilder::new(root)
            .require_git(false)
            .filter_entry(|entry| !ELSEWHERE.iter().any(|name| entry.depth() > 0 && entry.file_name() == *name))
            .build();
        let files = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
        let paths = files.filter_map(|entry| {
            let path = entry.path().strip_prefix(root).ok()?.to_str()?.replace('\\', "/");
            let kind = path.rsplit_once('.').map_or("", |(_, kind)| kind);
            let wanted = KINDS.contains(&kind) || path.ends_with("package.json");
            (wanted && !is_test(&path)).then_some(path)
        });
        let mut paths: Vec<String> = paths.take(MOST_FILES).collect();
        paths.sort();
        Self { root, paths }
    }

    /// The paths with one of these endings.
    fn ending<'b>(&'b self, kinds: &'b [&str]) -> impl Iterator<Item = &'b str> {
        let has = move |path: &&str| path.rsplit_once('.').is_some_and(|(_, kind)| kinds.contains(&kind));
        self.paths.iter().map(String::as_str).filter(has)
    }

    /// A file's text; `None` when it is large, or no text.
    fn text(&self, path: &str) -> Option<String> {
        let path = self.root.join(path);
        let small = fs::metadata(&path).is_ok_and(|data| data.len() <= LARGEST);
        small.then(|| fs::read_to_string(path).ok()).flatten()
    }
}

impl Declared {
    fn new(method: &str, template: String) -> Self {
        Self { method: method.to_uppercase(), template, needs_query: false }
    }
}

fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("test_")
        || name == "conftest.py"
        || ["_test.", ".test.", ".spec.", "_spec.", ".d.ts"].iter().any(|mark| name.contains(mark))
}

/// Two parts of a path with one slash between them.
fn join(prefix: &str, path: &str) -> String {
    let prefix = prefix.trim_end_matches('/');
    match path {
        "" | "/" if !prefix.is_empty() => prefix.to_owned() + path,
        _ if path.starts_with('/') => format!("{prefix}{path}"),
        _ => format!("{prefix}/{path}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a reader finds in these files, one `METHOD template` a line, `?` after what needs a query.
    pub(super) fn found(reader: fn(&Tree<'_>) -> Vec<Declared>, files: &[(&str, &str)]) -> Vec<String> {
        let fixture = crate::fixture::folder(files).unwrap();
        let repo = fixture.subject.repo.clone().unwrap();
        let mut all = reader(&Tree::of(&repo));
        all.sort();
        let show =
            |one: Declared| format!("{} {}{}", one.method, one.template, if one.needs_query { " ?" } else { "" });
        all.into_iter().map(show).collect()
    }

    #[test]
    fn tests_and_dependencies_are_not_the_app() {
        let app = "app = FastAPI()\n@app.get(\"/x\")\ndef x(): ...\n";
        let files = [("tests/a.py", app), ("test_a.py", app), ("node_modules/a/b.py", app), ("src/app.py", app)];
        assert_eq!(found(python::read, &files), ["GET /x"]);
        let fixture = crate::fixture::folder(&files).unwrap();
        assert_eq!(read(&fixture.subject.repo.clone().unwrap()).len(), 1);
        assert!(read(Path::new("/nowhere/at/all")).is_empty());
    }

    #[test]
    fn one_slash_joins_two_parts() {
        let joined = [("", "/a"), ("/api/", "/a"), ("/api", ""), ("/api", "/"), ("", ""), ("/api", "a")]
            .map(|(prefix, path)| join(prefix, path));
        assert_eq!(joined, ["/a", "/api/a", "/api", "/api/", "/", "/api/a"]);
    }
}
