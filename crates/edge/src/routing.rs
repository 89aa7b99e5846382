//! Which pipeline a request takes: by path pattern, then by method.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
    sync::Arc,
};

use http::{
    HeaderMap, Method,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};
use seaworthy_core::Handler;
use thiserror::Error;

use crate::{files::FilesError, shared_handler::SharedHandler, spelling::fold};

/// A method (or any) and a path: `GET /api/documents/{id}`, `/static/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    method: Option<Method>,
    path: String,
}

/// A pattern that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// Nothing there.
    #[error("a route needs a `match`")]
    Empty,
    /// Not a path.
    #[error("the path `{0}` must start with `/`")]
    NoPath(String),
    /// Not an HTTP method.
    #[error("`{0}` is not an HTTP method in capital letters")]
    Method(String),
    /// Wrong or conflicting path pattern.
    #[error("the path `{path}` cannot be used: {reason}")]
    Path {
        /// As written.
        path: String,
        /// Why.
        reason: String,
    },
    /// A rewritten path leads to the place of another route, and no pattern can say which ones do.
    #[error(
        "`{path}` leads to a place in the app that has a route of its own, whose policy must hold there, and cannot be told \
         from other routes ({reason}); write a route for it, or make one of them more specific"
    )]
    Way {
        /// What would be needed.
        path: String,
        /// Why it cannot be.
        reason: String,
    },
    /// The same method and path twice.
    #[error("`{0}` is there twice")]
    Twice(String),
}

/// A route that cannot be used.
#[derive(Debug, Error)]
pub enum RouteError {
    /// Its pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Its folder.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// The routes of one core. Built once when the config loads; a look-up changes nothing.
#[derive(Clone)]
pub struct RouteTable {
    paths: matchit::Router<Entries>,
    /// The same in the one spelling that [`fold`] makes.
    folded: matchit::Router<Entries>,
    fallback: Route,
    /// For answers that the edge gives itself, before any route is looked up.
    own: Arc<SharedHandler>,
}

/// Collects routes and refuses conflicts.
#[derive(Clone)]
pub struct RouteTableBuilder {
    paths: Vec<(String, Vec<Entry>)>,
    /// Those of them that nobody has written.
    ways: Vec<String>,
    fallback: Route,
    own: Arc<SharedHandler>,
}

/// A pipeline and the name under which it is counted.
#[derive(Clone)]
pub(crate) struct Route {
    pub name: Arc<str>,
    pub handler: Arc<SharedHandler>,
    /// What it ends in goes by `X-HTTP-Method-Override` itself, and knows what that may ask for.
    pub heeds_override: bool,
}

/// What one method (or any) of a path is answered by.
#[derive(Clone)]
struct Entry {
    method: Option<Method>,
    route: Route,
    /// How much of the route's path is left open: less is more specific.
    open: usize,
    /// It follows from `/…/*`, and stands back for a route that names the path.
    implied: bool,
}

/// The routes of one path.
#[derive(Clone)]
struct Entries(Vec<Entry>);

impl RouteTable {
    /// Starts a table; `fallback` takes every request that no pattern matches, `own` ends in [`crate::OwnAnswers`] and
    /// takes what the edge answers itself: redirects to HTTPS, and what is no request.
    pub fn builder(fallback: Handler, own: Handler) -> RouteTableBuilder {
        RouteTableBuilder {
            paths: Vec::new(),
            ways: Vec::new(),
            fallback: Route { name: "*".into(), handler: SharedHandler::new(fallback), heeds_override: false },
            own: SharedHandler::new(own),
        }
    }

    pub(crate) fn own(&self) -> &SharedHandler {
        &self.own
    }

    /// The route of a request. A preflight asks on behalf of another one (Fetch standard, CORS-preflight): it has that
    /// one's route, or a policy for `POST /x` would say nothing of who may post there.
    pub(crate) fn of(&self, method: &Method, path: &str, headers: &HeaderMap) -> &Route {
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| headers.contains_key(ORIGIN));
        let asked =
            asked.filter(|_| *method == Method::OPTIONS).and_then(|asked| Method::from_bytes(asked.as_bytes()).ok());
        self.find(asked.as_ref().unwrap_or(method), path)
    }

