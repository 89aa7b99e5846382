//! `edge.api-status-codes`: what a client does wrong is answered 4xx, what the app does wrong 5xx, and neither 200.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use http::{HeaderValue, Method, StatusCode, header};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client, full},
    probe::{About, Cases, Probe, Sighting, Working},
    routes::{Origin, Route},
    subject::{Fixture, Hints, Subject},
};

pub(super) struct StatusCodes;

/// So many operations are tried for each kind of mistake.
const SAMPLE: usize = 10;
/// So many routes are asked with a method that they do not know.
const ROUTES: usize = 20;
/// Asks for properties and changes nothing, wherever somebody should implement it (RFC 4918, 9.1).
const UNUSUAL: &str = "PROPFIND";

const NOT_FOUND: &[u16] = &[404, 410, 401, 403];
const NO_METHOD: &[u16] = &[405, 501, 404, 400, 401, 403];
const BAD_INPUT: &[u16] = &[400, 422, 415, 404, 401, 403];
const NO_ENTRY: &[u16] = &[401, 403];

/// A mistake, and the answers that tell of it.
pub(super) struct Trigger {
    pub what: &'static str,
    pub method: Method,
    pub path: String,
    body: Option<&'static str>,
    expected: Expected,
}

enum Expected {
    OneOf(&'static [u16]),
    /// Anything that does not blame the app.
    NoServerError,
    /// The app does fail there.
    ServerError,
}

impl Probe for StatusCodes {
    fn about(&self) -> About {
        About { control: "edge.api-status-codes".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { api(true) })
    }

    // The common mistake: input that cannot be read is an unhandled error.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { api(false) })
    }
}

fn api(handles: bool) -> io::Result<Fixture> {
    const DOCUMENT: &str = r#"{"openapi":"3.1.0","paths":{
        "/items":{"get":{},"post":{"requestBody":{"content":{"application/json":{}}}}},
        "/items/{id}":{"get":{"parameters":[{"name":"id","in":"path","schema":{"type":"integer"}}]}},
        "/me":{"get":{"security":[{"bearer":[]}]}}}}"#;
    fixture::public(move |request| {
        let json = [("content-type", "application/json")];
        let status = match (request.method().as_str(), request.uri().path()) {
            ("GET", "/openapi.json") => return reply(200, &json, DOCUMENT),
            ("GET", "/" | "/items" | "/items/1") => return reply(200, &json, "{\"items\":[]}"),
            ("POST", "/items") => {
                if handles {
                    422
                } else {
                    500
                }
            }
            ("GET", "/me") => 401,
            (_, "/" | "/items" | "/items/1" | "/me") => 405,
            _ => 404,
        };
        reply(status, &json, "{\"detail\":\"no\"}")
    })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let sample = subject.sample(ROUTES).await;
    let routes = subject.routes().await;
    let mut triggers = always(subject, sample.routes.iter());
    triggers.extend(from_routes(&routes.all, &subject.hints));
    let source = match routes.described_at {
        Some(place) => format!("described in {place}; {sample}"),
        None => format!("no OpenAPI description was found; {sample}"),
    };
    let mut cases = Cases::plan(triggers.len());
    let mut seen: BTreeMap<&str, (usize, BTreeSet<u16>)> = BTreeMap::new();
    for trigger in &triggers {
        match send(&client, trigger).await {
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                cases.told_nothing(format!("{} {} → 429: the rate limit came first", trigger.method, trigger.path));
            }
            Ok(answer) => {
                let entry = seen.entry(trigger.what).or_default();
                entry.0 += 1;
                entry.1.insert(answer.status.as_u16());
                let wrong = wrong(trigger, &answer);
                let judged = wrong.as_ref().map_or_else(String::new, |why| format!(", {why}"));
                let status = answer.status.as_u16();
                let line = format!("{}: {} {} → {status}{judged}", trigger.what, trigger.method, trigger.path);
                cases.tried(wrong.is_none(), line);
            }
            Err(error) => cases.told_nothing(error),
        }
    }
    let kinds = seen.iter().map(|(what, (count, statuses))| {
        let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
        format!("{what} {count} × {}", statuses.join("/"))
    });
    let kinds: Vec<String> = kinds.collect();
    cases.sighting(format!("{} of {} tries right ({source}): {}", triggers.len(), triggers.len(), kinds.join(", ")))
}

