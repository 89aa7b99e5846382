//! `edge.api-deprecation`: what will go away says so in headers with dates (RFC 9745, RFC 8594), and its callers are counted.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use seaworthy_evidence::{ProbeKind, SafetyClass};
use serde_json::{Value, json};

use crate::{
    fixture::{self, Server, ServerOptions, answering, reply},
    http::{Answer, Client},
    openapi,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct ApiDeprecation;

/// So many operations of each kind are called.
const SAMPLE: usize = 5;
/// Who the prober is, in the counts of callers.
const AGENT: &str = "seaworthy-check/";

impl Probe for ApiDeprecation {
    fn about(&self) -> About {
        About { control: "edge.api-deprecation".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    // It reads counts of the target, which other probes' calls would change.
    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { api(true) })
    }

    // The common mistake: the description says it, and no answer does.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { api(false) })
    }
}

fn api(says: bool) -> io::Result<Fixture> {
    const DOCUMENT: &str =
        r#"{"openapi":"3.1.0","paths":{"/v1/old":{"get":{"deprecated":true}},"/v1/new":{"get":{}}}}"#;
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let mut fixture = fixture::public(move |request| match request.uri().path() {
        "/openapi.json" => reply(200, &[], DOCUMENT),
        "/v1/old" => {
            counted.fetch_add(1, Ordering::Relaxed);
            let said = [
                ("deprecation", "@1767225600"),
                ("sunset", "Fri, 01 Jan 2100 00:00:00 GMT"),
                ("link", "</v1/new>; rel=\"successor-version\""),
            ];
            reply(200, if says { &said } else { &[] }, "{}")
        }
        _ => reply(200, &[], "{}"),
    })?;
    let admin = answering(move |_| {
        let calls = calls.load(Ordering::Relaxed);
        let caller = json!({ "agent": format!("{AGENT}0"), "calls": calls });
        let told = json!({ "routes": [{ "route": "GET /v1/old", "calls": calls, "callers": [caller] }] });
        reply(200, &[], told.to_string())
    });
    let admin = Server::start(admin, ServerOptions::default())?;
    fixture.subject.admin = Some(admin.address.clone());
    Ok(fixture.keep(admin))
}