    /// The most specific path, its own method before any. HEAD is GET without the body (RFC 9110, 9.3.2), so what limits
    /// GET limits it.
    ///
    /// A path that apps may take for another one has that one's route: no spelling gets past a policy.
    fn find(&self, method: &Method, path: &str) -> &Route {
        let as_sent = self.paths.at(path).ok().and_then(|found| found.value.of(method));
        let as_read = fold(path).and_then(|folded| {
            let found = self.folded.at(&folded.path).ok()?;
            Some((found.value.of(method)?, folded.strange))
        });
        match (as_sent, as_read) {
            (Some((open, route)), Some(((read_open, read), strange))) => {
                if read_open < open || (read_open == open && strange) { read } else { route }
            }
            (Some((_, route)), None) | (None, Some(((_, route), _))) => route,
            (None, None) => &self.fallback,
        }
    }
}

impl Entries {
    fn of(&self, method: &Method) -> Option<(usize, &Route)> {
        let of = |method: &Method| self.0.iter().find(|entry| entry.method.as_ref() == Some(method));
        let get = || of(&Method::GET).filter(|_| *method == Method::HEAD);
        let any = || self.0.iter().find(|entry| entry.method.is_none());
        of(method).or_else(get).or_else(any).map(|entry| (entry.open, &entry.route))
    }
}

/// What a more specific path does not say of a method, the next one that covers it says: `POST /api/login` leaves a GET
/// there to `/api/*`, not to the fallback, which would be a way past that policy.
fn with_covering(paths: &[(String, Vec<Entry>)]) -> Vec<(String, Vec<Entry>)> {
    let mut by_openness: Vec<&(String, Vec<Entry>)> = paths.iter().collect();
    by_openness.sort_by_key(|(path, _)| how_open(path));
    let completed = |(path, own): &(String, Vec<Entry>)| {
        let mut all = own.clone();
        for (other, entries) in &by_openness {
            if all.iter().any(|entry| entry.method.is_none()) {
                break;
            }
            if other != path && covers(other, path) {
                let is_new = |entry: &&Entry| !all.iter().any(|known| known.method == entry.method);
                let new: Vec<Entry> = entries.iter().filter(is_new).cloned().collect();
                all.extend(new);
            }
        }
        (path.clone(), all)
    };
    paths.iter().map(completed).collect()
}

/// Whether every path of the second pattern is one of the first.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) => return true,
            (Some(open), Some(_)) if open.starts_with("{*") => return true,
            (Some(open), Some(text)) if is_one_segment(open) && !text.is_empty() && !text.starts_with("{*") => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// `{name}`, with nothing around it.
fn is_one_segment(segment: &str) -> bool {
    segment.starts_with('{') && !segment.starts_with("{*") && segment.find('}') == Some(segment.len() - 1)
}

/// Names of parameters say nothing here, and patterns that differ in them alone are the same: `/a/{x}` becomes `/a/{0}`.
fn without_names(path: &str) -> String {
    let (mut plain, mut rest, mut count) = (String::with_capacity(path.len()), path, 0);
    while let Some(at) = rest.find('{') {
        let (before, inside) = rest.split_at(at);
        let Some(end) = inside.find('}').filter(|_| !inside.starts_with("{*") && !inside.starts_with("{{")) else {
            break;
        };
        plain.push_str(before);
        // Writing to a String cannot fail.
        let _ = write!(plain, "{{{count}}}");
        (rest, count) = (&inside[end + 1..], count + 1);
    }
    plain + rest
}

/// A rest of any length is more open than any number of names, and less so behind more of them: `/api/admin/*` says of
/// `/api/Admin/x` what holds there, and not `/api/*`.
fn how_open(path: &str) -> usize {
    const REST: usize = 1_000_000;
    let open = path.matches('{').count();
    let names = path.split('/').filter(|name| !name.is_empty() && !name.contains('{')).count();
    if path.contains("{*") { open + REST.saturating_sub(1_000 * names) } else { open }
}

