//! `frontend.confirm-dialogs`: nothing is deleted until the person has confirmed it, and cancelling leaves everything.
//!
//! Controls that delete are pressed. Whatever they send is answered here: nothing of the target is ever deleted.

use std::{io, time::Duration};

use seaworthy_browser::{Asked, Control, Observed, Page, Request, Seen, Then};

use super::{PageProbe, Stop, html, not_tried, shortened, site, words};
use crate::{
    browsing::{Opened, Visit},
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.confirm-dialogs", look, present, absent };

/// So many different controls are pressed.
const CONTROLS: usize = 5;
const AFTER_A_PRESS: Duration = Duration::from_secs(3);

const PAGE: &str = r#"<h1>Projects</h1><ul><li id=one>First <button onclick="WAY">Delete project</button></li></ul>
<dialog id=ask><p>Delete this project?</p><button onclick="ask.close()">Cancel</button><button onclick="remove()">Delete</button></dialog>
<script>function remove() { fetch("/api/projects/1", {method: "DELETE"}).then(() => { ask.close(); one.remove(); }); }</script>"#;

fn present() -> io::Result<Fixture> {
    site(vec![("/", html(&PAGE.replace("WAY", "ask.showModal()")))])
}

// The common mistake: it is asked for, and the request is on its way already.
fn absent() -> io::Result<Fixture> {
    site(vec![("/", html(&PAGE.replace("WAY", "remove(); ask.showModal()")))])
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        page.before_scripts("window.open = () => null;").await?;
        let found = controls(visit, &page).await?;
        if found.is_empty() {
            let pages = visit.pages.len();
            return not_tried(format!(
                "no control on {pages} pages is named for deleting: name a page that has one, and that opens without a \
                 sign-in, in [check] paths"
            ));
        }
        let mut asked = Vec::new();
        for (path, name) in &found {
            asked.push(press(visit, &page, path, name, cases).await?);
            if cases.is_broken() {
                return Err(Stop::Here);
            }
        }
        Ok(format!(
            "{} controls that delete were pressed: nothing was sent before the confirmation, and nothing after cancelling ({})",
            found.len(),
            asked.join("; ")
        ))
    })
}

/// Nothing that could change anything gets out, whatever its method.
fn guarded(asked: &Asked) -> Then {
    let path = asked.url.split("://").nth(1).and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
    let reads = matches!(asked.method.as_str(), "GET" | "HEAD" | "OPTIONS");
    match (reads, asked.kind.as_str()) {
        (true, "Document" | "XHR" | "Fetch") if crate::routes::changes_something(path) => Then::json(200, "{}"),
        (true, _) => Then::Pass,
        (false, "Document") => Then::Answer {
            status: 200,
            headers: vec![("content-type".into(), "text/html".into())],
            body: "<!doctype html><p>kept from the server by seaworthy-check".into(),
        },
        (false, _) => Then::json(200, "{}"),
    }
}

/// Requests that delete, or may.
fn deleting(observed: &Observed) -> Vec<&Request> {
    let changes = |one: &&Request| {
        let path = one.url.split("://").nth(1).and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
        let calls = matches!(one.kind.as_str(), "XHR" | "Fetch" | "Document" | "Ping");
        calls
            && (one.changes_something() && !words::is_aside(&one.url)
                || one.ours && crate::routes::changes_something(path))
    };
    observed.requests.iter().filter(changes).collect()
}

/// Pages and names of controls that delete, each name once.
async fn controls(visit: &Visit<'_>, page: &Page) -> Result<Vec<(String, String)>, Stop> {
    let mut found: Vec<(String, String)> = Vec::new();
    page.intercept(guarded).await?;
    for path in &visit.pages {
        visit.open(page, path).await?;
        for control in page.controls().await?.into_iter().filter(deletes) {
            // One of each kind: a list has as many of them as rows.
            let kind = |name: &str| name.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
            if found.len() < CONTROLS && !found.iter().any(|(_, known)| kind(known) == kind(&control.name)) {
                found.push((path.clone(), control.name));
            }
        }
    }
    Ok(found)
}

fn deletes(control: &Control) -> bool {
    matches!(control.role.as_str(), "button" | "link" | "menuitem")
        && !control.disabled
        && words::deletes(&control.name)
}

