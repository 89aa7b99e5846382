//! `frontend.error-messages`: whatever fails, a person reads a plain sentence, and nothing that only programmers understand.

use std::io;

use seaworthy_browser::{BrowserError, Page, Seen, Text, Then};

use super::{PageProbe, Stop, calls, html, not_applicable, shortened, site, words};
use crate::{
    browsing::Visit,
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.error-messages", look, present, absent };

/// What is forced, with what a careless app says of it.
const FAILURES: [(&str, Option<u16>); 7] = [
    ("400", Some(400)),
    ("401", Some(401)),
    ("403", Some(403)),
    ("404", Some(404)),
    ("429", Some(429)),
    ("500", Some(500)),
    ("no network", None),
];

const TRACE: &str = r#"{"error": "Traceback (most recent call last):\n  File \"/srv/app/main.py\", line 7, in items\nSELECT * FROM items",
    "detail": "Traceback (most recent call last): /srv/app/main.py", "message": "TypeError: Cannot read properties of undefined"}"#;

const PAGE: &str = r#"<h1>Items</h1><p id=told role=alert></p><ul id=list></ul><script>
const sentences = {400: "That request was not understood.", 401: "Please sign in again.", 403: "You have no permission to see this.",
  404: "These items were not found.", 429: "Too many requests, please wait a moment."};
const tell = text => { document.getElementById("told").textContent = text; };
fetch("/api/items").then(async answer => {
  if (!answer.ok) return tell(FAILED);
  list.textContent = (await answer.json()).map(item => item.name).join(", ");
}).catch(() => tell("You seem to be offline: no connection."));
</script>"#;

fn present() -> io::Result<Fixture> {
    items("sentences[answer.status] || \"Something went wrong, please try again.\"")
}

// The common mistake: it does tell, in the words of whoever wrote the API.
fn absent() -> io::Result<Fixture> {
    items("\"Error: \" + await answer.text()")
}

fn items(failed: &str) -> io::Result<Fixture> {
    site(vec![("/", html(&PAGE.replace("FAILED", failed))), ("/api/items", r#"[{"name": "One"}]"#.into())])
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        let places = calls::places(visit, &page).await?;
        if places.is_empty() {
            return server_pages(visit, &page, cases).await;
        }
        cases.plan_more(places.len() * FAILURES.len());
        for place in &places {
            for (name, status) in FAILURES {
                let then = forced(status);
                let seen = place.show(visit, &page, then, |seen| message(&place.before, seen).is_some()).await?;
                judge(&page, name, &place.name(), (&place.before, &seen), cases).await?;
                if cases.is_broken() {
                    return Err(Stop::Here);
                }
            }
        }
        let pages: Vec<_> = places.iter().map(calls::Place::name).collect();
        Ok(format!(
            "{} failures forced at {}: each shows a sentence, none of the inside",
            FAILURES.len(),
            pages.join(" and ")
        ))
    })
}

/// The answer, or its failure, that a status stands for.
pub(super) fn forced(status: Option<u16>) -> Then {
    match status {
        None => Then::Fail,
        Some(500) => Then::json(500, TRACE),
        Some(status) => Then::json(status, format!(r#"{{"status": {status}, "code": "E_FORCED_{status}"}}"#)),
    }
}

/// What tells a person that something did not work: new, and either in a region that is told at once, or in such words.
pub(super) fn message<'a>(before: &Seen, seen: &'a Seen) -> Option<&'a Text> {
    let new = seen.new_since(before);
    let telling = |one: &&&Text| words::tells_of_trouble(&one.text);
    new.iter().find(telling).or_else(|| new.iter().find(|one| one.told && one.text.chars().count() > 3)).copied()
}

async fn judge(
    page: &Page,
    failure: &str,
    place: &str,
    (before, seen): (&Seen, &Seen),
    cases: &mut Cases,
) -> Result<(), Stop> {
    let at = format!("{failure} at {place}");
    let news = seen.new_since(before);
    let leak = news.iter().find_map(|one| words::inside(&one.text).map(|what| (what, *one)));
    let leak = leak.or_else(|| {
        let all = news.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join("\n");
        words::inside(&all).map(|what| (what, news[0]))
    });
    if let Some((what, text)) = leak {
        cases.tried(false, format!("{at}: the page shows {what}: {}", shortened(&text.text, 80)));
        return Ok(());
    }
    let address = page.address().await?.to_lowercase();
    let asks = ["login", "log-in", "signin", "sign-in", "auth"].iter().any(|word| address.contains(word));
    let said = match message(before, seen) {
        Some(text) => Some(format!("\"{}\"", shortened(&text.text, 60))),
        // To be asked who one is answers the question as well.
        None if failure == "401" && (seen.asks_for_password && !before.asks_for_password || asks) => {
            Some("a sign-in".into())
        }
        None => None,
    };
    match said {
        Some(said) => cases.tried(true, format!("{at}: {said}")),
        None if seen.is_blank() => cases.tried(false, format!("{at}: the page is blank")),
        None if !news.is_empty() && !words::knows(&language(page).await?) => {
            let first = shortened(&news[0].text, 60);
            cases.told_nothing(format!("{at}: the page says \"{first}\", in a language that this probe does not know"));
        }
        None => cases.tried(false, format!("{at}: the page says nothing of it")),
    }
    Ok(())
}

async fn language(page: &Page) -> Result<String, BrowserError> {
    let language = page.evaluate("document.documentElement.lang || ''").await?;
    Ok(language.as_str().unwrap_or_default().to_owned())
}

/// Pages without calls of their own: what a person reads of errors are the server's pages.
async fn server_pages(visit: &Visit<'_>, page: &Page, cases: &mut Cases) -> Result<String, Stop> {
    let known = visit.subject.hints.error_path.as_deref();
    let scripts = page.observed().requests.iter().any(|one| one.kind == "Script");
    if known.is_none() && scripts && visit.pages.len() == 1 {
        return not_applicable("no page asks for data, by itself or when something is pressed: nothing there can fail");
    }
    page.let_pass().await?;
    let paths = ["/seaworthy-check/no-such-page"].into_iter().chain(known);
    for path in paths {
        cases.plan_more(1);
        let opened = visit.open(page, path).await?;
        let (text, status) = (opened.seen.text(), opened.loaded.status.unwrap_or_default());
        let at = format!("GET {path} ({status})");
        match words::inside(&text) {
            Some(what) => cases.tried(false, format!("{at} shows {what}")),
            None if text.is_empty() => cases.tried(false, format!("{at} shows an empty page")),
            None if status < 400 => cases.told_nothing(format!("{at} is no error")),
            None => cases.tried(true, format!("{at}: {}", shortened(&text, 60))),
        }
    }
    if known.is_none() && !cases.is_broken() {
        cases.told_nothing(
            "pages ask for no data, so that their errors are the server's: name a path on which the app fails, \
             [check] error_path = \"/…\"",
        );
    }
    Ok("no page asks for data; the server's pages for 404 and 500 are sentences without anything of the inside".into())
}
