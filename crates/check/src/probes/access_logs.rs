//! `observability.access-logs`: one line for every request, failed and broken-off ones included.

use std::{io, time::Duration};

use http::Method;
use tokio::{io::AsyncWriteExt, time::sleep};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    access_log::{LogReader, QUIET, is_quiet},
    fixture::{self, reply},
    http::Client,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct AccessLogs;

/// Requests of each kind.
const EACH: usize = 10;
/// So many routes are asked once each.
const ROUTES: usize = 20;

impl Probe for AccessLogs {
    fn about(&self) -> About {
        About { control: "observability.access-logs".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { logging(|_| true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common half: only what succeeds is logged.
        Box::pin(async { logging(|method| *method == Method::GET) })
    }
}

fn logging(logs: impl Fn(&Method) -> bool + Send + Sync + 'static) -> io::Result<Fixture> {
    let log = tempfile::NamedTempFile::new()?;
    let path = log.path().to_owned();
    let file = path.clone();
    let mut fixture = fixture::public(move |request| {
        let status = if *request.method() == Method::GET { 200 } else { 405 };
        if logs(request.method()) {
            let line = format!(
                "{{\"method\":\"{}\",\"path\":\"{}\",\"status\":{status},\"duration_ms\":1}}\n",
                request.method(),
                request.uri().path()
            );
            fixture::append(&file, &line);
        }
        reply(status, &[], "ok")
    })?;
    fixture.subject.access_log = Some(path);
    Ok(fixture.keep(log))
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let Some(path) = &subject.access_log else {
        return Sighting::not_tried("no access log is known as a file; behind Seaworthy: run --access-log FILE");
    };
    let sample = subject.sample(ROUTES).await.without(QUIET, |route| is_quiet(&route.path));
    let log = LogReader::from_now(path);
    let mark = format!("seaworthy-check-{:016x}", fastrand::u64(..));
    let mut sent: Vec<(Method, u16)> = Vec::new();
    let mut cases = Cases::plan(3);
    for index in 0..EACH * 2 {
        let method = if index % 2 == 0 { Method::GET } else { Method::DELETE };
        match client.send(client.request(method.clone(), &format!("/{mark}/{index}"))).await {
            Ok(answer) => sent.push((method, answer.status.as_u16())),
            Err(error) => {
                return cases.gave_up(error.to_string());
            }
        }
    }
    // One that breaks off: the client is gone before the answer could be read.
    if let Err(why) = leave_early(&client, &format!("/{mark}/hasty")).await {
        return cases.gave_up(why);
    }
    let routes: Vec<&str> = sample.paths().collect();
    cases.plan_more(routes.len());
    let mut asked: Vec<(&str, u16)> = Vec::new();
    for path in routes {
        match client.head_of(path).await {
            Ok(answer) => asked.push((path, answer.status.as_u16())),
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    let lines = log.lines_until(|lines| has_all(lines, &mark, sent.len(), &asked)).await;
    let hasty = lines.iter().filter(|line| line.contains(&mark) && line.contains("/hasty")).count();
    cases.tried(hasty == 1, format!("{hasty} lines for a request whose client left at once"));
    let marked: Vec<&String> = lines.iter().filter(|line| line.contains(&mark) && !line.contains("/hasty")).collect();
    let exact = marked.len() == sent.len();
    cases.tried(exact, format!("{} of {} marked requests are in the access log", marked.len(), sent.len()));
    for (path, status) in &asked {
        let there = lines.iter().any(|line| names(line, path) && tells(line, &Method::GET, *status));
        let seen = if there { "a line" } else { "no whole line in the access log" };
        cases.tried(there, format!("GET {path} ({status}): {seen}"));
    }
    let whole = sent.iter().enumerate().filter(|(index, (method, status))| {
        let own = format!("/{mark}/{index}");
        marked.iter().any(|line| names(line, &own) && tells(line, method, *status))
    });
    let whole = whole.count();
    cases.tried(whole == sent.len(), format!("{whole} of {} lines tell method, status and duration", sent.len()));
    cases.sighting(format!(
        "{} marked requests (statuses {}) and one whose client left: a line for each, with method, status and duration; \
         so for {sample}",
        sent.len(),
        statuses(&sent)
    ))
}

/// Whether everything that was asked has left its line.
fn has_all(lines: &[String], mark: &str, sent: usize, asked: &[(&str, u16)]) -> bool {
    lines.iter().filter(|line| line.contains(mark)).count() > sent
        // Others may be asking for the same path meanwhile, in other ways.
        && asked.iter().all(|(path, status)| {
            lines.iter().any(|line| names(line, path) && tells(line, &Method::GET, *status))
        })
}

/// Whether a line is of this very path.
fn names(line: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or(path);
    ["\"", " ", "?"].iter().any(|end| line.contains(&format!("{path}{end}")))
}

fn tells(line: &str, method: &Method, status: u16) -> bool {
    let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else {
        // Common log format has no duration; extended ones have it as a number with a point.
        let duration = |word: &str| word.contains('.') && word.trim_matches('"').parse::<f64>().is_ok();
        return line.contains(method.as_str())
            && line.contains(&format!(" {status} "))
            && line.split(' ').any(duration);
    };
    let Some(fields) = entry.as_object() else { return false };
    let has = |wanted: &str| {
        fields
            .values()
            .any(|value| value.as_str().map_or_else(|| *value == wanted_number(wanted), |text| text == wanted))
    };
    let duration = |name: &String| {
        ["duration", "latency", "time_ms", "elapsed", "request_time", "took"].iter().any(|word| name.contains(word))
    };
    has(method.as_str()) && has(&status.to_string()) && fields.keys().any(duration)
}

fn wanted_number(text: &str) -> serde_json::Value {
    text.parse::<u64>().map_or(serde_json::Value::Null, serde_json::Value::from)
}

fn statuses(sent: &[(Method, u16)]) -> String {
    let statuses: std::collections::BTreeSet<u16> = sent.iter().map(|(_, status)| *status).collect();
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// Sends a whole request and leaves without reading a byte of the answer.
async fn leave_early(client: &Client, path: &str) -> Result<(), String> {
    let mut stream = client.connect().await.map_err(|error| error.to_string())?;
    let host = client.address().authority();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: seaworthy-check\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    sleep(Duration::from_millis(20)).await;
    Ok(())
}
