//! The routes to test: what the app publishes, what its source declares, what the edge saw, and what apps usually have.
//!
//! Gathered once a run and shared by all probes. Each route knows where it came from, and a probe that calls some of them
//! says of how many. All of it only says where to look: a route that is listed and not there counts for nothing.

mod guess;
mod source;
mod traffic;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::OnceCell, task::spawn_blocking, time::timeout};

use crate::{
    http::Client,
    openapi::{self, Operation, QueryParameter},
    subject::Subject,
};

/// More are not kept.
const MOST: usize = 1000;
/// Each question waits this long, and all of them together not much longer.
const PATIENCE: Duration = Duration::from_secs(3);
const ALL: Duration = Duration::from_secs(15);

/// Where a route was found. The first that knows it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The team named it in `[check]`.
    Named,
    /// The app's OpenAPI description.
    OpenApi,
    /// The app's source.
    Source,
    /// The access log of the edge.
    Traffic,
    /// Nobody named it, and it is there.
    Guess,
}

/// One method of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// In capitals.
    pub method: String,
    /// With `{name}` for each parameter.
    pub template: String,
    /// With values in their place.
    pub path: String,
    /// Who knows of it.
    pub origin: Origin,
    /// With a value that does not fit, when a parameter has a type that allows to know.
    pub misfit: Option<String>,
    /// It cannot be called without a query.
    pub needs_query: bool,
    /// What its query may hold, where that is described.
    pub query: Vec<QueryParameter>,
    /// It takes a body of JSON.
    pub takes_json: bool,
    /// It asks who calls.
    pub secured: bool,
}

/// All that are known.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    /// By origin, then by path.
    pub all: Vec<Route>,
    /// Where the app's own description was found.
    pub described_at: Option<&'static str>,
}

/// The routes of a run; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Gathered(Arc<OnceCell<Routes>>);

/// Routes that a probe calls, and of how many they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub routes: Vec<Route>,
    total: usize,
    left_out: BTreeMap<&'static str, usize>,
}

impl Subject {
    /// The routes of the app, gathered when somebody asks for the first time.
    pub async fn routes(&self) -> &Routes {
        self.routes.0.get_or_init(|| gather(self)).await
    }

    /// GET routes that can be called by anybody at any time, at most so many; the transcript says which ones they are of.
    pub(crate) async fn sample(&self, most: usize) -> Sample {
        let sample = self.routes().await.sample(most);
        self.transcript.note(format!("routes: {sample}"));
        sample
    }
}

impl Routes {
    /// How many came from where.
    pub fn origins(&self) -> BTreeMap<Origin, usize> {
        count(&self.all)
    }

    fn sample(&self, most: usize) -> Sample {
        let mut sample = Sample::default();
        for route in self.all.iter().filter(|route| route.method == "GET") {
            sample.total += 1;
            let why = if route.needs_query {
                Some("a query is needed")
            } else if route.changes_something() {
                Some("the name says that something changes")
            } else if sample.routes.len() == most {
                Some("more than a probe calls")
            } else {
                None
            };
            match why {
                Some(why) => *sample.left_out.entry(why).or_default() += 1,
                None => sample.routes.push(route.clone()),
            }
        }
        sample
    }

    fn add(&mut self, known: &mut HashSet<String>, route: Route) {
        if self.all.len() < MOST && known.insert(key(&route.method, &route.template)) {
            self.all.push(route);
        }
    }
}

impl Route {
    /// A route of which nothing but its path is known.
    pub(crate) fn plain(method: &str, template: &str, origin: Origin) -> Self {
        Self {
            method: method.to_owned(),
            template: template.to_owned(),
            path: filled(template),
            origin,
            misfit: None,
            needs_query: false,
            query: Vec::new(),
            takes_json: false,
            secured: false,
        }
    }

    /// It has parameters in its path.
    pub fn is_parametric(&self) -> bool {
        self.template.contains('{')
    }

    /// Its name says that it changes something. GET must not (RFC 9110, 9.2.1), and does in many apps all the same.
    pub(crate) fn changes_something(&self) -> bool {
        changes_something(&self.template)
    }
}

