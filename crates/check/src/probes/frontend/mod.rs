//! Pages in a headless browser: what people see, load and press. One file a control.
//!
//! All of a run share one browser (see [`crate::browsing`]); each look has a context of its own in it.

mod budgets;
mod bundle_analysis;
mod calls;
mod code_splitting;
mod confirm_dialogs;
mod content_security_policy;
mod error_boundaries;
mod error_messages;
mod error_reporting;
mod image_optimization;
mod mobile;
mod prod_build;
mod ratelimit_toast;
mod service_worker;
mod words;

use std::io;

use http::Request;
use hyper::body::Incoming;
use seaworthy_browser::BrowserError;
use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    browsing::{Visit, without_browser},
    fixture::{self, reply},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

/// Every probe that uses the browser.
pub(super) fn all() -> Vec<Box<dyn Probe>> {
    let all = [
        content_security_policy::PROBE,
        prod_build::PROBE,
        bundle_analysis::PROBE,
        code_splitting::PROBE,
        image_optimization::PROBE,
        mobile::PROBE,
        error_boundaries::PROBE,
        error_messages::PROBE,
        ratelimit_toast::PROBE,
        error_reporting::PROBE,
        service_worker::PROBE,
        confirm_dialogs::PROBE,
    ];
    all.into_iter().map(|one| Box::new(one) as Box<dyn Probe>).collect()
}

/// A probe that looks at pages.
struct PageProbe {
    control: &'static str,
    look: for<'a> fn(&'a Visit<'a>, &'a mut Cases) -> Working<'a, Result<String, Stop>>,
    present: fn() -> io::Result<Fixture>,
    absent: fn() -> io::Result<Fixture>,
}

/// A look that ends before its cases are done.
enum Stop {
    /// The browser did not do as it was told.
    Browser(BrowserError),
    /// It comes to something else.
    Instead(Sighting),
    /// The cases so far must do.
    Here,
}

impl From<BrowserError> for Stop {
    fn from(error: BrowserError) -> Self {
        Self::Browser(error)
    }
}

impl Probe for PageProbe {
    fn about(&self) -> About {
        About { control: self.control.into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn costly(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(async move {
            let visit = match subject.visit().await {
                Ok(visit) => visit,
                Err(sighting) => return sighting,
            };
            let mut cases = Cases::default();
            match (self.look)(&visit, &mut cases).await {
                Ok(summary) => cases.sighting(summary),
                Err(Stop::Here) => cases.sighting(""),
                Err(Stop::Instead(sighting)) => sighting,
                Err(Stop::Browser(error)) if error.is_missing() => without_browser(error),
                Err(Stop::Browser(error)) => cases.gave_up(error.to_string()),
            }
        })
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { (self.present)() })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { (self.absent)() })
    }
}

/// Nothing here that the control could apply to.
fn not_applicable<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Instead(Sighting::not_applicable(why)))
}

/// It cannot be told.
fn unclear<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Instead(Sighting::unclear(why)))
}

/// Something must be given.
fn not_tried<T>(what_to_do: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Instead(Sighting::not_tried(what_to_do)))
}

/// A known site of these files.
fn site(files: Vec<(&'static str, String)>) -> io::Result<Fixture> {
    fixture::public(move |request: &Request<Incoming>| {
        let path = request.uri().path();
        let kind = match path.rsplit('.').next().unwrap_or_default() {
            "js" => "text/javascript",
            "css" => "text/css",
            "map" => "application/json",
            "svg" => "image/svg+xml",
            _ if path.starts_with("/api/") => "application/json",
            _ => "text/html; charset=utf-8",
        };
        match files.iter().find(|(name, _)| *name == path) {
            Some((_, text)) => reply(200, &[("content-type", kind)], text.clone()),
            None => reply(404, &[("content-type", "text/html")], "<!doctype html><h1>Not found</h1>"),
        }
    })
}

/// A page with this in its body.
fn html(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width, initial-scale=1\"><title>Known</title><link rel=icon href=\"data:,\"></head>\
         <body>{body}</body></html>"
    )
}

