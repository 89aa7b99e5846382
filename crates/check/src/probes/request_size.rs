//! `edge.request-size-limit`: one byte over the claimed limit is refused, announced or not; exactly the limit passes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use seaworthy_config::ByteSize;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{Answering, Server, ServerOptions, reply},
    http::{Client, HttpError},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct RequestSize;

/// A larger limit would take too long to fill three times.
const LARGEST: u64 = 256 << 20;

impl Probe for RequestSize {
    fn about(&self) -> About {
        About { control: "edge.request-size-limit".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { limited(Some(1000)) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { limited(None) })
    }
}

/// A server that reads every body and refuses more than the limit.
fn limited(limit: Option<u64>) -> io::Result<Fixture> {
    let counting: Answering = std::sync::Arc::new(move |request| {
        Box::pin(async move {
            let length = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len() as u64);
            reply(if limit.is_some_and(|limit| length > limit) { 413 } else { 200 }, &[], "")
        })
    });
    let server = Server::start(counting, ServerOptions::default())?;
    let mut subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    subject.hints.body_limit = Some(1000);
    Ok(Fixture { subject, _keep: vec![Box::new(server)] })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let Some(limit) = subject.hints.body_limit else {
        return Sighting::not_tried("no limit is claimed that could be tried: [check] body_limit = \"10MB\"");
    };
    if limit > LARGEST {
        let (limit, largest) = (ByteSize(limit), ByteSize(LARGEST));
        return Sighting::not_tried(format!(
            "the limit of {limit} is larger than a probe fills ({largest}): body_limit = \"100MB\" under [protection] makes \
             it provable, or, where upload_path has a limit of its own, the same line under [check]"
        ));
    }
    let client = client.patience(Duration::from_secs(30));
    let path = subject.hints.upload_path.as_deref().unwrap_or("/");
    let mut cases = Cases::plan(3);
    let tries = [(limit + 1, true, true), (limit + 1, false, true), (limit, true, false)];
    for (length, announced, refused) in tries {
        let how = if announced { "with Content-Length" } else { "chunked" };
        match post(&client, path, length, announced).await {
            Ok(status) => {
                let seen = format!("POST {path} of {length} bytes {how} → {}", status.as_u16());
                // A path that nobody named may refuse any POST before the body has reached the limit.
                let of_the_path =
                    subject.hints.upload_path.is_none() && (status.is_client_error() || status.is_server_error());
                if status == StatusCode::PAYLOAD_TOO_LARGE || (refused && !of_the_path) {
                    cases.tried(refused && status == StatusCode::PAYLOAD_TOO_LARGE, seen);
                } else if status.is_success() || status.is_redirection() {
                    cases.tried(true, seen);
                } else {
                    cases.told_nothing(format!("{seen}: name a path that takes a body, [check] upload_path"));
                }
            }
            // A server may close while we still send (RFC 9110, 15.5.14); what it thinks is then not known.
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    cases.sighting(format!("{} bytes: 413 with Content-Length and chunked; exactly {limit}: accepted", limit + 1))
}

async fn post(client: &Client, path: &str, length: u64, announced: bool) -> Result<StatusCode, HttpError> {
    let mut request = client.request(Method::POST, path);
    *request.body_mut() = Zeros { left: length, announced }.boxed();
    request
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/octet-stream"));
    client.send(request).await.map(|answer| answer.status)
}

/// Bytes that cost no memory.
struct Zeros {
    left: u64,
    announced: bool,
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        static ZEROS: [u8; 16384] = [0; 16384];
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = self.left.min(ZEROS.len() as u64);
        self.left -= length;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&ZEROS[..length as usize])))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.announced { SizeHint::with_exact(self.left) } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{self, reply},
        probe::Outcome,
    };

    #[tokio::test]
    async fn a_path_that_takes_no_body_tells_nothing_of_the_limit() {
        let outcome = async |upload_path: Option<&str>| {
            let mut fixture = fixture::public(|_| reply(405, &[], "")).unwrap();
            fixture.subject.hints.body_limit = Some(1 << 20);
            fixture.subject.hints.upload_path = upload_path.map(str::to_owned);
            look(&fixture.subject).await.outcome
        };
        let unnamed = outcome(None).await;
        assert!(matches!(&unnamed, Outcome::Unclear(why) if why.contains("[check] upload_path")), "{unnamed:?}");
        let named = outcome(Some("/upload")).await;
        assert!(matches!(&named, Outcome::Broken(why) if why.contains("405")), "{named:?}");
    }

    #[tokio::test]
    async fn a_limit_that_is_not_filled_names_the_line_that_makes_it_provable() {
        let mut fixture = limited(None).unwrap();
        fixture.subject.hints.body_limit = Some(1 << 30);
        let Outcome::NotTried(why) = look(&fixture.subject).await.outcome else { panic!("it was tried") };
        assert!(why.contains("1GiB") && why.contains("body_limit = \"100MB\" under [protection]"), "{why}");
    }
}
