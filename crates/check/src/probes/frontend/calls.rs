//! Where pages ask for data: by themselves, or when something is pressed. Nothing that changes anything reaches the server.

use std::time::{Duration, Instant};

use seaworthy_browser::{Asked, BrowserError, Control, Page, Request, Seen, Then};

use super::words;
use crate::browsing::{OPENING, Visit};

/// So many places are tried; so many controls are pressed to find one.
const PLACES: usize = 2;
const PRESSED: usize = 6;
/// Whatever a page does with a press is done by then.
const AFTER_A_PRESS: Duration = Duration::from_secs(4);
/// A message comes this soon, or, when the page asks again by itself, when it has given up.
const MESSAGE: Duration = Duration::from_millis(1800);
const MESSAGE_AFTER_RETRIES: Duration = Duration::from_secs(10);

/// A place where calls are made.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The page.
    pub path: String,
    /// The name of the control that makes them, when the page does not do so by itself.
    pub press: Option<String>,
    /// As it is when all is well.
    pub before: Seen,
    /// `GET /api/items`.
    pub calls: Vec<String>,
}

/// Whether a call is one whose failure a person must learn of.
pub(super) fn counts(visit: &Visit<'_>, url: &str, kind: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    // Parts of the page itself, which are fetched like data.
    let is_part = name.contains('.') && name.rsplit('.').next().is_some_and(|end| PARTS.contains(&end));
    let router = url.contains("_rsc=") || url.contains("/_next/") || url.contains("/__data.json");
    let own = visit.is_own(url) || same_site(url, &visit.address("/"));
    matches!(kind, "XHR" | "Fetch") && own && !is_part && !router && !words::is_aside(url)
}

const PARTS: [&str; 13] =
    ["js", "mjs", "css", "svg", "wasm", "json", "txt", "html", "map", "png", "woff2", "ico", "webmanifest"];

/// `api.example.com` and `www.example.com`.
fn same_site(one: &str, other: &str) -> bool {
    let host = |url: &str| {
        let host = url.split("://").nth(1)?.split(['/', '?', '#']).next()?.split(':').next()?.to_owned();
        let parts: Vec<String> = host.split('.').map(str::to_owned).collect();
        let is_name = parts.len() > 1 && parts.iter().any(|part| part.parse::<u8>().is_err());
        Some(if is_name { parts[parts.len() - 2..].join(".") } else { host })
    };
    host(one).is_some() && host(one) == host(other)
}

/// The calls among these that count, each once.
fn counted(visit: &Visit<'_>, requests: &[Request]) -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    for one in requests.iter().filter(|one| counts(visit, &one.url, &one.kind)) {
        let path = one.url.split("://").nth(1).and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
        let call = format!("{} {}", one.method, path.split('?').next().unwrap_or(path));
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    calls
}

/// Lets reading pass, and answers what would change something with an empty success.
pub(super) fn harmless(asked: &Asked) -> Then {
    match asked.method.as_str() {
        "GET" | "HEAD" | "OPTIONS" => Then::Pass,
        _ => Then::json(200, "{}"),
    }
}

/// Places where calls are made: pages that make them by themselves, else controls that do when they are pressed.
pub(super) async fn places(visit: &Visit<'_>, page: &Page) -> Result<Vec<Place>, BrowserError> {
    let mut places: Vec<Place> = Vec::new();
    page.intercept(harmless).await?;
    for path in &visit.pages {
        let opened = visit.open(page, path).await?;
        let calls = counted(visit, &opened.observed.requests);
        if !calls.is_empty() && !places.iter().any(|known| known.calls == calls) {
            places.push(Place { path: path.clone(), press: None, before: opened.seen, calls });
        }
        if places.len() == PLACES {
            break;
        }
    }
    if places.is_empty() {
        places.extend(pressing(visit, page).await?);
    }
    for place in &places {
        let how = place.press.as_ref().map_or(String::new(), |name| format!(" when \"{name}\" is pressed"));
        visit.note(format!("{} asks{how}: {}", place.path, place.calls.join(", ")));
    }
    Ok(places)
}

async fn pressing(visit: &Visit<'_>, page: &Page) -> Result<Option<Place>, BrowserError> {
    // Failed on purpose, so that what is pressed comes to nothing anywhere.
    page.intercept(|asked| if asked.is_call() { Then::Fail } else { harmless(asked) }).await?;
    let mut pressed = 0;
    for path in visit.pages.iter().take(3) {
        let opened = visit.open(page, path).await?;
        let controls = page.controls().await?;
        let names = controls.iter().filter(|one| one.role == "button" && !one.disabled && !one.name.is_empty());
        for name in names.map(|one| one.name.clone()).collect::<Vec<_>>() {
            if pressed == PRESSED {
                return Ok(None);
            }
            pressed += 1;
            visit.open(page, path).await?;
            if !press_named(page, &name).await? {
                continue;
            }
            page.settle(AFTER_A_PRESS).await;
            let calls = counted(visit, &page.observed().requests);
            if !calls.is_empty() {
                return Ok(Some(Place { path: path.clone(), press: Some(name), before: opened.seen, calls }));
            }
        }
    }
    Ok(None)
}

