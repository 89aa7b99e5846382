//! A real browser on small pages: what it tells, what it is told, and that nothing of it is left.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests, and say why they are skipped")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use seaworthy_browser::{Browser, BrowserError, Context, Device, Launch, PACKAGES, Page, Then, find};

const BUDGET: Duration = Duration::from_secs(15);

const PAGE: &str = r#"<!doctype html><title>Known</title><meta name=viewport content="width=device-width">
<style>.hidden{display:none}</style><h1>Known page</h1><p class=hidden>unseen</p>
<div id=shade></div><div role=alert id=told></div>
<button aria-label="Press me" onclick="pressed()"><svg></svg></button><label>Your name <input id=name></label>
<button disabled>Off</button>
<script src="/app.js"></script>"#;

const SCRIPT: &str = r#"console.error("from the console", 7); document.getElementById("shade").attachShadow({mode: "open"}).innerHTML = "<p>in the shade</p>";
function pressed() { document.getElementById("told").textContent = confirm("Sure?") ? "confirmed" : "denied"; }
function neverRun() { return "this is a long text that nobody ever reads, so that it counts as unused code in this file"; }
fetch("/api/data").then(answer => answer.json()).then(data => { document.querySelector("h1").textContent = "Got " + data.name; })
  .catch(error => { document.querySelector("h1").textContent = "Failed"; });
setTimeout(() => { throw new Error("nobody catches this"); }, 1);
if (location.search === "?worker") navigator.serviceWorker.register("/worker.js");
"#;

const WORKER: &str = r#"self.addEventListener("install", event => event.waitUntil(caches.open("1").then(cache => cache.addAll(["/", "/app.js"])).then(() => self.skipWaiting())));
self.addEventListener("activate", event => event.waitUntil(clients.claim()));
self.addEventListener("fetch", event => event.respondWith(caches.match(event.request, {ignoreSearch: true}).then(hit => hit || fetch(event.request))));"#;

/// A server for one test; its thread ends with the test's process.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).unwrap_or(0);
                let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
                let (status, kind, body) = match path.as_str() {
                    "/" => ("200 OK", "text/html", PAGE),
                    "/app.js" => ("200 OK", "text/javascript", SCRIPT),
                    "/worker.js" => ("200 OK", "text/javascript", WORKER),
                    "/api/data" => ("200 OK", "application/json", r#"{"name": "Ann"}"#),
                    _ => ("404 Not Found", "text/plain", "nothing"),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            });
        }
    });
    address
}

/// `None`, with a word, where there is no browser; a failure where everything must be tested.
fn can_be_tested() -> Option<()> {
    if find().is_some() {
        return Some(());
    }
    let must = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
    assert!(!must, "no browser: {PACKAGES}");
    eprintln!("skipped: no browser: {PACKAGES}");
    None
}

async fn page() -> (Arc<Browser>, Context, Page, String) {
    let browser = Browser::share(&Launch::default()).await.unwrap();
    let context = browser.context().await.unwrap();
    let page = context.page().await.unwrap();
    (browser, context, page, serve())
}