impl RouteTableBuilder {
    /// Adds a route.
    pub fn route(self, pattern: &Pattern, handler: Handler) -> Result<Self, PatternError> {
        self.named(pattern, handler, false)
    }

    /// Adds a route of ours that has every method, and heeds a header that names another one.
    pub fn route_heeding_override(self, pattern: &Pattern, handler: Handler) -> Result<Self, PatternError> {
        self.named(pattern, handler, true)
    }

    fn named(mut self, pattern: &Pattern, handler: Handler, heeds_override: bool) -> Result<Self, PatternError> {
        let name: Arc<str> = pattern.to_string().into();
        let route = Route { name: name.clone(), handler: SharedHandler::new(handler), heeds_override };
        self.add(pattern, &route).map_err(|()| PatternError::Twice(name.to_string()))?;
        Ok(self)
    }

    /// Adds another way to a route: what it takes is counted under `name`. To be called after all routes; one that has the
    /// same method and path goes first.
    #[must_use]
    pub fn way(mut self, pattern: &Pattern, name: &str, handler: Handler) -> Self {
        let route = Route { name: name.into(), handler: SharedHandler::new(handler), heeds_override: false };
        let with_slash = Pattern { path: format!("{}/", pattern.path), ..pattern.clone() };
        for pattern in
            [pattern, &with_slash].into_iter().filter(|one| !one.path.ends_with("//") && !one.path.ends_with("*/"))
        {
            self.ways.extend(pattern.router_paths().iter().map(|path| without_names(path)));
            // There already: then that route says what holds there.
            let _ = self.add(pattern, &route);
        }
        self
    }

    fn add(&mut self, pattern: &Pattern, route: &Route) -> Result<(), ()> {
        for (number, path) in pattern.router_paths().iter().enumerate() {
            let path = without_names(path);
            let open = how_open(&path);
            // The first of two is `/…/`, which `/…/*` only takes along.
            let implied = number == 0 && pattern.path.ends_with("/*");
            let entry = Entry { method: pattern.method.clone(), route: route.clone(), open, implied };
            let Some((_, entries)) = self.paths.iter_mut().find(|(known, _)| *known == path) else {
                self.paths.push((path, vec![entry]));
                continue;
            };
            match entries.iter_mut().find(|known| known.method == entry.method) {
                Some(known) if known.implied && !implied => *known = entry,
                Some(known) if implied && !known.implied => {}
                Some(_) => return Err(()),
                None => entries.push(entry),
            }
        }
        Ok(())
    }

    /// Ends the table; two patterns that could both be the most specific one are an error.
    pub fn build(self) -> Result<RouteTable, PatternError> {
        let (mut paths, mut folded) = (matchit::Router::new(), matchit::Router::new());
        for (path, all) in with_covering(&self.paths) {
            let entries = Entries(all);
            // Two patterns that differ in case alone: the first one has what is written in neither way.
            let _ = folded.insert(in_folded_spelling(&path), entries.clone());
            paths.insert(path.clone(), entries).map_err(|reason| match self.ways.contains(&path) {
                true => PatternError::Way { path, reason: reason.to_string() },
                false => PatternError::Path { path, reason: reason.to_string() },
            })?;
        }
        Ok(RouteTable { paths, folded, fallback: self.fallback, own: self.own })
    }
}

/// A pattern in lower case, without a slash at its end.
fn in_folded_spelling(path: &str) -> String {
    let path = path.to_lowercase();
    match path.trim_end_matches('/') {
        "" => "/".into(),
        trimmed => trimmed.into(),
    }
}

