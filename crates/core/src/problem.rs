//! Errors that we answer over HTTP: RFC 9457 problem details for a program, a plain page for a browser.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::{Body, RequestContext, RequestId, full_body};

/// One kind of error with its stable code. Each is declared once, as a `const`, by the crate that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemKind {
    /// `SEA_AREA_WHAT`; it never changes once released.
    pub code: &'static str,
    /// The status that goes with it.
    pub status: StatusCode,
    /// What happened, in a few words.
    pub title: &'static str,
    /// What the reader can do about it.
    pub advice: &'static str,
}

/// A [`ProblemKind`] that happened to one request.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: ProblemKind,
    detail: Option<String>,
    retry_after_seconds: Option<u64>,
    errors: Option<serde_json::Value>,
}

/// The members of `application/problem+json`; `code`, `advice`, `request_id` and `errors` are extension members (RFC 9457, 3.2).
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    code: &'a str,
    advice: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a serde_json::Value>,
}

impl Problem {
    /// A problem without further detail.
    pub fn new(kind: ProblemKind) -> Self {
        Self { kind, detail: None, retry_after_seconds: None, errors: None }
    }

    /// Adds what is particular to this occurrence. It is shown to the client: no internals, no secrets.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the member `errors`: what is wrong with the request, one by one (RFC 9457, 3, has the same in its example). A
    /// page for a browser does not show it; say the first ones in the detail.
    #[must_use]
    pub fn errors(mut self, errors: serde_json::Value) -> Self {
        self.errors = Some(errors);
        self
    }

    /// Adds `Retry-After` (RFC 9110, 10.2.3) in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The answer, marked with its [`ProblemKind`] as an extension: as HTML when the request's `Accept` prefers it (a browser's navigation), else as problem+json.
    pub fn into_response(self, context: &RequestContext) -> Response<Body> {
        let id = &context.id;
        let (kind, body) = if context.wants_html {
            (HeaderValue::from_static("text/html; charset=utf-8"), self.html(id))
        } else {
            (HeaderValue::from_static("application/problem+json"), self.json(id))
        };
        let mut response = Response::new(full_body(body));
        *response.status_mut() = self.kind.status;
        // Tells the layers above that this answer is ours, and the access log which one.
        response.extensions_mut().insert(self.kind);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Whether a client that sends these headers is a person's browser on its way to a page.
    pub fn wants_html(headers: &HeaderMap) -> bool {
        let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
        let find = |needle: &[u8]| accept.windows(needle.len()).position(|window| window == needle);
        match (find(b"text/html"), find(b"json")) {
            (Some(html), Some(json)) => html < json,
            (html, _) => html.is_some(),
        }
    }

    fn json(&self, id: &RequestId) -> Vec<u8> {
        let document = Document {
            kind: format!("urn:seaworthy:problem:{}", self.kind.code),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: self.detail.as_deref(),
            code: self.kind.code,
            advice: self.kind.advice,
            request_id: id.as_str(),
            errors: self.errors.as_ref(),
        };
        // Strings and numbers always serialise; an empty body would still carry the status.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    fn html(&self, id: &RequestId) -> Vec<u8> {
        let detail = self.detail.as_deref().map(|text| format!("<p>{}</p>", escape(text))).unwrap_or_default();
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{title}</title><body><main><h1>{title}</h1>{detail}\
             <p>{advice}</p><p><small>{code} · request {id}</small></p></main></body></html>",
            title = escape(self.kind.title),
            advice = escape(self.kind.advice),
            code = self.kind.code,
        )
        .into_bytes()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const KIND: ProblemKind = ProblemKind {
        code: "SEA_TEST_KIND",
        status: StatusCode::BAD_GATEWAY,
        title: "It <broke>",
        advice: "Try again.",
    };

    fn context(wants_html: bool) -> RequestContext {
        RequestContext {
            id: RequestId::from_client(&HeaderValue::from_static("r-1")).unwrap(),
            client: None,
            route: "*".into(),
            received: std::time::Instant::now(),
            scheme: "http",
            version: "1.1",
            forwarded_host: None,
            client_headers: None,
            trace: None,
            wants_html,
            principal: Default::default(),
        }
    }

    #[tokio::test]
    async fn a_program_gets_problem_json_with_code_and_request_id() {
        let problem = Problem::new(KIND).detail("why").retry_after(3).errors(serde_json::json!([{ "in": "query" }]));
        let response = problem.into_response(&context(false));
        assert_eq!(response.status(), 502);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "3");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["code"], "SEA_TEST_KIND");
        assert_eq!(value["request_id"], "r-1");
        assert_eq!(value["detail"], "why");
        assert_eq!(value["errors"][0]["in"], "query");
    }

    #[tokio::test]
    async fn a_browser_gets_a_page_without_live_markup_from_us() {
        let response = Problem::new(KIND).into_response(&context(true));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("It &lt;broke&gt;"));
    }

    #[test]
    fn html_is_for_those_who_ask_for_it_first() {
        let wants = |accept: &'static str| {
            Problem::wants_html(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(wants("text/html,application/xhtml+xml,application/json;q=0.9"));
        assert!(!wants("application/json, text/html;q=0.5"));
        assert!(!wants("*/*"));
        assert!(!Problem::wants_html(&HeaderMap::new()));
    }
}
