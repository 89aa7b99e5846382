//! The paths that an app's code says it answers, as far as they can be read without running it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;
use seaworthy_repository::{Pattern, Repository, is_test};
use serde::Deserialize;

use seaworthy_repository::environment::is_tool;

#[derive(Deserialize)]
struct Known {
    route: Vec<RoutePattern>,
    data: Vec<RoutePattern>,
    generator: Vec<Generator>,
}

#[derive(Deserialize)]
struct RoutePattern {
    extensions: Vec<String>,
    requires: Option<Pattern>,
    pattern: Pattern,
}

/// What describes an API from its code.
#[derive(Deserialize)]
struct Generator {
    name: String,
    language: String,
    packages: Vec<String>,
    off: Option<Pattern>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static KNOWN: LazyLock<Known> =
    LazyLock::new(|| toml::from_str(include_str!("routes.toml")).expect("what is known of routes is valid"));
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static VERSION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:^|/)v(\d{1,2})(?:/|$)").expect("the pattern is valid"));
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static PAGES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:render_template|TemplateResponse|render_to_string|HTMLResponse|res\.render|ctx\.render|c\.HTML)\b|\brender\(\s*request").expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static PREFIX: LazyLock<Regex> = LazyLock::new(|| {
    let named = r#"(?i)\b(?:prefix|url_prefix|api_prefix|api_v\d\w*|\w*prefix\w*)["']?\s*[:=]\s*(?:str\s*=\s*)?["'](/[^"'\n]*)["']"#;
    let called = r#"\b(?:use|mount|Group|group|setGlobalPrefix|scope|nest|Route|enableVersioning|include_router)\(\s*["'`](/?[^"'`\n]*)["'`]"#;
    Regex::new(&format!("{named}|{called}")).expect("the pattern is valid")
});

/// A path that the code answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// In upper case; nothing when it is not said.
    pub method: Option<String>,
    /// As the code has it: what mounts it may add a prefix.
    pub path: String,
    /// Where.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// Its file answers data, and shows no pages.
    pub data: bool,
}

/// What an app answers.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// Paths in code.
    pub all: Vec<Route>,
    /// Versions in paths or prefixes: 1 of `/api/v1`.
    pub versions: BTreeSet<u32>,
    /// Some answers are data, so this is an API.
    pub is_api: bool,
    /// What describes the API when the app runs.
    pub generator: Option<String>,
}

impl Routes {
    /// Reads them from the sources.
    pub fn of(repository: &Repository) -> Self {
        let mut found = Self::default();
        for (path, source) in repository.sources() {
            let ending = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
            if !is_of_the_app(path) {
                continue;
            }
            found.page_of_next(path);
            let matches = |known: &&RoutePattern| {
                known.fits(ending, &source.code) && source.matches(&known.pattern.0).next().is_some()
            };
            let data = KNOWN.data.iter().any(|known| matches(&known));
            let only_data = data && !PAGES.is_match(&source.code);
            found.is_api |= data;
            for known in KNOWN.route.iter().filter(|known| known.fits(ending, &source.code)) {
                for matched in source.matches(&known.pattern.0).filter(|matched| matched.name("included").is_none()) {
                    let start = matched.get(0).map_or(0, |whole| whole.start());
                    let path_of = matched.name("path").or(matched.name("path2")).map_or("", |part| part.as_str());
                    let method = matched.name("method").map(|method| method.as_str().to_uppercase());
                    let method =
                        method.filter(|method| ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()));
                    found.all.push(Route {
                        method,
                        path: path_of.to_owned(),
                        file: path.clone(),
                        line: source.line(start),
                        data: only_data,
                    });
                }
            }
            let prefixes = PREFIX.captures_iter(&source.code).filter_map(|prefix| prefix.get(1).or(prefix.get(2)));
            let prefixes: Vec<&str> = prefixes.map(|prefix| prefix.as_str()).collect();
            found.add_versions(prefixes.into_iter());
        }
        let paths: Vec<String> = found.all.iter().map(|route| route.path.clone()).collect();
        found.add_versions(paths.iter().map(String::as_str));
        found.is_api |= paths.iter().any(|path| path.contains("api/"));
        found.is_api &= !found.all.is_empty();
        found.generator = generator(repository);
        found
    }

    fn add_versions<'p>(&mut self, paths: impl Iterator<Item = &'p str>) {
        let numbers = paths.flat_map(|path| VERSION.captures_iter(path)).filter_map(|found| found[1].parse().ok());
        let numbers: Vec<u32> = numbers.collect();
        self.versions.extend(numbers);
    }

    /// Next: the file is the route.
    fn page_of_next(&mut self, file: &Path) {
        let text = file.to_string_lossy();
        let text = text.strip_prefix("src/").unwrap_or(&text);
        let stem = text.rsplit_once('.').map_or(text, |(stem, _)| stem);
        let path = stem.strip_prefix("pages/api/").map(|rest| format!("/api/{rest}"));
        let path = path.or_else(|| Some(format!("/{}", stem.strip_prefix("app/")?.strip_suffix("/route")?)));
        if let Some(path) = path {
            self.all.push(Route { method: None, path, file: file.to_owned(), line: 1, data: true });
            self.is_api = true;
        }
    }

    /// Whether a path that is written somewhere is answered: one of the routes is its end.
    pub fn answers(&self, path: &str) -> bool {
        self.all.iter().any(|route| ends_with(path, &route.path))
    }
}