impl Pattern {
    /// The path as written, without the method.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// `/static/*` also means `/static/` itself; a router of trees needs both.
    fn router_paths(&self) -> Vec<String> {
        match self.path.strip_suffix("/*") {
            Some(prefix) => vec![format!("{prefix}/"), format!("{prefix}/{{*rest}}")],
            None => vec![self.path.clone()],
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        let (method, path) = match text.split_once(char::is_whitespace) {
            Some((method, path)) => (Some(method), path.trim()),
            None => (None, text),
        };
        if path.is_empty() {
            return Err(PatternError::Empty);
        }
        let method = method.map(|name| {
            let known = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
            known.then(|| Method::from_bytes(name.as_bytes()).ok()).flatten().ok_or(PatternError::Method(name.into()))
        });
        let method = method.transpose()?;
        if !path.starts_with('/') {
            return Err(PatternError::NoPath(path.into()));
        }
        let pattern = Self { method, path: path.into() };
        for path in pattern.router_paths() {
            let tried = matchit::Router::new().insert(path, ());
            tried.map_err(|reason| PatternError::Path { path: pattern.path.clone(), reason: reason.to_string() })?;
        }
        Ok(pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.method {
            Some(method) => write!(f, "{method} {}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response};
    use seaworthy_core::empty_body;

    use super::*;

    fn handler() -> Handler {
        Handler::new(tower::service_fn(|_| async { Ok(Response::new(empty_body())) }))
    }

    fn table(patterns: &[&str]) -> Result<RouteTable, PatternError> {
        let mut builder = RouteTable::builder(handler(), handler());
        for pattern in patterns {
            builder = builder.route(&pattern.parse()?, handler())?;
        }
        builder.build()
    }

    #[test]
    fn the_most_specific_path_wins_and_then_the_method() {
        let table = table(&["/api/*", "GET /api/docs/{id}", "/api/docs/{id}", "/api/docs/new"]).unwrap();
        let name = |method: Method, path: &str| table.find(&method, path).name.to_string();
        assert_eq!(name(Method::GET, "/api/docs/7"), "GET /api/docs/{id}");
        assert_eq!(name(Method::PUT, "/api/docs/7"), "/api/docs/{id}");
        assert_eq!(name(Method::GET, "/api/docs/new"), "/api/docs/new");
        assert_eq!(name(Method::GET, "/api/"), "/api/*");
        assert_eq!(name(Method::GET, "/api/x/y"), "/api/*");
        assert_eq!(name(Method::GET, "/other"), "*");
    }

    #[test]
    fn a_preflight_has_the_route_of_the_request_that_it_asks_for_and_head_that_of_get() {
        let table = table(&["POST /admin", "GET /search", "/search"]).unwrap();
        let headers = |asked: &'static str| {
            let origin = (ORIGIN, HeaderValue::from_static("https://a.test"));
            HeaderMap::from_iter([origin, (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static(asked))])
        };
        let name = |method: Method, path: &str, headers: &HeaderMap| table.of(&method, path, headers).name.to_string();
        assert_eq!(name(Method::OPTIONS, "/admin", &headers("POST")), "POST /admin");
        assert_eq!(name(Method::OPTIONS, "/admin", &headers("PUT")), "*");
        assert_eq!(name(Method::OPTIONS, "/admin", &HeaderMap::new()), "*", "no preflight");
        assert_eq!(name(Method::GET, "/admin", &headers("POST")), "*", "no preflight");
        assert_eq!(name(Method::HEAD, "/search", &HeaderMap::new()), "GET /search");
        assert_eq!(name(Method::DELETE, "/search", &HeaderMap::new()), "/search");
    }

    #[test]
    fn no_spelling_gets_past_a_route() {
        let patterns = [
            "POST /login",
            "/api/*",
            "/api/documents",
            "/api/docs/{id}",
            "/static/*",
            "/{page}",
            "/public/*",
            "/admin/*",
        ];
        let table = table(&patterns).unwrap();
        let name = |path: &str| table.find(&Method::POST, path).name.to_string();
        for path in ["/login", "/%6cogin", "/LOGIN", "/login/", "//login", "/login;a=b", "/x/../login", "/./login"] {
            assert_eq!(name(path), "POST /login", "{path}");
        }
        for path in ["/api/%64ocuments", "/api/Documents", "/api/documents/", "/api//documents", "/api%2fdocuments"] {
            assert_eq!(name(path), "/api/documents", "{path}");
        }
        assert_eq!(name("/api/%64ocs/5"), "/api/docs/{id}");
        assert_eq!(name("/public/%2e%2e/admin/x"), "/admin/*");
        // What is written as a pattern says it stays with it.
        for (path, pattern) in [("/static/", "/static/*"), ("/static/App.js", "/static/*"), ("/api/Docs2/A", "/api/*")]
        {
            assert_eq!(name(path), pattern, "{path}");
        }
        assert_eq!(name("/About"), "/{page}");
    }

    #[test]
    fn a_method_that_has_no_route_falls_back() {
        let table = table(&["POST /upload"]).unwrap();
        assert_eq!(&*table.find(&Method::GET, "/upload").name, "*");
    }

    #[test]
    fn a_method_without_a_route_of_its_own_has_the_policy_that_covers_the_path() {
        let table = table(&["/api/*", "POST /api/login", "GET /api/a/{page}", "DELETE /api/a/b"]).unwrap();
        let name = |method: Method, path: &str| table.find(&method, path).name.to_string();
        assert_eq!(name(Method::POST, "/api/login"), "POST /api/login");
        assert_eq!(name(Method::GET, "/api/a/b"), "GET /api/a/{page}");
        assert_eq!(name(Method::PUT, "/api/a/B"), "/api/*");
        for path in ["/api/login", "/api/LOGIN", "/api//login", "/api/%6cogin", "/api/login/"] {
            assert_eq!(name(Method::PUT, path), "/api/*", "{path}");
        }
        assert_eq!(name(Method::GET, "/api/7/x"), "/api/*");
        assert_eq!(name(Method::GET, "/other"), "*");
    }

    #[test]
    fn another_way_to_a_route_stands_back_for_one_that_is_written() {
        let written = ["/api/*", "GET /api/login"];
        let mut builder = RouteTable::builder(handler(), handler());
        for pattern in written {
            builder = builder.route(&pattern.parse().unwrap(), handler()).unwrap();
        }
        for way in ["/api/login", "GET /api/login", "/api"] {
            builder = builder.way(&way.parse().unwrap(), "way", handler());
        }
        let table = builder.build().unwrap();
        let name = |method: Method, path: &str| table.find(&method, path).name.to_string();
        assert_eq!(name(Method::GET, "/api/login"), "GET /api/login");
        assert_eq!(name(Method::POST, "/api/LOGIN"), "way");
        assert_eq!((name(Method::GET, "/api/"), name(Method::GET, "/api")), ("way".into(), "way".into()));
        assert_eq!(name(Method::GET, "/api/x"), "/api/*");
        let conflict = RouteTable::builder(handler(), handler()).route(&"/api/*".parse().unwrap(), handler()).unwrap();
        let conflict = conflict.way(&"/api/{page}".parse().unwrap(), "way", handler()).build();
        assert!(matches!(conflict, Err(PatternError::Way { .. })), "and none is left out without a word");
    }

    #[test]
    fn conflicts_and_nonsense_are_refused() {
        assert!(matches!(table(&["/a", "/a"]), Err(PatternError::Twice(_))));
        assert!(matches!(table(&["/{a}/x", "/{b}/x"]), Err(PatternError::Twice(_))));
        assert!(table(&["/static/*", "/static/", "/{a}/x", "GET /{b}/y"]).is_ok());
        assert!(matches!(table(&["get /a"]), Err(PatternError::Method(_))));
        assert!(matches!(table(&["api"]), Err(PatternError::NoPath(_))));
        assert!(matches!(table(&[""]), Err(PatternError::Empty)));
        assert!(matches!(table(&["/a/{"]), Err(PatternError::Path { .. })));
    }

    #[test]
    fn the_narrower_of_two_rests_has_a_path_in_another_spelling() {
        let table = table(&["/api/*", "/api/admin/*"]).unwrap();
        let found = |path: &str| table.find(&Method::GET, path).name.to_string();
        for path in ["/api/admin/x", "/api/Admin/x", "/api/Admin/x/y", "/API/admin/x/y", "/api//admin/x"] {
            assert_eq!(found(path), "/api/admin/*", "{path}");
        }
        assert_eq!(found("/api/Administer/x"), "/api/*");
    }
}
