//! `edge.api-error-handler`: an unhandled error of the app shows the client an id, and nothing of the inside.

use std::{io, sync::LazyLock, time::Duration};

use regex::Regex;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct ErrorHandler;

/// Cases of one error.
const EACH: usize = 3;
/// So many routes are looked at for errors, each for so long.
const ROUTES: usize = 50;
const PATIENCE: Duration = Duration::from_secs(5);

impl Probe for ErrorHandler {
    fn about(&self) -> About {
        About { control: "edge.api-error-handler".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            failing("application/problem+json", "{\"title\":\"The app failed\",\"status\":500,\"request_id\":\"r-1\"}")
        })
    }

    // JSON alone is not enough: this one has everything but the trace left out.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            failing(
                "application/problem+json",
                "{\"title\":\"Error\",\"request_id\":\"r-1\",\"trace\":\"Traceback (most recent call last):\\n  File \\\"/app/main.py\\\", line 7\"}",
            )
        })
    }
}

fn failing(kind: &'static str, body: &'static str) -> io::Result<Fixture> {
    let mut fixture = fixture::public(move |request| match request.uri().path() {
        "/fails" => reply(500, &[("content-type", kind), ("x-request-id", "r-1")], body),
        _ => reply(200, &[], "ok"),
    })?;
    fixture.subject.hints.error_path = Some("/fails".into());
    Ok(fixture)
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let mut cases = Cases::default();
    let known = subject.hints.error_path.as_deref();
    let mut seen = Vec::new();
    if let Some(path) = known {
        cases.plan_more(EACH);
        match client.get(path).await {
            Ok(answer) if answer.status.is_server_error() => seen.push(judge(path, &answer, &mut cases)),
            Ok(answer) => {
                let status = answer.status.as_u16();
                return cases.gave_up(format!("GET {path} answered {status}: no unhandled error was provoked"));
            }
            Err(error) => return cases.gave_up(error.to_string()),
        }
    }
    // Whatever else fails by itself is shown to clients in the same way.
    let sample =
        subject.sample(ROUTES).await.without("it was tried first", |route| subject.hints.fails_on(&route.path));
    let client = client.patience(PATIENCE);
    for route in &sample.routes {
        for path in [Some(&route.path), route.misfit.as_ref()].into_iter().flatten() {
            let fails = client.head_of(path).await.is_ok_and(|answer| answer.status.is_server_error());
            if let Some(answer) = failing_again(&client, path, fails).await {
                cases.plan_more(EACH);
                seen.push(judge(path, &answer, &mut cases));
            }
        }
    }
    if seen.is_empty() {
        return Sighting::not_tried(format!(
            "{sample} answer without an error: name a path on which the app fails unhandled, [check] error_path = \"/…\""
        ));
    }
    cases.sighting(format!("{}; looked for errors at {sample}", seen.join("; ")))
}

/// The whole answer of a path that has just failed, when it fails again.
async fn failing_again(client: &Client, path: &str, fails: bool) -> Option<Answer> {
    let answer = if fails { client.get(path).await.ok()? } else { return None };
    // What stands in between says that nobody answers; that is no error of the app.
    let of_the_app = !matches!(answer.status.as_u16(), 501..=504);
    (answer.status.is_server_error() && of_the_app).then_some(answer)
}

/// Three cases: nothing of the inside, problem+json, an id.
fn judge(path: &str, answer: &Answer, cases: &mut Cases) -> String {
    // Frames inside JSON strings have their line breaks and quotes escaped.
    let body = answer.text().replace("\\n", "\n").replace("\\\"", "\"");
    match &leak(&body) {
        Some((what, text)) => {
            cases.tried(false, format!("GET {path} shows {what}: {}", text.chars().take(60).collect::<String>()))
        }
        None => cases.tried(true, "no trace, path or SQL in the body"),
    }
    let kind = answer.header("content-type").unwrap_or("no content type").to_owned();
    cases.tried(kind.starts_with("application/problem+json"), format!("GET {path} answers {kind}"));
    let id = id_of(answer);
    cases.tried(id.is_some(), format!("GET {path} names {}", id.as_deref().unwrap_or("no request id")));
    format!("GET {path}: {} problem+json with request id {}", answer.status.as_u16(), id.unwrap_or_default())
}

/// The id must be in the body, where the person who reports the error sees it.
fn id_of(answer: &Answer) -> Option<String> {
    let body = answer.json()?;
    ["request_id", "requestId", "trace_id", "traceId"].iter().find_map(|key| Some(body.get(*key)?.as_str()?.to_owned()))
}

/// Something of the inside in a text: what it is, and what it says.
pub(super) fn leak(text: &str) -> Option<(&'static str, String)> {
    LEAKS.iter().find_map(|(what, shape)| shape.find(text).map(|found| (*what, found.as_str().to_owned())))
}

static LEAKS: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let shapes = [
        ("a Python trace", r"Traceback \(most recent call last\)"),
        ("a stack frame", r"(?m)^\s+at .+\(?[/\\\w.:-]+:\d+:\d+\)?"),
        ("a Java frame", r"(?m)^\s+at [\w.$]+\([\w.]+\.java:\d+\)"),
        (
            "a source path",
            r#"(?:File "|[\s(])/(?:app|srv|home|usr|opt|var|root|Users)/[\w./-]+\.(?:py|js|ts|rb|go|php|java|rs)"#,
        ),
        ("a .NET frame", r"(?m)^\s+at [\w.<>`]+\(.*\)(?: in .+:line \d+)?"),
        ("a Ruby frame", r"\.rb:\d+:in [`']"),
        ("a Windows path", r"[A-Z]:\\+\w[\w\\ .-]+\.(?:cs|py|js|ts|java)"),
        (
            "a driver's message",
            r"(?i)password authentication failed|\bFATAL:|ECONNREFUSED|connection refused|could not connect to server",
        ),
        ("SQL", r"(?i)\b(?:select\s.+\sfrom|insert into|update\s.+\sset|delete from)\b"),
        ("a panic", r"panicked at|goroutine \d+ \["),
    ];
    #[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
    shapes.into_iter().map(|(what, shape)| (what, Regex::new(shape).expect("the pattern is valid"))).collect()
});