#[tokio::test]
async fn a_page_tells_what_it_shows_loads_prints_and_throws() {
    let Some(()) = can_be_tested() else { return };
    let (browser, _context, page, url) = page().await;
    assert!(browser.product().contains("Chrome"), "{}", browser.product());
    page.count_usage().await.unwrap();
    let loaded = page.open(&url, BUDGET).await.unwrap();
    assert_eq!((loaded.status, loaded.complete), (Some(200), true));
    let seen = page.seen().await.unwrap();
    assert!(seen.text().contains("Got Ann") && seen.text().contains("in the shade"), "{seen:?}");
    assert!(!seen.text().contains("unseen") && !seen.is_blank(), "{seen:?}");
    let observed = page.observed();
    let call = observed.requests.iter().find(|one| one.is_call()).unwrap();
    assert_eq!((call.answer.as_ref().unwrap().status, call.size), (200, 15));
    let script = observed.requests.iter().find(|one| one.kind == "Script").unwrap();
    assert!(script.transferred > script.size && script.size == SCRIPT.len() as u64, "{script:?}");
    assert_eq!(page.body(script).await.unwrap(), SCRIPT);
    assert!(observed.console.iter().any(|line| line.level == "error" && line.text == "from the console 7"));
    assert!(observed.errors.iter().any(|error| error.contains("nobody catches this")), "{:?}", observed.errors);
    let usage = page.usage(|address| address.ends_with("/app.js")).await.unwrap();
    assert!(usage.total == SCRIPT.len() as u64 && usage.unused() > 0.1 && usage.unused() < 0.5, "{usage:?}");
    assert_eq!(page.evaluate("Promise.resolve(1 + 1)").await.unwrap(), 2);
    assert!(matches!(page.evaluate("nothing.at.all").await, Err(BrowserError::Script(_))));
    assert!(page.screenshot().await.unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn controls_are_found_by_role_and_name_and_pressed_and_dialogs_are_answered() {
    let Some(()) = can_be_tested() else { return };
    let (_browser, _context, page, url) = page().await;
    page.open(&url, BUDGET).await.unwrap();
    let mut controls = page.controls().await.unwrap();
    controls.sort_by(|one, other| (one.disabled, &one.role).cmp(&(other.disabled, &other.role)));
    let names: Vec<_> = controls.iter().map(|one| (one.role.as_str(), one.name.as_str(), one.disabled)).collect();
    assert_eq!(names, [("button", "Press me", false), ("textbox", "Your name", false), ("button", "Off", true)]);
    for (accepts, outcome) in [(false, "denied"), (true, "confirmed")] {
        page.accept_dialogs(accepts);
        page.press(&controls[0]).await.unwrap();
        let told = page.seen().await.unwrap().texts.into_iter().find(|one| one.told).unwrap();
        assert_eq!(told.text, outcome);
    }
    let dialogs = page.observed().dialogs;
    assert_eq!((dialogs.len(), dialogs[0].kind.as_str(), dialogs[0].text.as_str()), (2, "confirm", "Sure?"));
    page.write(&controls[1], "Ann").await.unwrap();
    assert_eq!(page.evaluate("document.getElementById('name').value").await.unwrap(), "Ann");
    page.press_key("Escape").await.unwrap();
}

#[tokio::test]
async fn requests_are_answered_and_refused_before_they_leave() {
    let Some(()) = can_be_tested() else { return };
    let (_browser, context, page, url) = page().await;
    page.intercept(|asked| if asked.is_call() { Then::json(200, r#"{"name": "Nobody"}"#) } else { Then::Pass })
        .await
        .unwrap();
    page.open(&url, BUDGET).await.unwrap();
    assert!(page.seen().await.unwrap().text().contains("Got Nobody"));
    assert!(page.observed().requests.iter().find(|one| one.is_call()).unwrap().ours);
    page.intercept(|asked| if asked.is_call() { Then::Fail } else { Then::Pass }).await.unwrap();
    page.reload(BUDGET).await.unwrap();
    assert!(page.seen().await.unwrap().text().contains("Failed"));
    page.let_pass().await.unwrap();
    page.reload(BUDGET).await.unwrap();
    assert!(page.seen().await.unwrap().text().contains("Got Ann"));
    page.offline(true).await.unwrap();
    assert!(matches!(page.reload(BUDGET).await, Err(BrowserError::Open { .. })));
    // Another site's answer can be read by this one's script.
    let other = context.page().await.unwrap();
    other.open(&url, BUDGET).await.unwrap();
    other
        .intercept(|asked| if asked.url.contains("elsewhere") { Then::json(503, "{}") } else { Then::Pass })
        .await
        .unwrap();
    let asked = "fetch('http://elsewhere.invalid/x', {method: 'DELETE', headers: {'x-own': '1'}}).then(answer => answer.status)";
    assert_eq!(other.evaluate(asked).await.unwrap(), 503);
}

#[tokio::test]
async fn without_a_network_the_worker_answers_and_what_it_does_not_have_fails() {
    let Some(()) = can_be_tested() else { return };
    let (_browser, context, page, url) = page().await;
    page.use_workers().await.unwrap();
    page.open(&format!("{url}/?worker"), BUDGET).await.unwrap();
    page.evaluate("navigator.serviceWorker.ready.then(() => true)").await.unwrap();
    context.cut_workers(true);
    page.offline(true).await.unwrap();
    page.open(&url, BUDGET).await.unwrap();
    assert!(page.seen().await.unwrap().text().contains("Failed"), "the shell is there, its data is not");
    let document = page.observed().requests.into_iter().find(|one| one.kind == "Document").unwrap();
    assert!(document.answer.unwrap().by_worker);
    let reaches = "fetch('/api/data').then(() => true, () => false)";
    assert_eq!(page.evaluate(reaches).await.unwrap(), false, "the worker has no network either");
    context.cut_workers(false);
    page.offline(false).await.unwrap();
    assert_eq!(page.evaluate(reaches).await.unwrap(), true);
    let another = context.page().await.unwrap();
    another.open(&url, BUDGET).await.unwrap();
    let document = another.observed().requests.into_iter().find(|one| one.kind == "Document").unwrap();
    assert!(!document.answer.unwrap().by_worker, "no worker stands between, unless that was asked for");
}

#[tokio::test]
async fn a_page_is_shown_on_devices() {
    let Some(()) = can_be_tested() else { return };
    let (_browser, _context, page, url) = page().await;
    page.show_on(Device { width: 360, height: 740, touch: true }).await.unwrap();
    page.open(&url, BUDGET).await.unwrap();
    assert_eq!(page.evaluate("[innerWidth, navigator.maxTouchPoints > 0].join()").await.unwrap(), "360,true");
}

#[tokio::test]
async fn nothing_is_left_of_a_browser_and_those_who_wait_learn_of_its_end() {
    let Some(()) = can_be_tested() else { return };
    let browser = Arc::new(Browser::start(Launch::default()).await.unwrap());
    let (group, profile) = browser.traces();
    let profile = profile.unwrap();
    assert!(profile.is_dir() && runs(group));
    let context = browser.context().await.unwrap();
    let page = context.page().await.unwrap();
    drop((page, context));
    drop(browser);
    assert!(!profile.exists(), "{}", profile.display());
    assert!(!runs(group));
}

#[tokio::test]
async fn whoever_kills_us_leaves_nothing_of_the_browser() {
    let Some(()) = can_be_tested() else { return };
    // This test's own program, as another process that starts a browser, tells of it and waits.
    let program = std::env::current_exe().unwrap();
    let mut other = std::process::Command::new(program);
    other.args(["--exact", "starts_a_browser_and_waits", "--nocapture", "--ignored"]);
    let mut other = other.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut output = std::io::BufReader::new(other.stdout.take().unwrap());
    let (group, profile) = loop {
        let mut line = String::new();
        assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0, "it told nothing");
        if let Some((_, rest)) = line.split_once("traces ") {
            let (group, profile) = rest.trim().split_once(' ').unwrap();
            break (group.parse::<i32>().unwrap(), PathBuf::from(profile));
        }
    };
    assert!(runs(group) && profile.exists());
    other.kill().unwrap();
    other.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while (runs(group) || profile.exists()) && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!runs(group) && !profile.exists(), "{group} {}", profile.display());
}

#[tokio::test]
#[ignore = "the other half of another test, as a process of its own"]
async fn starts_a_browser_and_waits() {
    let browser = Browser::start(Launch::default()).await.unwrap();
    let (group, profile) = browser.traces();
    println!("traces {group} {}", profile.unwrap().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn what_is_no_browser_is_said() {
    let start = async |program: &str| {
        let launch = Launch { program: Some(program.into()), ..Launch::default() };
        Browser::start(launch).await.err().unwrap()
    };
    let error = start("/bin/false").await;
    assert!(matches!(error, BrowserError::Silent { .. }) && error.is_missing(), "{error}");
    let error = start("/nowhere/at/all").await;
    assert!(error.is_missing() && error.to_string().contains("/nowhere/at/all"), "{error}");
}

/// Whether a process of this group is alive; one that nobody buried is not.
fn runs(group: i32) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None).is_ok();
    };
    let stats = processes.flatten().filter_map(|one| std::fs::read_to_string(one.path().join("stat")).ok());
    stats.into_iter().any(|stat| {
        let rest: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        rest.first().is_some_and(|state| *state != "Z") && rest.get(2).is_some_and(|of| *of == group.to_string())
    })
}
