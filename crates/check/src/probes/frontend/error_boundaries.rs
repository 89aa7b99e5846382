//! `frontend.error-boundaries`: when one part of a page throws, a fallback stands in its place, and the rest goes on.
//!
//! Parts are made to throw in three ways: while they are drawn, as a bug in them would (React and Vue let us reach their
//! parts); by data of a shape that nobody expects; and by code that cannot be loaded when it is needed.

use std::io;

use seaworthy_browser::{Page, Seen, Then};
use serde_json::Value;

use super::{PageProbe, Stop, calls, error_messages::message, html, not_applicable, shortened, site, unclear};
use crate::{
    browsing::{Opened, Visit},
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.error-boundaries", look, present, absent };

/// What comes in place of data: a failure, and successes that are none.
const DATA: [(&str, u16, &str); 5] = [
    ("500", 500, r#"{"status": 500}"#),
    ("null", 200, "null"),
    ("an object of another shape", 200, r#"{"unexpected": true}"#),
    ("a list of null", 200, "[null]"),
    ("broken JSON", 200, r#"{"items": ["#),
];
/// So many links are followed in search of code that comes later.
const LINKS: usize = 4;

const PAGE: &str = r#"<nav><a href="/other">Other</a> <button>Menu</button></nav><main id=main><p>Loading</p></main><script>
const draw = items => { main.innerHTML = ""; const list = document.createElement("ul");
  for (const name of items.map(item => item.name.toUpperCase())) list.append(name); main.append(list); };
fetch("/api/items").then(answer => answer.json()).then(WAY);
</script>"#;

fn present() -> io::Result<Fixture> {
    items(
        "draw).catch(error => { console.error(error); main.innerHTML = \"<p role=alert>Something went wrong here.</p>\"; }",
    )
}

// The common mistake: nothing stands between a part and the whole.
fn absent() -> io::Result<Fixture> {
    items(
        "data => { const before = document.body.innerHTML; document.body.innerHTML = \"\"; const part = data.map(item => item.name.toUpperCase()); document.body.innerHTML = before; main.textContent = part; }",
    )
}

fn items(way: &str) -> io::Result<Fixture> {
    let files = vec![
        ("/", html(&PAGE.replace("WAY", way))),
        ("/other", html("<a href=\"/\">Home</a>")),
        ("/api/items", r#"[{"name": "One"}]"#.into()),
    ];
    site(files)
}

/// What was made to throw, and what really did.
#[derive(Default)]
struct Tally {
    parts: usize,
    data: usize,
    chunks: usize,
    /// Errors that came of it, caught or not.
    threw: usize,
    uncaught: usize,
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        let front = visit.open(&page, &visit.pages[0]).await?;
        let scripts = front.observed.requests.iter().filter(|one| one.kind == "Script").count();
        if scripts == 0 && page.evaluate("document.scripts.length").await? == 0 {
            return not_applicable("pages are drawn by the server: there is no script on them that could throw");
        }
        let mut tally = Tally::default();
        drawing(visit, &page, cases, &mut tally).await?;
        if !cases.is_broken() {
            data(visit, &page, cases, &mut tally).await?;
        }
        if !cases.is_broken() {
            late_code(visit, &page, cases, &mut tally).await?;
        }
        let Tally { parts, data, chunks, threw, uncaught } = tally;
        let tried = format!("{parts} parts made to throw, {data} answers spoilt, {chunks} late scripts refused");
        if threw == 0 && !cases.is_broken() {
            return unclear(format!("nothing on {} pages could be made to throw: {tried}", visit.pages.len()));
        }
        Ok(format!("{tried}: {threw} errors came of it ({uncaught} uncaught), each time the rest stayed"))
    })
}

/// Parts that throw while they are drawn.
async fn drawing(visit: &Visit<'_>, page: &Page, cases: &mut Cases, tally: &mut Tally) -> Result<(), Stop> {
    page.intercept(calls::harmless).await?;
    for path in visit.pages.iter().take(2) {
        visit.open(page, path).await?;
        let found = page.evaluate(include_str!("throwing.js")).await?;
        let parts = found["parts"].as_array().cloned().unwrap_or_default();
        visit.note(format!("{path}: {} parts of {}", parts.len(), found["kinds"]));
        for (number, part) in parts.iter().enumerate() {
            let before = visit.open(page, path).await?;
            let script = format!("({}).throwIn({number})", include_str!("throwing.js").trim());
            if page.evaluate(&script).await? != true {
                visit.note(format!("{path}: {} could not be made to throw", part["name"]));
                continue;
            }
            page.settle(std::time::Duration::from_secs(2)).await;
            let name = part["name"].as_str().unwrap_or_default();
            let at = format!("{path}: when {} {name} throws", part["kind"].as_str().unwrap_or_default());
            tally.parts += 1;
            tally.threw += 1;
            tally.uncaught += page.observed().errors.len();
            judge_part(&at, part, &before, &page.seen().await?, cases);
            if cases.is_broken() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn judge_part(at: &str, part: &Value, before: &Opened, after: &Seen, cases: &mut Cases) {
    cases.plan_more(1);
    let outside = part["outside"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let outside: Vec<&str> = outside.filter(|name| !name.is_empty()).collect();
    let left = outside.iter().filter(|name| after.controls.iter().any(|one| one == *name)).count();
    let says = message(&before.seen, after).or_else(|| after.new_since(&before.seen).first().copied());
    let share = part["share"].as_f64().unwrap_or_default() * 100.0;
    let (holds, what) = match says {
        _ if after.is_blank() => (false, "the page is blank".to_owned()),
        _ if !outside.is_empty() && left == 0 => {
            (false, format!("none of the {} controls outside it is left ({share:.0}% of the page)", outside.len()))
        }
        None => (false, "nothing stands in its place".to_owned()),
        Some(text) => (true, format!("\"{}\" stands in its place", shortened(&text.text, 60))),
    };
    cases.tried(holds, format!("{at}, {what}"));
}

/// Data that nobody expects.
async fn data(visit: &Visit<'_>, page: &Page, cases: &mut Cases, tally: &mut Tally) -> Result<(), Stop> {
    for place in &calls::places(visit, page).await? {
        for (what, status, body) in DATA {
            cases.plan_more(1);
            let then = Then::json(status, body);
            let seen = place.show(visit, page, then, |seen| message(&place.before, seen).is_some()).await?;
            let observed = page.observed();
            // What the browser writes of a call that failed (`500 (Internal Server Error)`) is no error of the page's code.
            let logged = observed.console.iter().filter(|line| line.level == "error" && line.by_page);
            let threw = observed.errors.len() + logged.filter(|line| line.text.contains("Error")).count();
            tally.data += 1;
            tally.uncaught += observed.errors.len();
            tally.threw += threw;
            let at = format!("{} with {what} for {}", place.name(), place.calls.join(", "));
            let first =
                observed.errors.first().map(|error| format!(" after {}", shortened(error, 70))).unwrap_or_default();
            let kept = place.before.controls.is_empty()
                || place.before.controls.iter().any(|name| seen.controls.contains(name));
            let told = message(&place.before, &seen).is_some();
            let (holds, what) = match () {
                () if seen.is_blank() || seen.texts.is_empty() => (false, "the page is blank"),
                () if !kept => (false, "no control of the page is left"),
                () if threw > 0 && !told => (false, "the page stays, and nothing on it tells that a part is missing"),
                () => (true, "the page stays"),
            };
            cases.tried(holds, format!("{at}: {what}{first}"));
            if cases.is_broken() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Code that is loaded later, and cannot be.
async fn late_code(visit: &Visit<'_>, page: &Page, cases: &mut Cases, tally: &mut Tally) -> Result<(), Stop> {
    page.intercept(calls::harmless).await?;
    let path = &visit.pages[0];
    visit.open(page, path).await?;
    let links = calls::own_links(page).await?;
    for name in links.iter().take(LINKS) {
        page.intercept(calls::harmless).await?;
        let before = visit.open(page, path).await?;
        let known = page.observed().requests.len();
        page.intercept(|asked| if asked.kind == "Script" { Then::Fail } else { calls::harmless(asked) }).await?;
        let controls = page.controls().await?;
        let Some(link) = controls.iter().find(|one| one.role == "link" && one.name == *name) else { continue };
        if page.press(link).await.is_err() {
            continue;
        }
        page.settle(std::time::Duration::from_secs(4)).await;
        let observed = page.observed();
        let new = observed.requests.get(known..).unwrap_or_default();
        let refused = new.iter().filter(|one| one.kind == "Script" && one.ours).count();
        // Another document has scripts of its own: that is no part of this page.
        if refused == 0 || new.iter().any(|one| one.kind == "Document") {
            continue;
        }
        let seen = page.seen().await?;
        cases.plan_more(1);
        tally.chunks += refused;
        tally.threw += 1;
        tally.uncaught += observed.errors.len();
        let kept =
            before.seen.controls.is_empty() || before.seen.controls.iter().any(|name| seen.controls.contains(name));
        let at = format!("{path}: when the code behind \"{name}\" cannot be loaded");
        let (holds, what) = match () {
            () if seen.is_blank() || seen.texts.is_empty() => (false, "the page is blank"),
            () if !kept => (false, "no control of the page is left"),
            () => (true, "the page stays"),
        };
        cases.tried(holds, format!("{at}, {what}"));
        if cases.is_broken() {
            return Ok(());
        }
    }
    Ok(())
}
