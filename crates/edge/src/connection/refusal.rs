//! Answers to what is no request: written by hand, because the HTTP library never saw it.

use std::{io, time::Duration};

use http::{Method, Request, Response, Uri, header};
use http_body_util::BodyExt;
use seaworthy_core::{Body, ProblemKind, empty_body};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{Surroundings, guard::Violation, transport::Transport};
use crate::problems;

/// How long a refused client may go on sending while it has not read our answer. Closing at once would reset the
/// connection, and the answer with it.
const LINGER: Duration = Duration::from_millis(500);

/// The problem of a violation.
pub(crate) fn problem(violation: Violation) -> ProblemKind {
    match violation {
        Violation::TargetTooLong => problems::TARGET_TOO_LONG,
        Violation::HeadTooLarge => problems::HEAD_TOO_LARGE,
        Violation::UnknownCoding => problems::UNKNOWN_CODING,
        Violation::Hosts => problems::BAD_HOST,
        Violation::Malformed => problems::BAD_REQUEST,
        Violation::BareLineFeed | Violation::TwoFramings | Violation::Length | Violation::Coding | Violation::Chunk => {
            problems::BAD_FRAMING
        }
    }
}

/// Answers, logs, and closes.
pub(crate) async fn answer(mut transport: Transport, around: &Surroundings, kind: ProblemKind) -> io::Result<()> {
    let mut request = Request::new(empty_body());
    // What was asked is not known for certain, so nothing is made up.
    *request.method_mut() = Method::from_bytes(b"-").unwrap_or_default();
    *request.uri_mut() = Uri::from_static("/");
    let response = around.core.refuse(&around.origin, request, kind).await;
    let bytes = serialise(response).await;
    timeout(LINGER * 4, transport.write_all(&bytes)).await??;
    timeout(LINGER, transport.shutdown()).await??;
    let mut rest = [0; 4096];
    let drained = async { while transport.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
    let _ = timeout(LINGER, drained).await;
    Ok(())
}

async fn serialise(response: Response<Body>) -> Vec<u8> {
    let (mut parts, body) = response.into_parts();
    // Ours, in memory already; without it the status still says what happened.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    parts.headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    let reason = parts.status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_u16()).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}