impl Sample {
    /// The same without some; the reason is shown with the rest.
    pub(crate) fn without(mut self, why: &'static str, unwanted: impl Fn(&Route) -> bool) -> Self {
        let before = self.routes.len();
        self.routes.retain(|route| !unwanted(route));
        if self.routes.len() < before {
            *self.left_out.entry(why).or_default() += before - self.routes.len();
        }
        self
    }

    /// The paths to call.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(|route| route.path.as_str())
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} GET routes", self.routes.len(), self.total)?;
        let origins = count(&self.routes).into_iter().map(|(origin, count)| format!("{count} {origin}"));
        let left_out = self.left_out.iter().map(|(why, count)| format!("left out {count}: {why}"));
        let parts: Vec<String> = origins.chain(left_out).collect();
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "named",
            Self::OpenApi => "openapi",
            Self::Source => "source",
            Self::Traffic => "traffic",
            Self::Guess => "guessed",
        })
    }
}

async fn gather(subject: &Subject) -> Routes {
    let (mut routes, mut known) = (Routes::default(), HashSet::new());
    let named = subject.hints.paths.iter().chain(&subject.hints.list_paths);
    for path in named {
        routes.add(&mut known, Route { path: path.clone(), ..Route::plain("GET", path, Origin::Named) });
    }
    let client = subject.client().map(|client| client.quiet().patience(PATIENCE));
    // What the network keeps for itself is not waited for: the rest is known all the same.
    let (described, declared) = tokio::join!(
        timeout(ALL, description(client.as_ref(), subject.hints.version_prefix.as_deref())),
        declared(subject.repo.clone())
    );
    if let Some((place, operations)) = described.ok().flatten() {
        routes.described_at = Some(place);
        operations.into_iter().for_each(|one| routes.add(&mut known, of(one)));
    }
    let mut candidates: Vec<Route> = declared;
    candidates.retain(|route| !known.contains(&key(&route.method, &route.template)));
    let templates: Vec<String> = routes.all.iter().chain(&candidates).map(|route| route.template.clone()).collect();
    candidates.extend(traffic(subject.access_log.clone(), templates).await);
    candidates.extend(guess::all());
    candidates = match &client {
        Some(client) => timeout(ALL, guess::existing(client, candidates)).await.unwrap_or_default(),
        None => candidates.into_iter().filter(|route| route.origin == Origin::Source).collect(),
    };
    candidates.into_iter().for_each(|route| routes.add(&mut known, route));
    routes.all.sort_by(|one, other| (one.origin, &one.template).cmp(&(other.origin, &other.template)));
    routes
}

async fn description(client: Option<&Client>, mounted: Option<&str>) -> Option<(&'static str, Vec<Operation>)> {
    openapi::discover(client?, mounted).await
}

/// Reading a large repository takes a while: not on a thread that others wait for.
async fn declared(repo: Option<PathBuf>) -> Vec<Route> {
    let Some(repo) = repo else { return Vec::new() };
    spawn_blocking(move || source::read(&repo)).await.unwrap_or_default()
}

async fn traffic(log: Option<PathBuf>, templates: Vec<String>) -> Vec<Route> {
    let Some(log) = log else { return Vec::new() };
    spawn_blocking(move || traffic::read(&log, &templates)).await.unwrap_or_default()
}

fn of(operation: Operation) -> Route {
    Route {
        method: operation.method,
        template: operation.template,
        path: operation.path,
        origin: Origin::OpenApi,
        misfit: operation.misfit,
        needs_query: operation.needs_query,
        query: operation.query,
        takes_json: operation.takes_json,
        secured: operation.secured,
    }
}

/// The same for two spellings of one route: names of parameters and a slash at the end make no difference.
fn key(method: &str, template: &str) -> String {
    let path = template.split('?').next().unwrap_or_default().trim_end_matches('/');
    let segments = path.split('/').map(|segment| if segment.contains('{') { "{}" } else { segment });
    format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
}

/// A template with `1` for each parameter.
fn filled(template: &str) -> String {
    let mut path = String::with_capacity(template.len());
    let mut inside = false;
    for letter in template.chars() {
        match letter {
            '{' => inside = true,
            '}' => {
                inside = false;
                path.push('1');
            }
            _ if inside => {}
            _ => path.push(letter),
        }
    }
    path
}