/// What can be tried anywhere.
pub(super) fn always<'a>(subject: &Subject, routes: impl Iterator<Item = &'a Route>) -> Vec<Trigger> {
    let get =
        |what, path: &str, expected| Trigger { what, method: Method::GET, path: path.into(), body: None, expected };
    let hints = &subject.hints;
    let mut triggers = vec![
        get("unknown path", "/seaworthy-check/no-such-page", Expected::OneOf(NOT_FOUND)),
        // A router may first bring the path to another spelling.
        get(
            "unknown path",
            "/seaworthy-check/%ff%fe/..%00",
            Expected::OneOf(&[404, 410, 401, 403, 400, 301, 302, 307, 308]),
        ),
        get("odd query", "/?seaworthy-check=%ff%00&page=minus-one", Expected::NoServerError),
        unusual("/"),
    ];
    let fixed = routes.filter(|route| !route.is_parametric() && route.path != "/");
    triggers.extend(fixed.map(|route| unusual(&route.path)));
    triggers.extend(hints.error_path.iter().map(|path| get("failing path", path, Expected::ServerError)));
    triggers
}

fn unusual(path: &str) -> Trigger {
    let method = Method::from_bytes(UNUSUAL.as_bytes()).unwrap_or(Method::TRACE);
    Trigger { what: "wrong method", method, path: path.into(), body: None, expected: Expected::OneOf(NO_METHOD) }
}

/// What is known of the routes allows to try more: bodies and types only where the app's own description tells of them.
pub(super) fn from_routes(routes: &[Route], hints: &Hints) -> Vec<Trigger> {
    let trigger =
        |what, method, path: &str, body, expected| Trigger { what, method, path: path.into(), body, expected };
    let gets = || routes.iter().filter(|one| one.method == "GET");
    let has_get = |path: &str| gets().any(|one| one.path == path);
    let mut triggers = Vec::new();
    let only_written = routes.iter().filter(|one| one.method != "GET" && !has_get(&one.path));
    let only_written: BTreeSet<&str> = only_written.map(|one| one.path.as_str()).collect();
    for path in only_written.into_iter().take(SAMPLE) {
        triggers.push(trigger("wrong method", Method::GET, path, None, Expected::OneOf(NO_METHOD)));
    }
    for one in routes.iter().filter(|one| one.takes_json && one.method == "POST").take(SAMPLE) {
        // No handler can act on what it cannot read.
        let body = Some("{\"seaworthy-check\": ");
        triggers.push(trigger("malformed JSON", Method::POST, &one.path, body, Expected::OneOf(BAD_INPUT)));
    }
    for path in gets().filter_map(|one| one.misfit.as_ref()).take(SAMPLE) {
        triggers.push(trigger("value of a wrong type", Method::GET, path, None, Expected::OneOf(BAD_INPUT)));
    }
    for one in gets().filter(|one| one.secured).take(SAMPLE) {
        triggers.push(trigger("no credentials", Method::GET, &one.path, None, Expected::OneOf(NO_ENTRY)));
    }
    // A guess may need what nobody told.
    let valid = |one: &&Route| {
        !one.secured
            && !one.is_parametric()
            && !one.needs_query
            && one.origin != Origin::Guess
            && !one.changes_something()
    };
    for one in gets().filter(valid).filter(|one| !hints.fails_on(&one.path)).take(SAMPLE) {
        triggers.push(trigger("valid call", Method::GET, &one.path, None, Expected::NoServerError));
    }
    triggers
}

pub(super) async fn send(client: &Client, trigger: &Trigger) -> Result<Answer, String> {
    let mut request = client.request(trigger.method.clone(), &trigger.path);
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(body) = trigger.body {
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = full(body);
    }
    client.send(request).await.map_err(|error| error.to_string())
}

