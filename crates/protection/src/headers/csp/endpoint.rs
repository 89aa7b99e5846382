//! Where browsers send their reports. It asks for no sign-in, so it takes little, keeps little, and answers without a body.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use seaworthy_core::{Body, Clock, Problem, ProblemKind, RequestContext, SystemClock, empty_body};
use tower::Service;

use super::{
    report::{self, Form},
    summary::CspFindings,
};

/// A browser's list of reports is a few thousand bytes.
const LARGEST: usize = 64 * 1024;
/// However slowly it comes.
const PATIENCE: Duration = Duration::from_secs(10);

const NO_REPORT: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_CSP_REPORT",
    status: StatusCode::BAD_REQUEST,
    title: "This is no report of a browser",
    advice: "Send application/csp-report or application/reports+json of at most 64 KiB by POST.",
};

const TOO_MANY: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_CSP_REPORTS_MANY",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "Too many reports come at once",
    advice: "Send reports later, or fewer of them.",
};

/// The last service of the reports' own pipeline. Clones share what came.
#[derive(Debug, Clone)]
pub struct CspReports(CspFindings);

/// A name for it beside the other services of this crate.
pub type CspReportsService = CspReports;

impl CspReports {
    /// Puts what comes into `findings`.
    pub fn new(findings: CspFindings) -> Self {
        Self(findings)
    }
}

impl Service<Request<Body>> for CspReports {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    // Reports are rare: a box for each is no matter.
    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let findings = self.0.clone();
        Box::pin(async move {
            let context = request.extensions().get::<Arc<RequestContext>>().cloned();
            let mut response = match (take(findings, request, context.as_deref()).await, &context) {
                (Err(kind), Some(context)) => Problem::new(kind).into_response(context),
                (taken, _) => {
                    let mut response = Response::new(empty_body());
                    *response.status_mut() = taken.err().map_or(StatusCode::NO_CONTENT, |kind| kind.status);
                    response
                }
            };
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Ok(response)
        })
    }
}

async fn take(
    findings: CspFindings,
    request: Request<Body>,
    context: Option<&RequestContext>,
) -> Result<(), ProblemKind> {
    if *request.method() != Method::POST {
        return Err(ProblemKind { status: StatusCode::METHOD_NOT_ALLOWED, ..NO_REPORT });
    }
    let text = |value: Option<&HeaderValue>| value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let kind = text(request.headers().get(header::CONTENT_TYPE));
    let form = Form::of(&kind).ok_or(ProblemKind { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, ..NO_REPORT })?;
    let forwarded = context.and_then(|context| context.forwarded_host.as_ref());
    let host = text(forwarded.or_else(|| request.headers().get(header::HOST)));
    let body = tokio::time::timeout(PATIENCE, collect(request.into_body())).await;
    let body = body.map_err(|_| ProblemKind { status: StatusCode::REQUEST_TIMEOUT, ..NO_REPORT })??;
    let batch = report::read(form, &body, &host).ok_or(NO_REPORT)?;
    let client = context.and_then(|context| context.client);
    findings.add(batch, client, SystemClock.unix_micros()).then_some(()).ok_or(TOO_MANY)
}

/// The whole body, when it is a small one.
async fn collect(mut body: Body) -> Result<BytesMut, ProblemKind> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| NO_REPORT)?;
        let data = frame.data_ref().map(|data| &**data).unwrap_or_default();
        if whole.len() + data.len() > LARGEST {
            return Err(ProblemKind { status: StatusCode::PAYLOAD_TOO_LARGE, ..NO_REPORT });
        }
        whole.extend_from_slice(data);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use seaworthy_core::{RequestId, full_body};
    use tower::ServiceExt;

    use super::*;

    const REPORT: &str = "{\"csp-report\":{\"document-uri\":\"http://shop.test/\",\"blocked-uri\":\"inline\",\
                          \"violated-directive\":\"script-src-elem\"}}";

    async fn post(findings: &CspFindings, method: Method, kind: &str, body: impl Into<bytes::Bytes>) -> Response<Body> {
        let mut context = RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r-1")).unwrap());
        context.client = Some([192, 0, 2, 1].into());
        let request = Request::builder().method(method).header("host", "shop.test").header("content-type", kind);
        let request = request.extension(Arc::new(context)).body(full_body(body)).unwrap();
        CspReports::new(findings.clone()).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_report_is_kept_and_answered_with_nothing() {
        let findings = CspFindings::default();
        let answer = post(&findings, Method::POST, "application/csp-report", REPORT).await;
        assert_eq!(answer.status(), 204);
        assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
        let seen = findings.seen();
        assert_eq!((seen[0].directive, seen[0].blocked.as_str(), seen[0].clients), ("script-src-elem", "inline", 1));
    }

    #[tokio::test]
    async fn what_is_no_report_is_refused_and_kept_nowhere() {
        let findings = CspFindings::default();
        let status =
            async |method, kind, body: &str| post(&findings, method, kind, body.to_owned()).await.status().as_u16();
        assert_eq!(status(Method::GET, "", "").await, 405);
        assert_eq!(status(Method::POST, "application/json", REPORT).await, 415);
        assert_eq!(status(Method::POST, "application/csp-report", "{").await, 400);
        assert_eq!(status(Method::POST, "application/reports+json", REPORT).await, 400);
        assert_eq!(status(Method::POST, "application/csp-report", &" ".repeat(LARGEST + 1)).await, 413);
        assert!(findings.seen().is_empty());
    }
}
