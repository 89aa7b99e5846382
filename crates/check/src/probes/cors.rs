//! `edge.cors`: pages of other sites may read answers only when their origin is on the list.
//!
//! What a browser would act on is tried: the answers to a plain call and to a preflight (Fetch standard, CORS protocol), for
//! origins that a careless comparison lets through.

use std::{io, time::Duration};

use http::{HeaderValue, Method, header};
use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client, HttpError},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct Cors;

/// So many routes are asked, beside the start page and a page that is not there.
const ROUTES: usize = 6;
const PATIENCE: Duration = Duration::from_secs(5);
const KNOWN: &str = "https://app.example.com";

impl Probe for Cors {
    fn about(&self) -> About {
        About { control: "edge.cors".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            with_list(fixture::public(|request| {
                let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
                let allowed = [("access-control-allow-origin", KNOWN), ("vary", "origin")];
                reply(200, if origin == Some(KNOWN) { &allowed } else { &allowed[1..] }, "{}")
            }))
        })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            // The common mistake: whoever asks is echoed, and so is whoever only ends alike.
            with_list(fixture::public(|request| {
                let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
                let echoed = origin.filter(|origin| origin.contains("app.example.com"));
                let allowed = [("access-control-allow-origin", echoed.unwrap_or_default())];
                reply(200, if echoed.is_some() { &allowed } else { &[] }, "{}")
            }))
        })
    }
}

fn with_list(fixture: io::Result<Fixture>) -> io::Result<Fixture> {
    let mut fixture = fixture?;
    fixture.subject.hints.cors_origins = vec![KNOWN.to_owned()];
    Ok(fixture)
}

/// Origins that must get nothing: somebody else's, no origin at all, names that only look alike, another scheme, a machine
/// of a developer.
fn hostile(listed: &[String], host: Option<&str>) -> Vec<String> {
    let mut hostile = vec!["https://evil.example".to_owned(), "null".to_owned(), "http://localhost:3000".to_owned()];
    let own = host.map(|host| format!("https://{host}"));
    for origin in listed.iter().chain(&own) {
        let Some((scheme, host)) = origin.split_once("://") else { continue };
        hostile.push(format!("{scheme}://{host}.evil.example"));
        hostile.push(format!("{scheme}://evil-{host}"));
        if scheme == "https" {
            hostile.push(format!("http://{host}"));
        }
    }
    hostile.retain(|origin| !listed.contains(origin) || origin.contains("//localhost"));
    hostile.dedup();
    hostile
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let client = client.patience(PATIENCE);
    let sample = subject.sample(ROUTES).await;
    let mut paths = vec!["/", "/seaworthy-check/no-such-page"];
    paths.extend(sample.paths().filter(|path| *path != "/"));
    let listed = &subject.hints.cors_origins;
    let hostile = hostile(listed, client.address().host());
    let mut cases = Cases::plan(paths.len() * (hostile.len() + 1) + listed.len() * 2);
    let mut telling = false;
    for path in &paths {
        for origin in &hostile {
            telling |= refused(&mut cases, origin, path, &client, false).await;
        }
        // A preflight of one that must not pass; which one makes no difference to whoever compares.
        refused(&mut cases, &hostile[0], path, &client, true).await;
    }
    // Whoever is turned away at the door sees nothing of what the app says behind it.
    if !telling {
        cases.told_nothing("every answer is a refusal (401, 403, 429 or 5xx): what the app says of CORS is behind it");
    }
    for origin in listed {
        for preflight in [false, true] {
            echoed(&mut cases, origin, &client, preflight).await;
        }
    }
    let echo = match listed.len() {
        0 => "no origin is on a list".to_owned(),
        some => format!("{some} listed origins are echoed exactly"),
    };
    cases.sighting(format!(
        "{} other origins on {} paths, called and asked for: none may read; {echo}; {sample}",
        hostile.len(),
        paths.len()
    ))
}

/// Whether the answer is one that the app gives to whoever it lets in.
async fn refused(cases: &mut Cases, origin: &str, path: &str, client: &Client, preflight: bool) -> bool {
    let what = what(origin, path, preflight);
    match ask(client, origin, path, preflight).await {
        Ok(answer) => {
            judge(cases, &what, origin, &answer);
            !matches!(answer.status.as_u16(), 401 | 403 | 429 | 500..)
        }
        Err(error) => {
            cases.told_nothing(error.to_string());
            false
        }
    }
}

fn judge(cases: &mut Cases, what: &str, origin: &str, answer: &Answer) {
    match answer.header("access-control-allow-origin") {
        None => cases.tried(true, format!("{what}: nothing is allowed")),
        // Naming another origin than the one that asks allows nobody.
        Some(other) if other != "*" && other != origin => {
            cases.tried(true, format!("{what}: only {other} is allowed"));
        }
        Some(allowed) => {
            let credentials = match answer.header("access-control-allow-credentials") {
                Some("true") => ", with the user's cookies",
                _ => "",
            };
            cases.tried(false, format!("{what} → Access-Control-Allow-Origin: {allowed}{credentials}"));
        }
    }
}

async fn echoed(cases: &mut Cases, origin: &str, client: &Client, preflight: bool) {
    let what = what(origin, "/", preflight);
    match ask(client, origin, "/", preflight).await {
        Ok(answer) => {
            let allowed = answer.header("access-control-allow-origin");
            let seen =
                allowed.map_or_else(|| "nothing is allowed".to_owned(), |allowed| format!("{allowed} is allowed"));
            cases.tried(allowed == Some(origin), format!("{what}: {seen}, and the origin is on the list"));
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
}

fn what(origin: &str, path: &str, preflight: bool) -> String {
    format!("{} {path} with Origin: {origin}", if preflight { "preflight of" } else { "GET" })
}

async fn ask(client: &Client, origin: &str, path: &str, preflight: bool) -> Result<Answer, HttpError> {
    let mut request = client.request(if preflight { Method::OPTIONS } else { Method::GET }, path);
    if let Ok(origin) = HeaderValue::from_str(origin) {
        request.headers_mut().insert(header::ORIGIN, origin);
    }
    if preflight {
        request.headers_mut().insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
    }
    client.send(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_looks_like_a_listed_origin_is_tried() {
        let all = hostile(&["https://a.test:8443".to_owned(), "http://localhost:3000".to_owned()], Some("b.test"));
        for one in [
            "null",
            "https://a.test:8443.evil.example",
            "https://evil-a.test:8443",
            "http://a.test:8443",
            "https://b.test.evil.example",
            "http://localhost:3000",
        ] {
            assert!(all.iter().any(|other| other == one), "{one}: {all:?}");
        }
        assert!(!all.contains(&"https://a.test:8443".to_owned()));
    }

    #[tokio::test]
    async fn a_closed_door_tells_nothing_of_what_is_behind_it() {
        let fixture = fixture::public(|_| reply(401, &[], "who are you?")).unwrap();
        let seen = look(&fixture.subject).await;
        assert!(matches!(seen.outcome, crate::probe::Outcome::Unclear(_)), "{seen:?}");
    }

    #[tokio::test]
    async fn a_star_is_nobodys_list() {
        let fixture = fixture::public(|_| reply(200, &[("access-control-allow-origin", "*")], "{}")).unwrap();
        let seen = look(&fixture.subject).await;
        assert!(
            matches!(&seen.outcome, crate::probe::Outcome::Broken(why) if why.ends_with("Allow-Origin: *")),
            "{seen:?}"
        );
    }
}
