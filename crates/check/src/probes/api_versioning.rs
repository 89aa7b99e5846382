//! `edge.api-versioning`: every operation's path has a version, and is served nowhere without it.

use std::io;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client},
    probe::{About, Cases, Probe, Sighting, Working},
    routes::{Origin, Route},
    subject::{Fixture, Hints, Subject},
};

pub(super) struct ApiVersioning;

/// So many operations are called, with their version and without.
const SAMPLE: usize = 8;
/// No API has come so far.
const NO_SUCH_VERSION: &str = "v987";

impl Probe for ApiVersioning {
    fn about(&self) -> About {
        About { control: "edge.api-versioning".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { api(false) })
    }

    // The common mistake: the old paths were left in beside the versioned ones.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { api(true) })
    }
}

fn api(also_without: bool) -> io::Result<Fixture> {
    const DOCUMENT: &str = r#"{"openapi":"3.1.0","paths":{"/health":{"get":{}},
        "/api/v1/items":{"get":{},"post":{}},"/api/v2/items":{"get":{}},"/api/v1/items/{id}":{"get":{}}}}"#;
    fixture::public(move |request| {
        let json = [("content-type", "application/json")];
        match request.uri().path() {
            "/openapi.json" => reply(200, &json, DOCUMENT),
            "/health" | "/" => reply(200, &json, "{}"),
            "/api/v1/items" | "/api/v1/items/1" => reply(200, &json, "{\"items\":[]}"),
            "/api/v2/items" => reply(200, &json, "{\"items\":[],\"total\":0}"),
            "/api/items" | "/api/items/1" if also_without => reply(200, &json, "{\"items\":[]}"),
            _ => reply(404, &json, "{}"),
        }
    })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let routes = operations(subject).await;
    if routes.is_empty() {
        return Sighting::not_tried(
            "no operation of an API is known: let the app publish its OpenAPI description, or name paths of the API in \
             [check] paths",
        );
    }
    let mut cases = Cases::plan(1);
    let bare = routes.iter().find(|route| version(&route.template).is_none());
    let seen = match bare {
        Some(route) => format!("{} {} has no version in its path", route.method, route.template),
        None => format!("all {} operations have a version in their path", routes.len()),
    };
    cases.tried(bare.is_none(), seen);
    let callable = |route: &&Route| {
        // A health check may well be there without a version too.
        let bare = without_version(&route.template).filter(|bare| !is_exempt(bare, &subject.hints));
        route.method == "GET" && !route.needs_query && !route.changes_something() && bare.is_some()
    };
    let sample: Vec<&Route> = routes.iter().filter(callable).take(SAMPLE).collect();
    cases.plan_more(sample.len() * 2);
    if sample.is_empty() && bare.is_none() {
        cases.plan_more(1);
        cases.told_nothing(
            "none of them can be called by a plain GET, so nothing says that they are served there alone",
        );
    }
    let mut served = 0;
    for route in &sample {
        match try_route(&client, &route.path, &mut cases).await {
            Ok(is_served) => served += usize::from(is_served),
            Err(why) => cases.told_nothing(why),
        }
    }
    if served == 0 && !sample.is_empty() {
        cases.told_nothing("no operation is served at its described path; name paths that are in [check] paths");
    }
    cases.sighting(format!(
        "{} operations, all with a version in their path; {} called: without the version, and with one that is not \
         there, none answers",
        routes.len(),
        sample.len()
    ))
}

/// What the API consists of: what is described, else what is known below `/api` or a version.
async fn operations(subject: &Subject) -> Vec<Route> {
    let routes = subject.routes().await;
    let described = routes.all.iter().any(|route| route.origin == Origin::OpenApi);
    let is_api = |route: &&Route| match route.origin {
        Origin::OpenApi => true,
        Origin::Guess => false,
        Origin::Named | Origin::Source | Origin::Traffic => {
            !described && (version(&route.template).is_some() || route.template.starts_with("/api/"))
        }
    };
    let counted = |route: &&Route| !is_exempt(&route.template, &subject.hints);
    routes.all.iter().filter(is_api).filter(counted).cloned().collect()
}

/// What clients of an API do not call, and what the team serves without a version on purpose.
fn is_exempt(template: &str, hints: &Hints) -> bool {
    const FIRST: [&str; 16] = [
        "",
        "health",
        "healthz",
        "livez",
        "readyz",
        "live",
        "ready",
        "ping",
        "status",
        "metrics",
        "docs",
        "redoc",
        "openapi.json",
        "swagger",
        "swagger.json",
        ".well-known",
    ];
    let first = template.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
    let path = |matched: &str| matched.split_whitespace().next_back().unwrap_or_default().to_owned();
    let named = hints.unversioned.iter().map(|matched| path(matched)).any(|matched| match matched.strip_suffix('*') {
        Some(start) => template.starts_with(start),
        None => template == matched,
    });
    named || FIRST.contains(&first)
}