/// What is wrong with an answer.
fn wrong(trigger: &Trigger, answer: &Answer) -> Option<String> {
    let status = answer.status.as_u16();
    if answer.status.is_success() && tells_an_error(answer) {
        return Some("and the body tells of an error".into());
    }
    match trigger.expected {
        Expected::OneOf(expected) if expected.contains(&status) => None,
        Expected::OneOf(_) if is_webdav(trigger, answer) => None,
        Expected::OneOf(expected) => {
            let listed: Vec<String> = expected.iter().map(u16::to_string).collect();
            Some(format!("where {} is right", listed.join(", ")))
        }
        Expected::NoServerError if answer.status.is_server_error() => Some("though the app is not at fault".into()),
        Expected::ServerError if !answer.status.is_server_error() => Some("though the app fails there".into()),
        Expected::NoServerError | Expected::ServerError => None,
    }
}

/// A WebDAV server does know the method, and answers it as RFC 4918, 13 says.
fn is_webdav(trigger: &Trigger, answer: &Answer) -> bool {
    let of_kind = answer.header("content-type").is_some_and(|kind| kind.contains("xml"));
    trigger.method.as_str() == UNUSUAL && answer.status == StatusCode::MULTI_STATUS && of_kind
}

/// A body that says in words what the status does not.
fn tells_an_error(answer: &Answer) -> bool {
    let Some(body) = answer.json() else { return false };
    let told = |key: &str| match &body[key] {
        serde_json::Value::Null | serde_json::Value::Bool(false) => false,
        serde_json::Value::String(text) => !text.is_empty(),
        serde_json::Value::Object(members) => !members.is_empty(),
        _ => true,
    };
    let says_no = body["success"] == false || body["ok"] == false;
    let error = matches!(body["status"].as_str(), Some("error" | "fail" | "failed"));
    told("error") || says_no || error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    async fn outcome(answer: impl Fn(&str) -> (u16, &'static str) + Send + Sync + 'static) -> Outcome {
        let fixture = fixture::public(move |request| {
            let (status, body) = answer(request.uri().path());
            reply(status, &[], body)
        });
        look(&fixture.unwrap().subject).await.outcome
    }

    #[tokio::test]
    async fn an_error_in_a_200_is_found_whatever_it_is_called() {
        for body in ["{\"error\":\"gone\"}", "{\"success\":false}", "{\"status\":\"error\"}"] {
            let outcome = outcome(move |path| if path == "/" { (200, body) } else { (404, "") }).await;
            assert!(matches!(&outcome, Outcome::Broken(why) if why.contains("tells of an error")), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_front_page_for_every_path_is_no_404() {
        let outcome = outcome(|_| (200, "<html>")).await;
        assert!(matches!(&outcome, Outcome::Broken(why) if why.contains("no-such-page → 200")), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_rate_limit_tells_nothing() {
        let outcome = outcome(|_| (429, "")).await;
        assert!(matches!(&outcome, Outcome::Unclear(why) if why.contains("rate limit")), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_webdav_server_knows_the_method() {
        let dav = |kind: &'static str| {
            fixture::public(move |request| match (request.method().as_str(), request.uri().path()) {
                (UNUSUAL, "/") => reply(207, &[("content-type", kind)], "<multistatus xmlns=\"DAV:\"/>"),
                (_, "/") => reply(200, &[], ""),
                _ => reply(404, &[], ""),
            })
        };
        let server = dav("application/xml; charset=utf-8").unwrap();
        assert_eq!(look(&server.subject).await.outcome, Outcome::Holds);
        let other = dav("text/html").unwrap();
        assert!(matches!(look(&other.subject).await.outcome, Outcome::Broken(why) if why.contains("PROPFIND / → 207")));
    }

    #[test]
    fn each_kind_of_mistake_comes_from_the_description() {
        let route = |method: &str, path: &str| Route {
            takes_json: method == "POST",
            secured: path == "/me",
            ..Route::plain(method, path, Origin::OpenApi)
        };
        let routes = ["GET /me", "POST /a", "GET /b", "GET /fails"].map(|one| {
            let (method, path) = one.split_once(' ').unwrap();
            route(method, path)
        });
        let hints = Hints { error_path: Some("/fails?loudly=1".into()), ..Hints::default() };
        let triggers = from_routes(&routes, &hints);
        let kinds: Vec<&str> = triggers.iter().map(|one| one.what).collect();
        assert_eq!(kinds, ["wrong method", "malformed JSON", "no credentials", "valid call"]);
    }
}