/// Names of links that stay on this site and in this window, in the order of the page, each once.
pub(super) async fn own_links(page: &Page) -> Result<Vec<String>, BrowserError> {
    const OWN: &str = "[...document.querySelectorAll('a[href]')].filter(one => one.target !== '_blank' && !one.hasAttribute('download') \
        && new URL(one.href, location.href).origin === location.origin \
        && one.getAttribute('href')[0] !== '#').map(one => (one.getAttribute('aria-label') || one.innerText).replace(/\\s+/g, ' ').trim())";
    let own = page.evaluate(OWN).await?;
    let own: Vec<&str> = own.as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
    let mut names: Vec<String> = Vec::new();
    for control in page.controls().await?.into_iter().filter(|one| one.role == "link") {
        let dangerous =
            words::deletes(&control.name) || crate::routes::changes_something(&format!("/{}", control.name));
        if own.contains(&control.name.as_str())
            && !control.name.is_empty()
            && !dangerous
            && !names.contains(&control.name)
        {
            names.push(control.name);
        }
    }
    Ok(names)
}

/// Fills what is to be filled and presses the control of this name; false when it is not there.
async fn press_named(page: &Page, name: &str) -> Result<bool, BrowserError> {
    let controls = page.controls().await?;
    for field in controls.iter().filter(|one| one.takes_text() && !one.disabled).take(12) {
        // A field that cannot be written to is not what this is about.
        let _ = page.write(field, filling(field)).await;
    }
    match controls.iter().find(|one| one.role == "button" && one.name == name) {
        Some(control) => Ok(page.press(control).await.is_ok()),
        None => Ok(false),
    }
}

fn filling(field: &Control) -> &'static str {
    let name = field.name.to_lowercase();
    if name.contains("mail") {
        "check@example.com"
    } else if field.role == "spinbutton" {
        "7"
    } else if name.contains("url") || name.contains("website") {
        "https://example.com/"
    } else {
        "Seaworthy check 7"
    }
}

impl Place {
    /// Shows the place with calls decided by `then`, and waits for what the page makes of it: until `enough`, or until
    /// nothing more is to be expected.
    pub(super) async fn show(
        &self,
        visit: &Visit<'_>,
        page: &Page,
        then: Then,
        enough: impl Fn(&Seen) -> bool,
    ) -> Result<Seen, BrowserError> {
        let base = visit.address("/");
        let own = base.trim_end_matches('/').to_owned();
        page.intercept(move |asked| {
            let calls = asked.is_call() && (asked.url.starts_with(&own) || same_site(&asked.url, &own));
            let path = asked.url.split(['?', '#']).next().unwrap_or_default();
            let part = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, end)| end);
            let is_part = part.is_some_and(|end| PARTS.contains(&end));
            if calls && !is_part && !words::is_aside(&asked.url) { then.clone() } else { harmless(asked) }
        })
        .await?;
        page.open(&visit.address(&self.path), OPENING).await?;
        if let Some(name) = &self.press {
            press_named(page, name).await?;
            page.settle(AFTER_A_PRESS).await;
        }
        let (started, asked) = (Instant::now(), calls_of(page));
        loop {
            let seen = page.seen().await?;
            let retries = calls_of(page) > asked;
            let patience = if retries { MESSAGE_AFTER_RETRIES } else { MESSAGE };
            if enough(&seen) || started.elapsed() > patience {
                return Ok(seen);
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    /// For a reason: where it was.
    pub(super) fn name(&self) -> String {
        match &self.press {
            Some(control) => format!("{} after \"{control}\"", self.path),
            None => self.path.clone(),
        }
    }
}

fn calls_of(page: &Page) -> usize {
    page.observed().requests.iter().filter(|one| one.is_call()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_told_apart_by_their_names() {
        assert!(same_site("https://api.example.com/x", "https://www.example.com/"));
        assert!(!same_site("https://api.example.com/x", "https://example.org/"));
        assert!(
            same_site("http://127.0.0.1:1/x", "http://127.0.0.1:2/")
                && !same_site("http://10.0.0.1/", "http://20.0.0.1/")
        );
        assert!(same_site("http://localhost:1/x", "http://localhost:2/"));
    }
}