/// Where in a path its version is: one of the first three segments, like `v1`.
fn version(path: &str) -> Option<&str> {
    let is_version = |segment: &&str| {
        let digits = segment.strip_prefix(['v', 'V']).unwrap_or_default();
        digits.starts_with(|first: char| first.is_ascii_digit())
            && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    path.split('?').next()?.split('/').skip(1).take(3).find(is_version)
}

/// The same path without its version; `None` when it has none.
fn without_version(path: &str) -> Option<String> {
    let bare = path.replacen(&format!("/{}", version(path)?), "", 1);
    Some(if bare.is_empty() { "/".to_owned() } else { bare })
}

/// Calls one operation with its version, without, and with one that is not there; whether it is served at all.
async fn try_route(client: &Client, path: &str, cases: &mut Cases) -> Result<bool, String> {
    let (Some(own), Some(bare)) = (version(path), without_version(path)) else { return Ok(false) };
    let ask = async |path: String| client.get(&path).await.map_err(|error| error.to_string());
    let with = ask(path.to_owned()).await?;
    // A name without a version that is a page for people is the front end's.
    let without = ask(bare.clone()).await?;
    let refused = is_refused(&without) || leads_to(&without, own) || (is_page(&without) && !is_page(&with));
    cases.tried(refused, format!("GET {bare} → {}: served without a version too", without.status.as_u16()));
    let other = path.replacen(&format!("/{own}"), &format!("/{NO_SUCH_VERSION}"), 1);
    let unknown = ask(other.clone()).await?;
    let refused = !unknown.status.is_success() || (is_page(&unknown) && !is_page(&with));
    cases.tried(refused, format!("GET {other} → {}: the version makes no difference", unknown.status.as_u16()));
    Ok(!is_refused(&with))
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 400 | 404 | 410)
}

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
}

fn leads_to(answer: &Answer, own: &str) -> bool {
    let location = answer.header("location").unwrap_or_default();
    let location = location.split_once("://").map_or(location, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    answer.status.is_redirection() && version(location) == Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[test]
    fn a_version_is_a_segment_near_the_start() {
        assert_eq!(version("/v1/items"), Some("v1"));
        assert_eq!(version("/api/v2.1/items"), Some("v2.1"));
        assert_eq!(version("/a/b/c/v1"), None);
        for path in ["/items", "/vitamins/v", "/v/1", "/v1x", "/?v=v1"] {
            assert_eq!(version(path), None, "{path}");
        }
    }

    async fn outcome(document: &'static str, answers: impl Fn(&str) -> u16 + Send + Sync + 'static) -> Outcome {
        let fixture = fixture::public(move |request| match request.uri().path() {
            "/openapi.json" => reply(200, &[], document),
            "/v1/items" => reply(200, &[], "{}"),
            path if answers(path) == 308 => reply(308, &[("location", "https://shop.test/v1/items")], ""),
            path => reply(answers(path), &[], ""),
        });
        look(&fixture.unwrap().subject).await.outcome
    }

    #[tokio::test]
    async fn a_redirect_is_fine_and_a_version_that_is_not_looked_at_is_not() {
        const VERSIONED: &str = r#"{"paths":{"/v1/items":{"get":{}}}}"#;
        assert_eq!(outcome(VERSIONED, |path| if path == "/items" { 308 } else { 404 }).await, Outcome::Holds);
        let ignored = outcome(VERSIONED, |path| if path.starts_with("/v987") { 200 } else { 404 }).await;
        assert!(matches!(&ignored, Outcome::Broken(why) if why.contains("no difference")), "{ignored:?}");
        let bare = outcome(r#"{"paths":{"/items":{"get":{}}}}"#, |_| 404).await;
        assert!(matches!(&bare, Outcome::Broken(why) if why.contains("GET /items has no version")), "{bare:?}");
        let only = outcome(r#"{"paths":{"/v1/orders":{"post":{}}}}"#, |_| 404).await;
        assert!(matches!(only, Outcome::Unclear(_)), "{only:?}");
        let nothing = outcome(r#"{"paths":{"/health":{"get":{}}}}"#, |_| 404).await;
        assert!(matches!(nothing, Outcome::NotTried(_)), "{nothing:?}");
    }
}
