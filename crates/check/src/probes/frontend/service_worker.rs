//! `frontend.service-worker`: without a network the page's shell still opens, and a new release is noticed.

use std::{io, time::Duration};

use serde_json::Value;

use super::{PageProbe, Stop, html, shortened, site};
use crate::{
    browsing::{OPENING, Visit},
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.service-worker", look, present, absent };

/// A worker's own script may be kept for a day at most, as the browser sees to; longer than an hour delays every release.
const LONGEST: u64 = 3600;
/// Part of the page's text that must be there without a network.
const SHELL: f64 = 0.2;

const PAGE: &str =
    "<h1>The shell</h1><p>What is always here.</p><script>navigator.serviceWorker.register('/sw.js')</script>";

fn present() -> io::Result<Fixture> {
    worker("caches.match(event.request).then(hit => hit || fetch(event.request))")
}

// The common mistake: registered, and everything still comes from the network.
fn absent() -> io::Result<Fixture> {
    worker("fetch(event.request)")
}

fn worker(answer: &str) -> io::Result<Fixture> {
    let script = format!(
        "self.addEventListener('install', event => event.waitUntil(caches.open('1').then(all => all.add('/')).then(() => self.skipWaiting())));\
         self.addEventListener('activate', event => event.waitUntil(clients.claim()));\
         self.addEventListener('fetch', event => event.respondWith({answer}));"
    );
    site(vec![("/", html(PAGE)), ("/sw.js", script)])
}

/// What the page knows of its worker, when there is one that is ready.
const REGISTRATION: &str = "Promise.race([navigator.serviceWorker ? navigator.serviceWorker.ready : new Promise(() => {}), \
    new Promise(done => setTimeout(done, PATIENCE))]).then(one => one && one.active && ({script: one.active.scriptURL, \
    updates: one.updateViaCache, controls: !!navigator.serviceWorker.controller}))";

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        page.use_workers().await?;
        let path = &visit.pages[0];
        let opened = visit.open(&page, path).await?;
        cases.plan_more(1);
        if page.evaluate("window.isSecureContext").await? != true {
            cases.tried(false, format!("{path} comes without TLS: a browser registers no service worker there"));
            return Err(Stop::Here);
        }
        // Some register long after the page has loaded.
        let known = page.evaluate("navigator.serviceWorker.getRegistrations().then(all => all.length)").await?;
        let code = opened.observed.requests.iter().any(|one| one.url.contains("workbox"));
        let patience = if known != 0 || code { "6000" } else { "2500" };
        let registration = page.evaluate(&REGISTRATION.replace("PATIENCE", patience)).await?;
        let Some(script) = registration["script"].as_str() else {
            cases.tried(false, format!("{path} registers no service worker"));
            return Err(Stop::Here);
        };
        cases.tried(true, format!("{path} registers {script}"));
        freshness(visit, script, &registration, cases).await;
        // Once more with a network: what is asked for when the page is under the worker's control is kept as well.
        page.reload(OPENING).await?;
        let before = page.seen().await?;
        visit.context.cut_workers(true);
        page.offline(true).await?;
        if !is_cut(&page).await? {
            cases.plan_more(1);
            return Err(Stop::Instead(seaworthy_repository::Sighting::unclear(
                "the network could not be cut for its service worker",
            )));
        }
        cases.plan_more(1);
        let again = page.reload(OPENING).await;
        page.settle(Duration::from_secs(2)).await;
        let after = page.seen().await?;
        let at = format!("{path} without a network");
        let (length, kept) = (
            before.text().len(),
            after.texts.iter().filter(|one| before.texts.contains(one)).map(|one| one.text.len()).sum::<usize>(),
        );
        match again {
            Err(_) => cases.tried(false, format!("{at} does not open, though a service worker is registered")),
            Ok(_) if after.is_blank() => cases.tried(false, format!("{at} is blank")),
            // The browser's own page for it is none of the app's.
            Ok(_) if after.text().contains("ERR_INTERNET_DISCONNECTED") => {
                cases.tried(false, format!("{at} shows the browser's own error"))
            }
            Ok(_) => {
                let own =
                    page.observed().requests.iter().any(|one| {
                        one.kind == "Document" && one.answer.as_ref().is_some_and(|answer| answer.by_worker)
                    });
                let shell = kept as f64 >= SHELL * length as f64 || super::words::tells_of_trouble(&after.text());
                cases.tried(own && shell, format!("{at} shows \"{}\"", shortened(&after.text(), 60)));
            }
        }
        Ok(format!(
            "{script} is registered and kept no longer than a release may take; {at} its shell opens with {kept} of {length} letters"
        ))
    })
}

/// A new release is noticed when the worker's script is asked for again.
async fn freshness(visit: &Visit<'_>, script: &str, registration: &Value, cases: &mut Cases) {
    let (Some(client), Some(path)) = (visit.subject.client(), script.strip_prefix(visit.address("").as_str())) else {
        return;
    };
    let Ok(answer) = client.get(path).await else { return };
    let control = answer.header("cache-control").unwrap_or_default().to_lowercase();
    let age =
        control.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.trim_matches('"').parse::<u64>().ok());
    let kept = age.filter(|age| *age > LONGEST && registration["updates"] == "all");
    cases.plan_more(1);
    cases.tried(
        kept.is_none(),
        format!(
            "{path} is taken from the cache for {} s, so that a new release is not noticed",
            kept.unwrap_or_default()
        ),
    );
}

/// Whether nothing gets out any more, through the worker or beside it.
async fn is_cut(page: &seaworthy_browser::Page) -> Result<bool, Stop> {
    let reaches = "fetch('/seaworthy-check/' + Math.random() + '?not-cached', {cache: 'no-store', headers: {accept: 'application/x-nothing'}})\
        .then(answer => answer.headers.get('date') !== null && Math.abs(Date.now() - Date.parse(answer.headers.get('date'))) < 5000, () => false)";
    // A worker that answers everything from its store answers this as well, with an old date.
    Ok(page.evaluate(reaches).await? != true)
}
