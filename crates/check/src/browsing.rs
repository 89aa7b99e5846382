//! The browser of a run, and the pages that it may look at: found once, by the first probe that asks.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::Method;
use seaworthy_browser::{Browser, BrowserError, Context, Launch, Loaded, Observed, PACKAGES, Page, Seen};
use tokio::sync::OnceCell;

use crate::{
    endpoint::Endpoint,
    http::{Answer, Client},
    probe::Sighting,
    subject::Subject,
};

/// So many pages are looked at.
const MOST_PAGES: usize = 8;
/// So many addresses are asked whether they are a page.
const MOST_ASKED: usize = 24;
/// Opening a page may take this long.
pub(crate) const OPENING: Duration = Duration::from_secs(12);
const HOPS: usize = 4;

/// The browser and the pages of a run; clones share them.
#[derive(Clone, Default)]
pub struct Browsing(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Kept, so that the next probe need not start another one.
    browser: Mutex<Option<Arc<Browser>>>,
    site: OnceCell<Result<Site, Sighting>>,
}

/// The pages of a target.
#[derive(Debug, Clone, Default)]
struct Site {
    /// Paths, the front page first.
    pages: Vec<String>,
    /// Links that were seen and are not among them.
    left_out: usize,
    /// Errors in the console of the first page.
    console_errors: Vec<String>,
}

/// A browser of its own on the target's pages, for one look.
pub(crate) struct Visit<'a> {
    pub subject: &'a Subject,
    pub context: Context,
    /// Paths, the front page first.
    pub pages: Vec<String>,
    base: String,
    /// The certificate is one that the browser does not know, and our own client has looked at it.
    lenient: bool,
}

/// A page that was opened and has settled.
pub(crate) struct Opened {
    pub loaded: Loaded,
    pub seen: Seen,
    pub observed: Observed,
}

impl Subject {
    /// A browser on this target's pages. Without a page there is nothing to look at, and without a browser nobody to do it:
    /// the sighting says which.
    pub(crate) async fn visit(&self) -> Result<Visit<'_>, Sighting> {
        let Some(client) = self.client() else { return Err(Sighting::not_tried("name the app's address with --url")) };
        let Some(url) = self.url.as_ref().filter(|url| url.host().is_some()) else {
            return Err(Sighting::not_tried(
                "a browser cannot open a Unix socket: name an http or https address with --url",
            ));
        };
        let site = self.browsing.0.site.get_or_init(|| async { self.find_pages(&client, url).await }).await.clone()?;
        let visit = self.visit_to(url, site.pages).await?;
        let errors = site.console_errors.iter().map(|error| format!("console of {}: {error}", visit.pages[0]));
        errors.for_each(|line| self.transcript.note(line));
        let also = if site.left_out > 0 { format!(" ({} more links left out)", site.left_out) } else { String::new() };
        self.transcript.note(format!("pages: {}{also}", visit.pages.join(" ")));
        Ok(visit)
    }

    async fn visit_to(&self, url: &Endpoint, pages: Vec<String>) -> Result<Visit<'_>, Sighting> {
        let browser = self.browser().await.map_err(without_browser)?;
        let context = browser.context().await.map_err(without_browser)?;
        let base = url.origin();
        Ok(Visit { subject: self, context, pages, base, lenient: self.is_lenient(url) })
    }

    async fn browser(&self) -> Result<Arc<Browser>, BrowserError> {
        let name = self.url.as_ref().and_then(Endpoint::host).map(str::to_owned);
        let reached_at = self.address.zip(name).map(|(address, name)| (name, address.to_string()));
        let browser = Browser::share(&Launch { program: None, reached_at }).await?;
        *self.browsing.0.browser.lock().unwrap_or_else(PoisonError::into_inner) = Some(browser.clone());
        Ok(browser)
    }

    /// The browser knows nothing of the team's own authorities. Our own client does, and it has asked this address before.
    fn is_lenient(&self, url: &Endpoint) -> bool {
        let loopback = match self.address {
            Some(address) => address.is_loopback(),
            None => url.host().is_some_and(|host| {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }),
        };
        matches!(url, Endpoint::Https { .. }) && (loopback || self.trust.is_own())
    }

    async fn find_pages(&self, client: &Client, url: &Endpoint) -> Result<Site, Sighting> {
        let front = front(client).await?;
        let mut site = Site { pages: front.clone().into_iter().collect(), ..Site::default() };
        let mut candidates: Vec<String> = self.hints.paths.clone();
        // A description of an API is a page, and not one of the app.
        if front.is_none() {
            let routes = self.sample(MOST_ASKED).await;
            candidates.extend(routes.paths().filter(|path| !describes_an_api(path)).map(str::to_owned));
        }
        add_pages(client, &mut site, candidates).await;
        let Some(first) = site.pages.first().cloned() else {
            return Err(Sighting::not_applicable(
                "nothing here is a page: GET / answers no HTML, and no known route does",
            ));
        };
        let visit = self.visit_to(url, Vec::new()).await?;
        let looking = async {
            let page = visit.page().await?;
            let opened = visit.open(&page, &first).await?;
            Ok((opened, page.evaluate(include_str!("links.js")).await?))
        };
        let (opened, links) = looking.await.map_err(|error: BrowserError| Sighting::unclear(error.to_string()))?;
        let links = links.as_array().into_iter().flatten().filter_map(|link| link.as_str().map(str::to_owned));
        add_pages(client, &mut site, links.collect()).await;
        let errors = opened.observed.console.iter().filter(|line| line.level == "error").map(|line| line.text.clone());
        site.console_errors = errors.chain(opened.observed.errors).take(10).collect();
        Ok(site)
    }
}

