//! The paths that an app's code says it answers, as far as they can be read without running it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;
use seaworthy_repository::{Pattern, Repository, Source, is_test};
use serde::Deserialize;

use seaworthy_repository::environment::is_tool;

#[derive(Deserialize)]
struct Known {
    route: Vec<RoutePattern>,
    data: Vec<DataPattern>,
    internal: Vec<RoutePattern>,
    generator: Vec<Generator>,
}

#[derive(Deserialize)]
struct RoutePattern {
    extensions: Vec<String>,
    requires: Option<Pattern>,
    pattern: Pattern,
}

/// What shows that answers are data.
#[derive(Deserialize)]
struct DataPattern {
    extensions: Vec<String>,
    pattern: Pattern,
    /// Pages of the app itself ask for such data too.
    #[serde(default)]
    own: bool,
}

/// What describes an API from its code.
#[derive(Deserialize)]
struct Generator {
    name: String,
    language: String,
    packages: Vec<String>,
    /// Code that uses it.
    used: Option<Pattern>,
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
    /// A library's own client asks it, and nobody else.
    pub internal: bool,
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
        let (mut pages, mut helpers) = (false, false);
        for (path, source) in repository.sources() {
            let ending = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
            if !is_of_the_app(path) {
                continue;
            }
            let any = |known: &[RoutePattern]| known.iter().any(|one| one.is_in(ending, source));
            let internal = any(&KNOWN.internal);
            found.page_of_next(path, internal);
            let shown = |own: bool| {
                let mut of =
                    KNOWN.data.iter().filter(|one| one.own == own && one.extensions.iter().any(|it| it == ending));
                of.any(|one| source.matches(&one.pattern.0).next().is_some())
            };
            let shows_pages = PAGES.is_match(&source.code);
            let (data, own_data) = (shown(false), shown(true));
            pages |= shows_pages;
            helpers |= own_data;
            let before = found.all.len();
            found.read(path, ending, source, (data || own_data) && !shows_pages);
            found.is_api |= data || (own_data && found.all.len() > before);
            let prefixes = PREFIX.captures_iter(&source.code).filter_map(|prefix| prefix.get(1).or(prefix.get(2)));
            let prefixes: Vec<&str> = prefixes.map(|prefix| prefix.as_str()).collect();
            found.add_versions(prefixes.into_iter());
        }
        let paths: Vec<String> = found.all.iter().map(|route| route.path.clone()).collect();
        found.add_versions(paths.iter().map(String::as_str));
        found.is_api |= helpers && !pages;
        found.is_api |= found.all.iter().any(|route| route.path.contains("api/") && !route.internal);
        found.is_api &= !found.all.is_empty();
        found.generator = generator(repository);
        found
    }

    /// The routes of one source.
    fn read(&mut self, path: &Path, ending: &str, source: &Source, data: bool) {
        for known in KNOWN.route.iter().filter(|known| known.fits(ending, &source.code)) {
            for matched in source.matches(&known.pattern.0).filter(|matched| matched.name("included").is_none()) {
                let start = matched.get(0).map_or(0, |whole| whole.start());
                let path_of = matched.name("path").or(matched.name("path2")).map_or("", |part| part.as_str());
                let method = matched.name("method").map(|method| method.as_str().to_uppercase());
                let method =
                    method.filter(|method| ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()));
                self.all.push(Route {
                    method,
                    path: path_of.to_owned(),
                    file: path.to_owned(),
                    line: source.line(start),
                    data,
                    internal: false,
                });
            }
        }
    }

    fn add_versions<'p>(&mut self, paths: impl Iterator<Item = &'p str>) {
        let numbers = paths.flat_map(|path| VERSION.captures_iter(path)).filter_map(|found| found[1].parse().ok());
        let numbers: Vec<u32> = numbers.collect();
        self.versions.extend(numbers);
    }

    /// Next: the file is the route.
    fn page_of_next(&mut self, file: &Path, internal: bool) {
        let text = file.to_string_lossy();
        let text = text.strip_prefix("src/").unwrap_or(&text);
        let stem = text.rsplit_once('.').map_or(text, |(stem, _)| stem);
        let path = stem.strip_prefix("pages/api/").map(|rest| format!("/api/{rest}"));
        let path = path.or_else(|| Some(format!("/{}", stem.strip_prefix("app/")?.strip_suffix("/route")?)));
        if let Some(path) = path {
            self.all.push(Route { method: None, path, file: file.to_owned(), line: 1, data: !internal, internal });
            self.is_api |= !internal;
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
    let uses = |known: &Generator| {
        let mut sources = repository.sources().iter().filter(|(path, _)| is_of_the_app(path)).map(|(_, source)| source);
        known.used.as_ref().is_some_and(|used| sources.any(|source| source.matches(&used.0).next().is_some()))
    };
    let depends =
        |known: &&Generator| known.packages.iter().any(|name| depends_on(&known.language, name)) || uses(known);
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

    fn is_in(&self, ending: &str, source: &Source) -> bool {
        self.fits(ending, &source.code) && source.matches(&self.pattern.0).next().is_some()
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

    #[test]
    fn what_serves_ones_own_pages_is_no_api() {
        let urls = "from django.urls import path, re_path\nclass Config:\n    def urls(self):\n        return [path(\"add/<int:pk>/\", self.add), re_path(\n            route=r'^del/$', name='x')]\n";
        let view = "def add(request):\n    return JsonResponse({})\n";
        let page = "def show(request):\n    return render(request, 'a.html')\n";
        let found = routes(&[("shop/apps.py", urls), ("shop/views.py", view), ("shop/pages.py", page)]);
        let paths: Vec<&str> = found.all.iter().map(|route| route.path.as_str()).collect();
        assert_eq!(paths, ["add/<int:pk>/", "del/"]);
        assert!(!found.is_api);
        assert!(routes(&[("shop/apps.py", urls), ("shop/views.py", view)]).is_api);
        // Routes and answers in one file.
        let both = "@app.get(\"/orders\")\ndef orders():\n    return jsonify()\n";
        assert!(routes(&[("orders.py", both), ("shop/pages.py", page)]).is_api);
    }

    #[test]
    fn a_mount_for_a_librarys_own_client_is_no_api() {
        let trpc = ("src/app/api/trpc/[trpc]/route.ts", "const handler = () => fetchRequestHandler({});\n");
        let auth = ("src/app/api/auth/[...nextauth]/route.ts", "export const { GET, POST } = handlers;\n");
        let found = routes(&[trpc, auth]);
        assert!(!found.is_api && found.all.len() == 2);
        assert!(routes(&[trpc, ("src/app/api/orders/route.ts", "export const GET = () => Response.json({});")]).is_api);
    }

    #[test]
    fn a_generator_may_be_seen_in_code() {
        let code = "from drf_spectacular.views import SpectacularAPIView\n";
        assert_eq!(routes(&[("api/views.py", code)]).generator.as_deref(), Some("drf-spectacular"));
    }
}