/// What will go away, and what will not, as far as a plain GET can call it.
#[derive(Default)]
struct Operations {
    deprecated: Vec<String>,
    others: Vec<String>,
    /// Those that only another method or a body can call.
    uncalled: usize,
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let operations = operations(subject, &client).await;
    if operations.deprecated.is_empty() {
        return Sighting::not_tried(match operations.uncalled {
            0 => "nothing says which operations are deprecated: mark one with `deprecated: true` in the OpenAPI \
                  description, or with `deprecated = { … }` in its [[route]]"
                .to_owned(),
            count => format!("{count} deprecated operations, and none of them can be called by a plain GET"),
        });
    }
    let mut cases = Cases::plan(operations.deprecated.len() + operations.others.len() + 1);
    let before = counted(subject).await;
    let mut calls = 0;
    for path in &operations.deprecated {
        match client.get(path).await {
            Ok(answer) => {
                calls += 1;
                let wrong = wrong(&answer);
                let told = wrong.as_deref().unwrap_or("says so");
                cases.tried(wrong.is_none(), format!("GET {path} is deprecated: {told}"));
            }
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    for path in &operations.others {
        match client.get(path).await {
            Ok(answer) => cases.tried(
                answer.header("deprecation").is_none(),
                format!("GET {path} is not deprecated, and its answer says that it is"),
            ),
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    match (before, counted(subject).await) {
        (Ok(before), Ok(after)) => {
            let grown = after.saturating_sub(before);
            cases.tried(grown == calls, format!("{calls} calls were made, and the count of callers grew by {grown}"));
        }
        (Err(why), _) | (_, Err(why)) => cases.told_nothing(why),
    }
    cases.sighting(format!(
        "{} deprecated operations say since when, {} others say nothing of it; {calls} calls were counted for this caller",
        operations.deprecated.len(),
        operations.others.len()
    ))
}

async fn operations(subject: &Subject, client: &Client) -> Operations {
    let mut found = Operations::default();
    let described = openapi::describe(client, subject.hints.version_prefix.as_deref()).await;
    let marked: Vec<(String, String)> = described
        .iter()
        .flat_map(openapi::Described::details)
        .filter_map(|detail| {
            let is_marked = detail.described["deprecated"] == Value::Bool(true);
            is_marked.then_some((detail.operation.method, detail.operation.template))
        })
        .collect();
    let claimed: Vec<(&str, &str)> = subject
        .hints
        .deprecated
        .iter()
        .map(|matched| {
            matched.trim().split_once(' ').map_or(("GET", matched.trim()), |(method, path)| (method, path.trim()))
        })
        .collect();
    let is_deprecated = |method: &str, template: &str, path: &str| {
        let claims = |(own, matched): &(&str, &str)| *own == method && covers(matched, path);
        marked.iter().any(|(own, known)| own == method && known == template) || claimed.iter().any(claims)
    };
    for route in &subject.routes().await.all {
        let callable = route.method == "GET" && !route.needs_query && !route.changes_something();
        match (is_deprecated(&route.method, &route.template, &route.path), callable) {
            (true, true) if found.deprecated.len() < SAMPLE => found.deprecated.push(route.path.clone()),
            (true, _) => found.uncalled += 1,
            (false, true) if found.others.len() < SAMPLE => found.others.push(route.path.clone()),
            (false, _) => {}
        }
    }
    // What Seaworthy says is deprecated need not be described anywhere.
    for (_, path) in claimed.iter().filter(|(method, path)| *method == "GET" && !path.contains(['{', '*'])) {
        if found.deprecated.len() < SAMPLE && !found.deprecated.iter().any(|known| known == path) {
            found.deprecated.push((*path).to_owned());
        }
    }
    found
}

/// Whether a route's pattern has this path.
fn covers(matched: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (mut wanted, mut given) = (matched.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => return true,
            (Some(one), Some(other)) if one == other || one.starts_with('{') => {}
            _ => return false,
        }
    }
}

/// What is wrong with what an answer says.
fn wrong(answer: &Answer) -> Option<String> {
    let Some(since) = answer.header("deprecation") else {
        return Some("its answer has no Deprecation header".into());
    };
    let Some(at) = since.strip_prefix('@').and_then(|digits| digits.parse::<u64>().ok()) else {
        return Some(format!("`Deprecation: {since}` is no date of RFC 9745, which is written `@1767225600`"));
    };
    let sunset = answer.header("sunset")?;
    match httpdate::parse_http_date(sunset) {
        Err(_) => Some(format!("`Sunset: {sunset}` is no date of HTTP")),
        Ok(end) if end < since_epoch(at) => Some("its sunset comes before its deprecation".into()),
        Ok(_) => None,
    }
}

fn since_epoch(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

/// How many calls of the prober have been counted.
async fn counted(subject: &Subject) -> Result<u64, String> {
    let Some(admin) = subject.admin_client() else {
        return Err("who still calls is seen by Seaworthy alone: run the app behind it, or name its --admin".into());
    };
    let answer = admin.get("/deprecated").await.map_err(|error| error.to_string())?;
    let told = answer.json().ok_or("the admin API counts no callers")?;
    let routes = told["routes"].as_array().ok_or("the admin API counts no callers")?;
    let callers = routes.iter().flat_map(|route| route["callers"].as_array().into_iter().flatten());
    let own = callers.filter(|caller| caller["agent"].as_str().is_some_and(|agent| agent.starts_with(AGENT)));
    Ok(own.filter_map(|caller| caller["calls"].as_u64()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn wrong_dates_are_named_and_what_is_not_marked_is_not_tried() {
        let outcome = async |headers: &'static [(&'static str, &'static str)]| {
            let mut fixture = fixture::public(move |request| match request.uri().path() {
                "/old" => reply(200, headers, ""),
                _ => reply(404, &[], ""),
            })
            .unwrap();
            fixture.subject.hints.deprecated = vec!["GET /old".into()];
            look(&fixture.subject).await.outcome
        };
        for (headers, word) in [
            (&[("deprecation", "true")][..], "no date of RFC 9745"),
            (&[("deprecation", "@100"), ("sunset", "tomorrow")], "no date of HTTP"),
            (&[("deprecation", "@1767225600"), ("sunset", "Thu, 01 Jan 2015 00:00:00 GMT")], "before its deprecation"),
        ] {
            let outcome = outcome(headers).await;
            assert!(matches!(&outcome, Outcome::Broken(why) if why.contains(word)), "{outcome:?}");
        }
        let uncounted = outcome(&[("deprecation", "@100")]).await;
        assert!(matches!(&uncounted, Outcome::Unclear(why) if why.contains("--admin")), "{uncounted:?}");
        let plain = fixture::public(|_| reply(200, &[], "")).unwrap();
        assert!(matches!(look(&plain.subject).await.outcome, Outcome::NotTried(why) if why.contains("[[route]]")));
    }

    #[test]
    fn a_pattern_has_its_paths() {
        assert!(covers("/v1/{id}/x", "/v1/7/x?y=1") && covers("/v1/*", "/v1/a/b") && covers("/v1", "/v1"));
        assert!(!covers("/v1/{id}", "/v1/7/x") && !covers("/v1/x", "/v1") && !covers("/v1", "/v2"));
    }
}
