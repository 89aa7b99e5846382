//! `edge.security-headers`: every class of answer carries them, not only the front page.

use std::{io, time::Duration};

use http::HeaderMap;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::Answer,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct SecurityHeaders;

/// So many routes are asked, each for so long.
const ROUTES: usize = 50;
const PATIENCE: Duration = Duration::from_secs(5);

impl Probe for SecurityHeaders {
    fn about(&self) -> About {
        About { control: "edge.security-headers".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            fixture::public(|request| {
                let headers = [
                    ("x-content-type-options", "nosniff"),
                    ("content-security-policy", "default-src 'self'; frame-ancestors 'none'"),
                    ("referrer-policy", "no-referrer"),
                ];
                reply(if request.uri().path() == "/" { 200 } else { 404 }, &headers, "page")
            })
        })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            // The common half: the front page has them, errors do not.
            fixture::public(|request| match request.uri().path() {
                "/" => reply(
                    200,
                    &[
                        ("x-content-type-options", "nosniff"),
                        ("content-security-policy", "frame-ancestors 'none'"),
                        ("referrer-policy", "no-referrer"),
                    ],
                    "page",
                ),
                _ => reply(404, &[], "not found"),
            })
        })
    }
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let sample = subject.sample(ROUTES).await;
    let mut paths = vec!["/", "/seaworthy-check/no-such-page"];
    paths.extend(subject.hints.error_path.as_deref());
    for path in sample.paths() {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let client = client.patience(PATIENCE);
    let mut cases = Cases::plan(paths.len());
    for path in &paths {
        match client.head_of(path).await {
            Ok(answer) => {
                let missing = missing(&answer.headers);
                let telling = telling(&answer.headers);
                let mut seen: Vec<String> = missing.iter().map(|header| format!("no {header}")).collect();
                seen.extend(telling);
                let right = seen.is_empty();
                let seen = if right { "all there".to_owned() } else { seen.join(", ") };
                cases.tried(right, format!("GET {path} ({}): {seen}", class(&answer)));
            }
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    cases.sighting(format!(
        "{} answers carry nosniff, framing, referrer and content policies, and name no software's version: {sample}",
        paths.len()
    ))
}

fn class(answer: &Answer) -> String {
    let kind = answer.header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or("no type");
    format!("{}, {kind}", answer.status.as_u16())
}

/// The tokens of the Referrer Policy recommendation that keep paths from other sites.
const REFERRER_POLICIES: [&str; 5] =
    ["no-referrer", "same-origin", "origin", "strict-origin", "strict-origin-when-cross-origin"];

/// The required set of OWASP's Secure Headers project, by what it achieves. HSTS belongs to `edge.https-only`.
fn missing(headers: &HeaderMap) -> Vec<&'static str> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_lowercase();
    let policy = value("content-security-policy");
    let framing = (policy.contains("frame-ancestors") && !policy.contains("frame-ancestors *"))
        || matches!(value("x-frame-options").as_str(), "deny" | "sameorigin");
    let referrer = value("referrer-policy");
    let mut missing = Vec::new();
    if value("x-content-type-options") != "nosniff" {
        missing.push("X-Content-Type-Options: nosniff");
    }
    if policy.is_empty() {
        missing.push("Content-Security-Policy");
    }
    if !framing {
        missing.push("limit on framing");
    }
    if !REFERRER_POLICIES.contains(&referrer.rsplit(',').next().unwrap_or_default().trim()) {
        missing.push("Referrer-Policy");
    }
    missing
}

/// What tells an attacker which holes to try. A product without its version is what a network shows anyway.
fn telling(headers: &HeaderMap) -> Option<String> {
    const NAMES: [&str; 5] = ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-generator"];
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let tells = |value: &&str| value.bytes().any(|byte| byte.is_ascii_digit());
    NAMES.iter().find_map(|name| value(name).filter(tells).map(|value| format!("{name}: {value} tells a version")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_version_is_told_and_a_product_is_not() {
        let complete = [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
        ];
        for (server, right) in [("nginx", true), ("nginx/1.22.1", false)] {
            let fixture =
                fixture::public(move |_| reply(200, &[&complete[..], &[("server", server)]].concat(), "page"));
            let fixture = fixture.unwrap();
            let seen = look(&fixture.subject).await;
            assert_eq!(matches!(seen.outcome, crate::probe::Outcome::Holds), right, "{server}: {seen:?}");
        }
    }
}
