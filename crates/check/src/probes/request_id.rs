//! `observability.request-id`: every request has one id, and it is the same everywhere.

use std::{collections::HashSet, io};

use http::{HeaderValue, Method};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    access_log::{LogReader, QUIET, is_quiet},
    fixture::{self, reply},
    http::Answer,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct RequestIds;

const REQUESTS: usize = 5;
/// So many routes are asked once each.
const ROUTES: usize = 20;
const HEADERS: &[&str] = &["x-request-id", "request-id", "x-correlation-id"];

impl Probe for RequestIds {
    fn about(&self) -> About {
        About { control: "observability.request-id".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { with_ids(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { with_ids(false) })
    }
}

/// A server that takes or makes ids and logs them; or one that answers everybody with the same.
fn with_ids(good: bool) -> io::Result<Fixture> {
    let log = tempfile::NamedTempFile::new()?;
    let path = log.path().to_owned();
    let file = path.clone();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let mut fixture = fixture::public(move |request| {
        let given = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let next = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = if good { given.unwrap_or_else(|| format!("made-{next}")) } else { "the-same".into() };
        fixture::append(&file, &format!("{{\"request_id\":\"{id}\"}}\n"));
        reply(200, &[("x-request-id", &id)], "ok")
    })?;
    fixture.subject.access_log = Some(path);
    Ok(fixture.keep(log))
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let sample = subject.sample(ROUTES).await.without(QUIET, |route| is_quiet(&route.path));
    let mut paths = vec!["/"; REQUESTS];
    paths.extend(sample.paths().filter(|path| *path != "/"));
    let mut cases = Cases::plan(paths.len() + 2);
    let log = subject.access_log.as_deref().map(LogReader::from_now);
    let mut ids = HashSet::new();
    for path in &paths {
        match client.head_of(path).await {
            Ok(answer) => match id_of(&answer) {
                Some(id) => {
                    let new = ids.insert(id.clone());
                    cases.tried(new, if new { format!("id {id}") } else { format!("two requests have the id {id}") });
                }
                None => cases.tried(false, format!("GET {path} answers without a request id")),
            },
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    let given = format!("seaworthy-check-{:016x}", fastrand::u64(..));
    let mut request = client.request(Method::GET, "/");
    if let Ok(value) = HeaderValue::from_str(&given) {
        request.headers_mut().insert("x-request-id", value);
    }
    match client.send(request).await {
        Ok(answer) => {
            let kept = id_of(&answer).is_some_and(|id| id == given);
            cases.tried(kept, if kept { "a given id is kept" } else { "an id that the client gives is not kept" });
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
    ids.insert(given);
    match log {
        None => cases.told_nothing(
            "no access log is known as a file: the ids could not be found again (--access-log FILE for run)",
        ),
        Some(log) => {
            let lines = log.lines_with_all(&ids).await;
            cases.tried(lines == ids.len(), format!("{lines} of {} ids are in the access log", ids.len()));
        }
    }
    cases.sighting(format!(
        "{} requests have {} ids, a given id is kept, all {} are in the access log; {sample}",
        paths.len(),
        paths.len(),
        ids.len()
    ))
}

fn id_of(answer: &Answer) -> Option<String> {
    HEADERS.iter().find_map(|name| answer.header(name)).filter(|id| !id.is_empty()).map(str::to_owned)
}