/// The beginning of a text, for a reason.
fn shortened(text: &str, most: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= most { text } else { text.chars().take(most).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use seaworthy_browser::{Browser, Launch};
    use seaworthy_evidence::Verdict;

    use super::*;
    use crate::{probe::Outcome, runner::Runner};

    /// `None`, with a word, where there is no browser; a failure where everything must be tested.
    fn can_be_tested() -> Option<()> {
        if seaworthy_browser::find().is_some() {
            return Some(());
        }
        let must = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
        assert!(!must, "chromium is missing: install the Debian package chromium");
        eprintln!("skipped: chromium is missing, install the Debian package chromium");
        None
    }

    /// A page as apps have them: data, a deletion, two more pages.
    fn small_app() -> io::Result<Fixture> {
        let page = r#"<nav><a href="/a">A</a> <a href="/b">B</a></nav><h1>App</h1><p id=told role=alert></p><main id=list></main>
            <button style="min-height:30px" onclick="confirm('Delete it?') && fetch('/api/items/1', {method: 'DELETE'})">Delete item</button>
            <script>fetch("/api/items").then(answer => answer.ok ? answer.json() : Promise.reject(answer))
              .then(items => { list.textContent = items.map(item => item.name); })
              .catch(error => { console.error(String(error)); told.textContent = "Something went wrong, please try again."; });</script>"#;
        let files = vec![
            ("/", html(page)),
            ("/a", html("<h1>A</h1><a href=\"/\">Home</a>")),
            ("/b", html("<h1>B</h1><a href=\"/\">Home</a>")),
            ("/api/items", r#"[{"name": "One"}]"#.into()),
        ];
        site(files)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_small_app_is_looked_at_by_all_with_one_browser_that_ends_with_them() {
        let Some(()) = can_be_tested() else { return };
        let (all, fixture, started) = (all(), small_app().unwrap(), Instant::now());
        let probes: Vec<&dyn Probe> = all.iter().map(Box::as_ref).collect();
        let runner = Runner::new(Duration::from_secs(90));
        let found = runner.run(&probes, &fixture.subject, |_| {}).await;
        let took = started.elapsed();
        for one in &found {
            println!("{} {:?} in {} ms: {}", one.control, one.verdict, one.took_ms, one.reason);
        }
        println!("{} probes in {took:?}", found.len());
        let verdict = |control: &str| found.iter().find(|one| one.control == control).unwrap().verdict;
        for control in ["frontend.mobile", "frontend.confirm-dialogs", "frontend.error-messages"] {
            assert_eq!(verdict(control), Verdict::Pass, "{control}");
        }
        for control in ["edge.csp", "frontend.service-worker", "frontend.error-reporting", "frontend.ratelimit-toast"] {
            assert_eq!(verdict(control), Verdict::Fail, "{control}");
        }
        assert_eq!(verdict("frontend.image-optimization"), Verdict::NotApplicable);
        let browser = Browser::share(&Launch::default()).await.unwrap();
        let (_, profile) = browser.traces();
        let profile = profile.unwrap();
        assert!(profile.exists());
        drop((fixture, browser));
        assert!(!profile.exists(), "the browser ends with the run");
    }

    /// For those who write a probe: `SEAWORTHY_TEST_ONLY=CONTROL cargo test -p seaworthy-check told_apart -- --ignored --nocapture`.
    /// The four tests in `runner.rs` hold the same for all.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "the tests of the runner do the same for every probe"]
    async fn known_subjects_are_told_apart() {
        let Some(()) = can_be_tested() else { return };
        for probe in all() {
            let only = std::env::var("SEAWORTHY_TEST_ONLY").unwrap_or_default();
            if !probe.control().contains(&only) {
                continue;
            }
            let started = Instant::now();
            let present = probe.present().await.unwrap();
            let seen = probe.look(&present.subject).await;
            println!("{} present in {:?}: {:?} {}", probe.control(), started.elapsed(), seen.outcome, seen.observed);
            let started = Instant::now();
            let absent = probe.absent().await.unwrap();
            let other = probe.look(&absent.subject).await;
            println!("{} absent in {:?}: {:?}", probe.control(), started.elapsed(), other.outcome);
            println!("{:#?}", present.subject.transcript.lines());
            if only.is_empty() {
                assert_eq!(seen.outcome, Outcome::Holds, "{}", probe.control());
                assert!(matches!(other.outcome, Outcome::Broken(_)), "{}: {:?}", probe.control(), other.outcome);
            }
        }
    }

    /// The script of a page with a list, its outcome for `frontend.error-boundaries`.
    async fn boundaries(script: &str) -> Outcome {
        let page = format!("<button>Menu</button><p>Known</p><main id=main></main><script>{script}</script>");
        let files = vec![("/", html(&page)), ("/api/items", r#"[{"name": "One"}]"#.into())];
        let fixture = site(files).unwrap();
        let probe = all().into_iter().find(|one| one.control() == "frontend.error-boundaries").unwrap();
        probe.look(&fixture.subject).await.outcome
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_the_browser_writes_of_a_failed_call_is_no_error_of_the_page() {
        let Some(()) = can_be_tested() else { return };
        let idle = boundaries("fetch('/api/items').then(answer => { main.title = answer.status; })").await;
        assert!(
            matches!(&idle, Outcome::Unclear(why) if why.contains("nothing on 1 pages could be made to throw")),
            "{idle:?}"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_error_that_nobody_is_told_of_is_no_fallback() {
        let Some(()) = can_be_tested() else { return };
        let silent = "fetch('/api/items').then(answer => answer.json()).then(items => { main.textContent = items[0].name.toUpperCase(); })";
        let outcome = boundaries(silent).await;
        assert!(matches!(&outcome, Outcome::Broken(why) if why.contains("nothing on it tells")), "{outcome:?}");
    }

    #[tokio::test]
    async fn what_has_no_pages_is_never_judged() {
        let api = fixture::public(|request| match request.uri().path() {
            "/" => reply(200, &[("content-type", "application/json")], "{}"),
            "/docs" => reply(200, &[("content-type", "text/html")], "<title>Swagger UI</title>"),
            _ => reply(404, &[], ""),
        });
        let api = api.unwrap();
        for probe in all() {
            let seen = probe.look(&api.subject).await.outcome;
            assert!(matches!(seen, Outcome::NotApplicable(_)), "{}: {seen:?}", probe.control());
        }
        let walled = fixture::public(|_| reply(401, &[], "")).unwrap();
        assert!(matches!(all()[0].look(&walled.subject).await.outcome, Outcome::Unclear(_)));
    }
}