/// Whether a whole path ends with a route's, where parameters stand for any piece.
pub(crate) fn ends_with(whole: &str, route: &str) -> bool {
    let (whole, route) = (pieces(whole), pieces(route));
    let variable = |piece: &str| piece.starts_with([':', '{', '<', '[', '$', '*']) || piece.contains("(?P<");
    whole.len() >= route.len()
        && whole.iter().rev().zip(route.iter().rev()).all(|(left, right)| left == right || variable(right))
}

fn pieces(path: &str) -> Vec<&str> {
    path.split(['?', '#']).next().unwrap_or_default().split('/').filter(|piece| !piece.is_empty()).collect()
}

/// What only a developer's tool answers is not the app's.
fn is_of_the_app(path: &Path) -> bool {
    !is_tool(path) && !is_test(path)
}

fn generator(repository: &Repository) -> Option<String> {
    let own = |(folder, _): &&(PathBuf, &str)| is_of_the_app(&folder.join("x"));
    let depends_on = |language: &str, name: &str| {
        let of = repository.manifests().all.iter().filter(|(key, _)| own(key) && key.1 == language);
        of.into_iter().any(|(_, manifest)| manifest.dependency(name).is_some())
    };
    let depends = |known: &&Generator| known.packages.iter().any(|name| depends_on(&known.language, name));
    let is_off = |known: &Generator| {
        known
            .off
            .as_ref()
            .is_some_and(|off| repository.sources().values().any(|source| source.matches(&off.0).next().is_some()))
    };
    KNOWN.generator.iter().filter(depends).find(|known| !is_off(known)).map(|known| {
        let named = known.packages.iter().find(|package| depends_on(&known.language, package));
        named.unwrap_or(&known.name).clone()
    })
}

impl RoutePattern {
    fn fits(&self, ending: &str, code: &str) -> bool {
        self.extensions.iter().any(|own| own == ending)
            && self.requires.as_ref().is_none_or(|requires| requires.0.is_match(code))
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;

    fn routes(files: &[(&str, &str)]) -> Routes {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        Routes::of(&Repository::open(folder.path()).unwrap())
    }

    #[test]
    fn routes_prefixes_and_generators_are_read() {
        let text = "app = FastAPI()\napp.include_router(r, prefix=\"/api/v1\")\n@r.get(\"/orders/{id}\")\nasync def a(): ...\n# @r.get(\"/no\")\n@r.post(\"/orders\")\nasync def b(): ...\n";
        let found =
            routes(&[("app.py", text), ("requirements.txt", "fastapi\n"), ("tests/test_a.py", "@r.get(\"/t\")")]);
        let paths: Vec<(&str, &str, usize)> = found
            .all
            .iter()
            .map(|route| (route.method.as_deref().unwrap_or("-"), route.path.as_str(), route.line))
            .collect();
        assert_eq!(paths, [("GET", "/orders/{id}", 3), ("POST", "/orders", 6)]);
        assert!(found.is_api && found.versions.contains(&1));
        assert_eq!(found.generator.as_deref(), Some("fastapi"));
        assert!(found.answers("/api/v1/orders/7") && !found.answers("/api/v1/carts"));
    }

    #[test]
    fn pages_are_no_api() {
        let found = routes(&[("app.py", "@app.route(\"/\")\ndef a(): return render_template(\"a.html\")\n")]);
        assert!(!found.is_api && found.all.len() == 1);
        assert!(routes(&[("app/api/a/route.ts", "export async function GET() {}")]).is_api);
    }
}