pub(crate) fn changes_something(template: &str) -> bool {
    const WORDS: [&str; 14] = [
        "logout",
        "signout",
        "delete",
        "remove",
        "destroy",
        "reset",
        "purge",
        "flush",
        "shutdown",
        "restart",
        "migrate",
        "unsubscribe",
        "cron",
        "seed",
    ];
    let words = template.split(|letter: char| !letter.is_ascii_alphanumeric());
    let joined = template.to_lowercase().replace(['-', '_'], "");
    words.map(str::to_lowercase).any(|word| WORDS.contains(&word.as_str()))
        || ["/logout", "/signout"].iter().any(|end| joined.ends_with(end))
}

fn count(routes: &[Route]) -> BTreeMap<Origin, usize> {
    let mut counts = BTreeMap::new();
    for route in routes {
        *counts.entry(route.origin).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, reply};

    #[tokio::test]
    async fn routes_are_the_union_of_all_that_is_known_and_each_counts_once() {
        const DOCUMENT: &str = r#"{"openapi":"3.1.0","paths":{
            "/items":{"get":{},"post":{}},
            "/items/{id}":{"get":{"parameters":[{"name":"id","in":"path","example":"a b"}]}},
            "/search":{"get":{"parameters":[{"name":"q","in":"query","required":true}]}},
            "/logout":{"get":{}}}}"#;
        let log = tempfile::NamedTempFile::new().unwrap();
        fixture::append(log.path(), "{\"method\":\"GET\",\"path\":\"/items/77\",\"status\":200}\n");
        fixture::append(log.path(), "{\"method\":\"GET\",\"path\":\"/seen\",\"status\":200}\n");
        let source = fixture::folder(&[(
            "main.py",
            "app = FastAPI()\n@app.get('/items')\ndef items(): ...\n@app.get('/only-here')\ndef here(): ...\n\
             @app.get('/not-deployed')\ndef gone(): ...\n",
        )]);
        let source = source.unwrap();
        let fixture = fixture::public(|request| match request.uri().path() {
            "/openapi.json" => reply(200, &[], DOCUMENT),
            "/" | "/items" | "/only-here" | "/seen" | "/health" | "/named" => reply(200, &[], ""),
            "/admin" => reply(401, &[], ""),
            _ => reply(404, &[], ""),
        });
        let mut fixture = fixture.unwrap();
        fixture.subject.repo = source.subject.repo.clone();
        fixture.subject.access_log = Some(log.path().to_owned());
        fixture.subject.hints.paths = vec!["/named?page=1".into()];
        let sample = fixture.subject.sample(100).await;
        let shown = sample.to_string();
        assert_eq!(
            shown,
            "9 of 11 GET routes (1 named, 2 openapi, 1 source, 1 traffic, 4 guessed, left out 1: a query is needed, \
             left out 1: the name says that something changes)",
            "{:?}",
            sample.routes
        );
        let paths: Vec<&str> = sample.paths().collect();
        assert!(paths.contains(&"/items/a%20b") && !paths.contains(&"/not-deployed"), "{paths:?}");
        let without = sample.without("for a test", |route| route.path.starts_with("/items")).to_string();
        assert!(without.starts_with("7 of 11") && without.contains("left out 2: for a test"), "{without}");
        assert!(fixture.subject.sample(2).await.to_string().starts_with("2 of 11"));
        assert!(fixture.subject.transcript.lines().iter().any(|line| line.starts_with("routes: 9 of 11")));
    }

    #[tokio::test]
    async fn a_page_for_every_path_makes_no_guess_true() {
        let fixture = fixture::public(|_| reply(200, &[], "<html>")).unwrap();
        assert_eq!(fixture.subject.sample(100).await.to_string(), "1 of 1 GET routes (1 guessed)");
        assert_eq!(Subject::default().sample(9).await.routes.len(), 0);
    }

    #[test]
    fn names_of_parameters_make_no_two_routes() {
        assert_eq!(key("GET", "/a/{id}/"), key("GET", "/a/{other}?x=1"));
        assert_ne!(key("GET", "/a/{id}"), key("GET", "/a/b"));
        assert_eq!(filled("/a/{id}/b/{c}"), "/a/1/b/1");
        assert!(changes_something("/auth/log-out") && changes_something("/jobs/{id}/delete"));
        assert!(!changes_something("/seeds") && !changes_something("/deleted-items"));
    }
}