/// The path of the front page, after redirects that stay on this address; `None` when it is no page.
async fn front(client: &Client) -> Result<Option<String>, Sighting> {
    let mut path = "/".to_owned();
    for _ in 0..HOPS {
        let answer = client.get(&path).await.map_err(|error| Sighting::unclear(error.to_string()))?;
        let status = answer.status.as_u16();
        match status {
            200..=299 => return Ok(is_page(&answer).then_some(path)),
            300..=399 => {
                let location = answer.header("location").unwrap_or_default();
                let origin = client.address().origin();
                let local = location.strip_prefix(&origin).unwrap_or(location);
                if !local.starts_with('/') || local.starts_with("//") {
                    let why =
                        format!("GET {path} leads to {location}, which is not this address: name that one with --url");
                    return Err(Sighting::unclear(why));
                }
                path = local.to_owned();
            }
            401 | 403 => {
                let why = format!("GET {path} answers {status}: pages behind a sign-in cannot be looked at");
                return Err(Sighting::unclear(why));
            }
            500..=599 => return Err(Sighting::unclear(format!("GET {path} answers {status}"))),
            _ => return Ok(None),
        }
    }
    Err(Sighting::unclear(format!("GET / is redirected more than {HOPS} times")))
}

/// Adds those that are pages.
async fn add_pages(client: &Client, site: &mut Site, candidates: Vec<String>) {
    for (place, path) in candidates.iter().enumerate() {
        if site.pages.len() >= MOST_PAGES || place >= MOST_ASKED {
            site.left_out += candidates.len() - place;
            return;
        }
        if site.pages.contains(path) || crate::routes::changes_something(path) {
            continue;
        }
        let mut request = client.request(Method::GET, path);
        request.headers_mut().insert(http::header::ACCEPT, http::HeaderValue::from_static("text/html,*/*;q=0.8"));
        let answer = client.clone().patience(Duration::from_secs(5)).quiet().send(request).await;
        if answer.is_ok_and(|answer| answer.status.is_success() && is_page(&answer)) {
            site.pages.push(path.clone());
        }
    }
}

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type").is_some_and(|kind| {
        let kind = kind.to_lowercase();
        kind.starts_with("text/html") || kind.starts_with("application/xhtml")
    })
}

fn describes_an_api(path: &str) -> bool {
    let path = path.to_lowercase();
    ["/docs", "/redoc", "/swagger", "/api-docs", "/openapi", "/graphi", "/schema"].iter().any(|one| path.contains(one))
}

pub(crate) fn without_browser(error: BrowserError) -> Sighting {
    match error {
        BrowserError::Missing => {
            Sighting::not_tried(format!("a headless browser is needed, and none is on this machine: {PACKAGES}"))
        }
        error if error.is_missing() => {
            Sighting::not_tried(format!("a headless browser is needed: {error}; {PACKAGES}"))
        }
        error => Sighting::unclear(error.to_string()),
    }
}

impl Visit<'_> {
    /// A new page.
    pub(crate) async fn page(&self) -> Result<Page, BrowserError> {
        let page = self.context.page().await?;
        if self.lenient {
            page.trust_every_certificate().await?;
        }
        Ok(page)
    }

    /// The whole address of a path.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Whether an address is one of the target.
    pub(crate) fn is_own(&self, url: &str) -> bool {
        let rest = url.strip_prefix(&self.base);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
    }

    /// Opens a path and looks when it has settled.
    pub(crate) async fn open(&self, page: &Page, path: &str) -> Result<Opened, BrowserError> {
        let loaded = page.open(&self.address(path), OPENING).await?;
        Ok(Opened { loaded, seen: page.seen().await?, observed: page.observed() })
    }

    /// A line for the transcript.
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.subject.transcript.note(line);
    }
}