/// Presses one, cancels what comes, and confirms it the second time.
async fn press(visit: &Visit<'_>, page: &Page, path: &str, name: &str, cases: &mut Cases) -> Result<String, Stop> {
    cases.plan_more(2);
    let at = format!("\"{}\" on {path}", shortened(name, 40));
    page.accept_dialogs(false);
    let before = visit.open(page, path).await?;
    let Some(()) = press_named(page, name).await? else {
        cases.told_nothing(format!("{at} could not be pressed"));
        return Ok(String::new());
    };
    let observed = page.observed();
    let new = deleting(&observed)
        .into_iter()
        .map(|one| format!("{} {}", one.method, shortened(&one.url, 70)))
        .collect::<Vec<_>>();
    let known = deleting(&before.observed).len();
    if new.len() > known {
        cases.tried(false, format!("{at} sends {} at once", new[known]));
        return Ok(String::new());
    }
    let seen = page.seen().await?;
    if let Some(dialog) = observed.dialogs.iter().find(|dialog| dialog.kind == "confirm" || dialog.kind == "prompt") {
        cases.tried(true, format!("{at} asks \"{}\"", shortened(&dialog.text, 60)));
        cases.tried(true, "denied, it sends nothing");
        confirmed(visit, page, path, name, cases).await?;
        return Ok(format!("{at} asks"));
    }
    let shown = dialog(page, &before, &seen).await?;
    let Some((cancel, confirm)) = shown else {
        let moved = page.address().await? != visit.address(path);
        let why = if moved {
            "leads to another page, which was not followed further"
        } else {
            "shows no confirmation and sends nothing"
        };
        cases.told_nothing(format!("{at} {why}"));
        return Ok(String::new());
    };
    cases.tried(true, format!("{at} opens a confirmation"));
    match cancel {
        Some(cancel) => page.press(&cancel).await?,
        None => page.press_key("Escape").await?,
    }
    page.settle(AFTER_A_PRESS).await;
    let sent = deleting(&page.observed()).len();
    cases.tried(
        sent <= known,
        format!("{at}: cancelling sends {} requests that change something", sent.saturating_sub(known)),
    );
    if let Some(confirm) = confirm.filter(|_| sent <= known) {
        visit.open(page, path).await?;
        press_named(page, name).await?;
        press_named(page, &confirm.name).await?;
        has_effect(page, &before.seen, &at, cases).await?;
    } else {
        cases.told_nothing(format!("{at}: nothing in its confirmation says that it is one"));
    }
    Ok(format!("{at} opens a confirmation"))
}

/// The second time it is confirmed: then something must come of it, or the control was no such thing.
async fn confirmed(visit: &Visit<'_>, page: &Page, path: &str, name: &str, cases: &mut Cases) -> Result<(), Stop> {
    page.accept_dialogs(true);
    let before = visit.open(page, path).await?;
    press_named(page, name).await?;
    has_effect(page, &before.seen, &format!("\"{}\" on {path}", shortened(name, 40)), cases).await
}

async fn has_effect(page: &Page, before: &Seen, at: &str, cases: &mut Cases) -> Result<(), Stop> {
    cases.plan_more(1);
    let observed = page.observed();
    let sent = deleting(&observed);
    let gone = page.seen().await?.controls.len() < before.controls.len();
    match sent.last() {
        Some(request) => {
            cases.tried(true, format!("{at}: confirmed, it sends {} (kept from the server)", request.method))
        }
        None if gone => cases.tried(true, format!("{at}: confirmed, it takes something off the page")),
        None => {
            cases.told_nothing(format!("{at}: confirmed, it sends nothing and changes nothing: it may delete nothing"))
        }
    }
    Ok(())
}

/// The controls of a confirmation that has come: the one that cancels, and the one that goes on.
async fn dialog(page: &Page, before: &Opened, seen: &Seen) -> Result<Option<(Option<Control>, Option<Control>)>, Stop> {
    let mut known: Vec<&str> = before.seen.controls.iter().map(String::as_str).collect();
    let all = page.controls().await?;
    let mut new: Vec<Control> = Vec::new();
    let opened = seen.dialogs > before.seen.dialogs;
    for control in all.into_iter().filter(|one| matches!(one.role.as_str(), "button" | "link" | "menuitem")) {
        // Behind a modal dialog nothing else is in the tree: all that is there is its own.
        match known.iter().position(|name| *name == control.name) {
            Some(place) if !opened => drop(known.swap_remove(place)),
            _ => new.push(control),
        }
    }
    let cancel = new.iter().find(|one| words::cancels(&one.name)).cloned();
    let confirm = new.iter().rfind(|one| words::confirms(&one.name) && !words::cancels(&one.name)).cloned();
    let asks = opened || cancel.is_some() && confirm.is_some();
    Ok(asks.then_some((cancel, confirm)))
}

/// Presses the last control of this name, which is the one on top; nothing when there is none or it has no area.
async fn press_named(page: &Page, name: &str) -> Result<Option<()>, Stop> {
    let controls = page.controls().await?;
    let Some(control) = controls.iter().rfind(|one| one.name == name && !one.disabled) else { return Ok(None) };
    let pressed = page.press(control).await.is_ok();
    page.settle(AFTER_A_PRESS).await;
    Ok(pressed.then_some(()))
}
