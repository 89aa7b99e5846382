//! `cache.etag`: whoever has an answer already gets a 304 without a body, and whoever has another one gets it whole
//! (RFC 9110, 8.8.3, 13.1.2 and 15.4.5).

use std::io;

use http::{HeaderValue, Method, StatusCode, header};
use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client, HttpError},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct Etag;

/// So many routes are asked, beside the start page.
const ROUTES: usize = 8;
/// A tag that nobody's answer has.
const OTHER: &str = "\"seaworthy-check-has-another\"";

impl Probe for Etag {
    fn about(&self) -> About {
        About { control: "cache.etag".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { tagged(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: a tag is sent, and nobody looks at the one that comes back.
        Box::pin(async { tagged(false) })
    }
}

fn tagged(compares: bool) -> io::Result<Fixture> {
    fixture::public(move |request| {
        let known = request.headers().get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        match known {
            Some("\"v1\"") if compares => reply(304, &[("etag", "\"v1\"")], ""),
            _ => reply(200, &[("etag", "\"v1\"")], "{\"items\": []}"),
        }
    })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let sample = subject.sample(ROUTES).await;
    let mut paths = vec!["/"];
    paths.extend(sample.paths().filter(|path| *path != "/"));
    let mut cases = Cases::plan(paths.len());
    let (mut held, mut skipped) = (0, 0);
    for path in &paths {
        match client.get(path).await {
            Ok(first) if may_be_kept(&first) => {
                held += 1;
                compare(&mut cases, &client, path, &first).await;
            }
            Ok(first) => {
                skipped += 1;
                cases.tried(true, format!("GET {path} → {}: nothing that somebody could keep", first.status));
            }
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    if held == 0 {
        cases.told_nothing("no path gave a whole answer (200) that a client may keep: name one in [check] paths");
    }
    cases.sighting(format!(
        "{held} answers have an ETag: the same tag → 304 without a body, another one → 200 ({skipped} paths give nothing to \
         keep); {sample}"
    ))
}

/// A whole answer with a body that its client may keep.
fn may_be_kept(answer: &Answer) -> bool {
    answer.status == StatusCode::OK
        && answer.length > 0
        && !answer.header("cache-control").is_some_and(|says| says.to_ascii_lowercase().contains("no-store"))
}

async fn compare(cases: &mut Cases, client: &Client, path: &str, first: &Answer) {
    let Some(tag) = first.header("etag") else { return cases.tried(false, format!("GET {path} has no ETag")) };
    cases.plan_more(1);
    match ask(client, path, tag).await {
        Ok(again) => {
            let holds = again.status == StatusCode::NOT_MODIFIED && again.length == 0;
            let seen = format!("GET {path} with If-None-Match: {tag} → {}, {} bytes", again.status, again.length);
            cases.tried(holds, seen);
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
    match ask(client, path, OTHER).await {
        Ok(whole) => {
            let holds = whole.status == StatusCode::OK && whole.length > 0;
            cases.tried(holds, format!("GET {path} with another tag → {}, {} bytes", whole.status, whole.length));
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
}

async fn ask(client: &Client, path: &str, tag: &str) -> Result<Answer, HttpError> {
    let mut request = client.request(Method::GET, path);
    if let Ok(tag) = HeaderValue::from_str(tag) {
        request.headers_mut().insert(header::IF_NONE_MATCH, tag);
    }
    client.send(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn a_304_for_everybody_and_no_tag_at_all_are_found_out() {
        let always = fixture::public(|request| match request.headers().contains_key(header::IF_NONE_MATCH) {
            true => reply(304, &[("etag", "\"v1\"")], ""),
            false => reply(200, &[("etag", "\"v1\"")], "x"),
        });
        let seen = look(&always.unwrap().subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("another tag")), "{seen:?}");
        let none = fixture::public(|_| reply(200, &[], "x")).unwrap();
        let seen = look(&none.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("no ETag")), "{seen:?}");
    }

    #[tokio::test]
    async fn nothing_to_keep_is_no_pass() {
        let closed = fixture::public(|_| reply(401, &[], "who are you?")).unwrap();
        let seen = look(&closed.subject).await;
        assert!(matches!(seen.outcome, Outcome::Unclear(_)), "{seen:?}");
    }
}
