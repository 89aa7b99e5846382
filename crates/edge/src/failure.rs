//! What went wrong between us and the app: the problem that the client reads, and `Proxy-Status` (RFC 9209) for whoever
//! debugs the chain.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response};
use seaworthy_core::{Body, Delivery, Problem, ProblemKind, RequestContext};

use crate::{pool::ConnectError, problems};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// One request that the app did not answer.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: ProblemKind,
    /// The error type of RFC 9209, 2.3.
    proxy_error: &'static str,
    retry_after: Option<u64>,
    /// The time that ran out, for the client to read.
    limit: Option<Duration>,
}

impl Failure {
    /// A failure of this kind, with the error type that belongs to it.
    pub(crate) fn of(kind: ProblemKind) -> Self {
        let proxy_error = match kind.code {
            code if code == problems::BROKEN.code => "http_response_incomplete",
            code if code == problems::ANSWER_HEAD_TOO_LARGE.code => "http_response_header_section_size",
            code if code == problems::SWITCHED.code => "http_upgrade_failed",
            code if code == problems::BODY_BROKEN.code || code == problems::BODY_STALLED.code => "http_request_error",
            _ => "proxy_internal_response",
        };
        Self { kind, proxy_error, retry_after: None, limit: None }
    }

    /// The app took longer than this.
    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self { proxy_error: "http_response_timeout", limit: Some(limit), ..Self::of(problems::TIMEOUT) }
    }

    /// A request that the app was never asked.
    pub(crate) fn refused(kind: ProblemKind) -> Self {
        let denied = kind.code == problems::UNKNOWN_HOST.code;
        let proxy_error = if denied { "http_request_denied" } else { "http_request_error" };
        Self { kind, proxy_error, retry_after: None, limit: None }
    }

    /// No connection could be had.
    pub(crate) fn connecting(error: &ConnectError) -> Self {
        if !matches!(error, ConnectError::Closed) {
            tracing::warn!(%error, "no connection to the app");
        }
        let (kind, proxy_error, retry_after) = match error {
            ConnectError::Closed => (problems::APP_NOT_READY, "destination_unavailable", 1),
            ConnectError::Ejected(left) => (problems::APP_EJECTED, "destination_unavailable", left.as_secs().max(1)),
            ConnectError::Slow(..) => (problems::CONNECT_TIMEOUT, "connection_timeout", 1),
            ConnectError::Io(_, error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                (problems::UNREACHABLE, "connection_refused", 1)
            }
            ConnectError::Io(..) => (problems::UNREACHABLE, "destination_ip_unroutable", 1),
            ConnectError::Http(..) => (problems::UNREACHABLE, "connection_terminated", 1),
        };
        Self { kind, proxy_error, retry_after: Some(retry_after), limit: None }
    }

    /// The connection ended before its answer.
    pub(crate) fn broken(error: &hyper::Error) -> Self {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%error, source, "the app ended the connection before its answer");
        let proxy_error = if error.is_parse() { "http_protocol_error" } else { "connection_terminated" };
        Self { proxy_error, ..Self::of(problems::BROKEN) }
    }

    /// What is known of the request's way to the app. `None`: the client broke off in the middle of it.
    fn delivery(&self) -> Option<Delivery> {
        const UNANSWERED: [ProblemKind; 4] =
            [problems::BROKEN, problems::ANSWER_HEAD_TOO_LARGE, problems::TIMEOUT, problems::SWITCHED];
        const CUT: [ProblemKind; 2] = [problems::BODY_BROKEN, problems::BODY_STALLED];
        match self.kind {
            kind if UNANSWERED.contains(&kind) => Some(Delivery::Unanswered),
            kind if CUT.contains(&kind) => None,
            _ => Some(Delivery::NotSent),
        }
    }

    /// The answer for the client.
    pub(crate) fn into_response(self, context: &RequestContext) -> Response<Body> {
        let delivery = self.delivery();
        let mut problem = Problem::new(self.kind);
        if let Some(seconds) = self.retry_after {
            problem = problem.retry_after(seconds);
        }
        if let Some(limit) = self.limit {
            problem = problem.detail(format!("No answer within {limit:?}."));
        }
        let mut response = problem.into_response(context);
        if let Some(delivery) = delivery {
            response.extensions_mut().insert(delivery);
        }
        let value = HeaderValue::from_str(&format!("seaworthy; error={}", self.proxy_error));
        if let Ok(value) = value {
            response.headers_mut().insert(PROXY_STATUS, value);
        }
        response
    }
}
