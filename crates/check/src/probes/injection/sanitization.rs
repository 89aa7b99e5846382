//! `protection.input-sanitization`: text that users send comes back as text, and no markup in it ever runs.
//!
//! A canary (markup that calls a function) is put into the values of addresses, and, where the team says that it may be, is
//! written as a user would write it (`[check] canary`). The pages that show it are opened in a browser: the function must not
//! be called, and the canary must not stand there as elements either, for a policy that stops them is only the second line.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use seaworthy_browser::BrowserError;
use seaworthy_evidence::{ProbeKind, SafetyClass};

use super::{decoded, encoded};
use crate::{
    allowed::Canary,
    browsing::Visit,
    fixture::{self, ServerOptions, reply},
    http::{Answer, Client, full},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(in crate::probes) struct InputSanitization;

/// So many values of addresses are tried.
const VALUES: usize = 12;
const NAME_IT: &str = "what users store is not tried: say where a marked text may be written, [check] canary = { post = \
     \"/comments\", body = '{\"text\": \"{canary}\"}', pages = [\"/comments\"] }";

impl Probe for InputSanitization {
    fn about(&self) -> About {
        About { control: "protection.input-sanitization".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn costly(&self) -> bool {
        // It needs a browser.
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { comments(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: the template is told that the text is safe.
        Box::pin(async { comments(false) })
    }
}

/// A page of comments that anybody may write; `encodes`: it shows them as text.
fn comments(encodes: bool) -> io::Result<Fixture> {
    let kept: Arc<Mutex<Vec<String>>> = Arc::default();
    let page = |text: &str| {
        reply(200, &[("content-type", "text/html")], format!("<!doctype html><title>a</title><p>{text}</p>"))
    };
    let answering: fixture::Answering = Arc::new(move |request| {
        let kept = kept.clone();
        Box::pin(async move {
            match (request.method().as_str(), request.uri().path()) {
                ("POST", "/comments") => {
                    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    let text = decoded(String::from_utf8_lossy(&body).trim_start_matches("text="));
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                    reply(303, &[("location", "/comments")], "")
                }
                (_, "/comments") => {
                    let all = kept.lock().unwrap_or_else(PoisonError::into_inner).join("</p><p>");
                    page(&if encodes { html_encoded(&all) } else { all })
                }
                (_, "/") => page("<a href=/comments>comments</a>"),
                _ => reply(404, &[], ""),
            }
        })
    });
    let server = fixture::Server::start(answering, ServerOptions::default())?;
    let mut subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    subject.hints.canary =
        Some(Canary { post: "/comments".into(), body: "text={canary}".into(), pages: vec!["/comments".into()] });
    Ok(Fixture { subject, _keep: vec![Box::new(server)] })
}

fn html_encoded(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Markup that can be told from all other.
struct Marked {
    token: String,
    text: String,
}

impl Marked {
    fn new() -> Self {
        let token = format!("sw{:016x}", fastrand::u64(..));
        let call = format!("window.seaworthyRan='{token}'");
        let text = format!(
            "{token}\"'><img src=\"data:,\" onerror=\"{call}\"><svg onload=\"{call}\"></svg><script>{call}</script>"
        );
        Self { token, text }
    }

    /// Whether it ran, whether it stands in the page as elements, and whether it is there at all.
    fn question(&self) -> String {
        let token = &self.token;
        format!(
            "[window.seaworthyRan === '{token}', !!document.querySelector('[onerror*=\"{token}\"],[onload*=\"{token}\"]'), \
             document.documentElement.outerHTML.includes('{token}')]"
        )
    }
}

async fn look(subject: &Subject) -> Sighting {
    let visit = match subject.visit().await {
        Ok(visit) => visit,
        Err(sighting) => return sighting,
    };
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let mut cases = Cases::plan(0);
    let shown = match reflected(&visit, &client, &mut cases).await {
        Ok(shown) => shown,
        Err(error) => return cases.gave_up(error.to_string()),
    };
    let Some(canary) = &subject.hints.canary else {
        return match cases.is_broken() {
            true => cases.sighting(""),
            false => Sighting::not_tried(format!("{shown} values of addresses are shown as text; {NAME_IT}")),
        };
    };
    if cases.is_broken() {
        return cases.sighting("");
    }
    match stored(&visit, &client, canary, &mut cases).await {
        Ok(()) => cases.sighting(format!(
            "markup written to {} stands on {} pages as text, and its function was not called; so do {shown} values of addresses",
            canary.post,
            canary.pages.len()
        )),
        Err(error) => cases.gave_up(error.to_string()),
    }
}

/// Values of addresses that pages repeat: how many were shown as text.
async fn reflected(visit: &Visit<'_>, client: &Client, cases: &mut Cases) -> Result<usize, BrowserError> {
    let mut shown = 0;
    for parameter in visit.subject.parameters().await.all.iter().take(VALUES) {
        let marked = Marked::new();
        let path = parameter.with(&marked.text);
        let Ok(answer) = client.get(&path).await else { continue };
        if !is_html(&answer) || !answer.text().contains(&marked.token) {
            continue;
        }
        cases.plan_more(1);
        let (wrong, _) = opened(visit, &path, &marked).await?;
        shown += usize::from(wrong.is_none());
        cases.tried(wrong.is_none(), format!("GET {}: {}", parameter.title, wrong.unwrap_or("shown as text")));
    }
    Ok(shown)
}

fn is_html(answer: &Answer) -> bool {
    answer.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("html"))
}

/// What is written is read back on each page that shows it.
async fn stored(visit: &Visit<'_>, client: &Client, canary: &Canary, cases: &mut Cases) -> Result<(), BrowserError> {
    let marked = Marked::new();
    cases.plan_more(canary.pages.len());
    if let Err(why) = write(client, canary, &marked.text).await {
        cases.told_nothing(why);
        return Ok(());
    }
    for page in &canary.pages {
        let (wrong, there) = opened(visit, page, &marked).await?;
        match (wrong, there) {
            (Some(wrong), _) => cases.tried(false, format!("{page}: what was written to {} {wrong}", canary.post)),
            (None, true) => cases.tried(true, format!("{page} shows it as text")),
            (None, false) => cases.told_nothing(format!("{page} does not show what was written to {}", canary.post)),
        }
    }
    Ok(())
}

/// Writes this text as the team says that it may be.
pub(in crate::probes) async fn write(client: &Client, canary: &Canary, text: &str) -> Result<(), String> {
    let json = canary.body.trim_start().starts_with(['{', '[']);
    let (text, kind) = match json {
        true => {
            let quoted = serde_json::to_string(text).unwrap_or_default();
            (quoted.trim_matches('"').to_owned(), "application/json")
        }
        false => (encoded(text), "application/x-www-form-urlencoded"),
    };
    let mut request = client.request(Method::POST, &canary.post);
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    *request.body_mut() = full(canary.body.replace("{canary}", &text));
    match client.send(request).await {
        Ok(answer) if answer.status.is_success() || answer.status.is_redirection() => Ok(()),
        Ok(answer) => Err(format!(
            "POST {} answers {}: what it does not take, it does not show",
            canary.post,
            answer.status.as_u16()
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// What is wrong with a page that may show the canary, and whether it does.
async fn opened(visit: &Visit<'_>, path: &str, marked: &Marked) -> Result<(Option<&'static str>, bool), BrowserError> {
    let page = visit.page().await?;
    visit.open(&page, path).await?;
    let seen = page.evaluate(&marked.question()).await?;
    let says = |place: usize| seen[place].as_bool().unwrap_or_default();
    let wrong = match (says(0), says(1)) {
        (true, _) => Some("runs as a script"),
        (false, true) => Some("stands there as markup, and only a policy keeps it from running"),
        (false, false) => None,
    };
    Ok((wrong, says(2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    fn no_browser() -> bool {
        if seaworthy_browser::find().is_some() {
            return false;
        }
        let must = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
        assert!(!must, "chromium is missing: install the Debian package chromium");
        true
    }

    fn search(encodes: bool, policy: &'static str) -> Fixture {
        let mut site = fixture::public(move |request| {
            let asked = decoded(request.uri().query().unwrap_or_default().trim_start_matches("q="));
            let asked = if encodes { html_encoded(&asked) } else { asked };
            let headers = [("content-type", "text/html"), ("content-security-policy", policy)];
            reply(200, &headers, format!("<!doctype html><title>a</title><p>You asked for {asked}</p>"))
        })
        .unwrap();
        site.subject.hints.paths = vec!["/search?q=tea".into()];
        site
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn values_of_addresses_are_tried_without_writing_and_are_no_pass_alone() {
        if no_browser() {
            return;
        }
        let runs = look(&search(false, "img-src *").subject).await;
        assert!(matches!(&runs.outcome, Outcome::Broken(why) if why.contains("runs as a script")), "{runs:?}");
        let stopped = look(&search(false, "default-src 'none'").subject).await;
        assert!(matches!(&stopped.outcome, Outcome::Broken(why) if why.contains("only a policy")), "{stopped:?}");
        let text = look(&search(true, "img-src *").subject).await;
        assert!(
            matches!(&text.outcome, Outcome::NotTried(why) if why.starts_with("1 values") && why.contains("canary")),
            "{text:?}"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_not_shown_is_no_pass() {
        if no_browser() {
            return;
        }
        let mut site = comments(true).unwrap();
        site.subject.hints.canary.as_mut().unwrap().pages = vec!["/".into()];
        let seen = look(&site.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Unclear(why) if why.contains("does not show")), "{seen:?}");
        site.subject.hints.canary.as_mut().unwrap().post = "/nowhere".into();
        let seen = look(&site.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Unclear(why) if why.contains("answers 404")), "{seen:?}");
    }
}
