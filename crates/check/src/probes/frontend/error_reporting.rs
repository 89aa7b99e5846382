//! `frontend.error-reporting`: an error in somebody's browser reaches those who can mend it, with the release it is from.
//!
//! What the page sends is answered here and reaches nobody: a check must not raise an alarm.

use std::{
    io,
    sync::LazyLock,
    time::{Duration, Instant},
};

use regex::Regex;
use seaworthy_browser::{Asked, Request, Then};

use super::{PageProbe, Stop, html, not_applicable, shortened, site, words};
use crate::{
    browsing::Visit,
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.error-reporting", look, present, absent };

/// What a report says that it is about. No other error has this text.
const MARK: &str = "seaworthy-check-marked-error";
/// A report is sent at once, or when the page is left.
const AT_ONCE: Duration = Duration::from_secs(5);
const WHEN_LEFT: Duration = Duration::from_secs(2);

const REPORTS: &str = r#"<h1>App</h1><script>
const report = error => navigator.sendBeacon("/api/client-errors", JSON.stringify({message: error.message, stack: error.stack, RELEASE}));
addEventListener("error", event => WHAT(event.error));
addEventListener("unhandledrejection", event => WHAT(event.reason));
</script>"#;

fn present() -> io::Result<Fixture> {
    site(vec![("/", html(&REPORTS.replace("WHAT", "report").replace("RELEASE", "release: \"4f2c1aa\"")))])
}

// The common mistake: it is only printed, and nothing ever leaves the visitor's machine.
fn absent() -> io::Result<Fixture> {
    site(vec![("/", html(&REPORTS.replace("WHAT", "console.error").replace("RELEASE", "when: 1")))])
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        let own = visit.address("/");
        page.intercept(move |asked| decide(asked, own.trim_end_matches('/'))).await?;
        let path = &visit.pages[0];
        let opened = visit.open(&page, path).await?;
        if page.evaluate("document.scripts.length").await? == 0 {
            return not_applicable(format!("{path} runs no script: there is no error of a browser to report"));
        }
        let before = opened.observed.requests.len();
        // As if it came from a file of the site: errors of unknown origin are left out by some collectors.
        let thrown = format!(
            "setTimeout(() => {{ throw new Error('{MARK}') }}, 0); setTimeout(() => Promise.reject(new Error('{MARK}-rejected')), 0); 1\n\
             //# sourceURL={}",
            visit.address("/seaworthy-check.js")
        );
        page.evaluate(&thrown).await?;
        let mut report = wait(&page, before, AT_ONCE).await;
        if report.is_none() {
            // Collectors that gather send what they have when somebody leaves.
            let leaving = "dispatchEvent(new Event('pagehide')); Object.defineProperty(document, 'visibilityState', {value: 'hidden'}); \
                           document.dispatchEvent(new Event('visibilitychange')); 1";
            page.evaluate(leaving).await?;
            report = wait(&page, before, WHEN_LEFT).await;
        }
        cases.plan_more(1);
        let Some(report) = report else {
            let sent = page.observed().requests.len().saturating_sub(before);
            cases.tried(
                false,
                format!("{path}: an uncaught error is reported to nobody ({sent} requests after it, none with it)"),
            );
            return Err(Stop::Here);
        };
        let place = shortened(report.url.split('?').next().unwrap_or_default(), 80);
        cases.tried(true, format!("reported to {place}"));
        let body = report.body.clone().unwrap_or_default();
        if !body.contains(MARK) {
            cases.plan_more(1);
            cases.told_nothing(format!("something was sent to {place} after the error, in a form that cannot be read: whether it names the release is not seen"));
            return Err(Stop::Here);
        }
        cases.plan_more(1);
        let release = RELEASE.captures(&body).and_then(|found| found.get(1)).map(|found| found.as_str().to_owned());
        cases.tried(
            release.is_some(),
            format!("the report to {place} names {}", release.as_deref().unwrap_or("no release")),
        );
        Ok(format!(
            "an error thrown on {path} is sent to {place} with release {}; that its frames are mapped to the source is for those \
             who receive it to see",
            release.unwrap_or_default()
        ))
    })
}

/// Pages and data come as always; whatever carries something away is answered here.
fn decide(asked: &Asked, own: &str) -> Then {
    let reads = matches!(asked.method.as_str(), "GET" | "HEAD");
    let marked = asked.url.contains(MARK);
    if asked.method == "OPTIONS" && asked.url.starts_with(own) {
        return Then::Pass;
    }
    if reads && !marked { Then::Pass } else { Then::json(200, "{}") }
}

async fn wait(page: &seaworthy_browser::Page, before: usize, patience: Duration) -> Option<Request> {
    let started = Instant::now();
    loop {
        let requests = page.observed().requests;
        let new = requests.get(before..).unwrap_or_default();
        let carries =
            |one: &&Request| one.url.contains(MARK) || one.body.as_ref().is_some_and(|body| body.contains(MARK));
        // Packed bodies cannot be read: then it must at least go to where errors are sent.
        let packed =
            |one: &&Request| one.changes_something() && words::is_reporter(&one.url) && !is_text(one.body.as_deref());
        if let Some(found) = new.iter().find(carries).or_else(|| new.iter().find(packed)) {
            return Some(found.clone());
        }
        if started.elapsed() > patience {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_text(body: Option<&str>) -> bool {
    body.is_some_and(|body| !body.is_empty() && !body.contains('\u{fffd}'))
}

/// What collectors call a release, with a value.
static RELEASE: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(
        r#"(?i)"(?:release|release_?id|version|app_?version|service[._]version|code_?version|build(?:_?id)?|commit|revision|git_?sha)"\s*:\s*"([^"]{1,80})""#,
    )
    .expect("the pattern is valid")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_many_names_and_never_none() {
        let named = |body: &str| RELEASE.captures(body).is_some();
        assert!(
            named(r#"{"release":"app@1.2.3"}"#)
                && named(r#"{"codeVersion": "4f2c"}"#)
                && named(r#"{"service.version":"2"}"#)
        );
        assert!(!named(r#"{"release":null}"#) && !named(r#"{"release":""}"#) && !named(r#"{"message":"release"}"#));
    }
}
