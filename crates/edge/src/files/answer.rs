//! From a file that was found to a response: conditions, ranges, headers.

use std::{io, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use seaworthy_core::{Body, Problem, ProblemKind, RequestContext, empty_body, full_body};

use super::{
    body::{FileBody, PIECE, Part, read},
    conditions::{self, Outcome, Validators},
    lookup::Found,
    media_type, problems,
    ranges::{self, Selection, Span},
};

/// A problem, and headers that belong to it.
#[derive(Debug)]
pub(crate) struct Refusal {
    kind: &'static ProblemKind,
    header: Option<(header::HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal that needs no header.
    pub(crate) fn new(kind: &'static ProblemKind) -> Self {
        Self { kind, header: None }
    }

    /// Adds a header.
    pub(crate) fn with(self, name: header::HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// The answer.
    pub(crate) fn into_response(self, context: &RequestContext) -> Response<Body> {
        let mut response = Problem::new(*self.kind).into_response(context);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        tracing::warn!(%error, "a file cannot be read");
        Self::new(&problems::UNREADABLE)
    }
}

/// Sends the client elsewhere, for good, but without a memory of it: a later build may have a file there.
pub(crate) fn redirect(path: &str, query: Option<&str>) -> Result<Response<Body>, Refusal> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    // The path begins with exactly one slash, so this stays on our host.
    let location = HeaderValue::from_bytes(format!("{path}{query}").as_bytes());
    let location = location.map_err(|_| Refusal::new(&problems::NOT_FOUND))?;
    let mut response = Response::new(empty_body());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Answers with a file, with a part of it, or with what the request's conditions ask for. Reads a small file at once.
pub(crate) fn answer(found: Found, request: &Parts, cache: HeaderValue) -> Result<Response<Body>, Refusal> {
    let validators = Validators::of(&found.opened.metadata, found.coding, SystemTime::now());
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CACHE_CONTROL, cache);
    headers.extend(validators.etag().map(|tag| (header::ETAG, tag)));
    headers.extend(vary(&found).map(|names| (header::VARY, names)));
    match conditions::evaluate(&request.headers, &validators) {
        Outcome::Failed => return Err(Refusal::new(&problems::PRECONDITION)),
        Outcome::NotModified => return Ok(response(StatusCode::NOT_MODIFIED, headers, empty_body())),
        Outcome::Proceed => {}
    }
    headers.extend(validators.last_modified().map(|date| (header::LAST_MODIFIED, date)));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.extend(found.coding.map(|coding| (header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()))));
    let length = found.opened.metadata.len();
    match selection(request, &validators, length) {
        Selection::Whole => whole(found, request, headers),
        Selection::Unsatisfiable => {
            let value = HeaderValue::try_from(format!("bytes */{length}")).ok();
            let refusal = Refusal::new(&problems::RANGE);
            Err(value.into_iter().fold(refusal, |refusal, value| refusal.with(header::CONTENT_RANGE, value)))
        }
        Selection::Parts(spans) => partial(found, &spans, headers),
    }
}

/// Of the methods that we answer, only GET knows ranges (RFC 9110, 14.2).
fn selection(request: &Parts, validators: &Validators, length: u64) -> Selection {
    let mut values = request.headers.get_all(header::RANGE).iter();
    match (values.next(), values.next()) {
        (Some(value), None)
            if request.method == Method::GET && conditions::range_applies(&request.headers, validators) =>
        {
            ranges::select(value.as_bytes(), length)
        }
        _ => Selection::Whole,
    }
}

fn whole(found: Found, request: &Parts, mut headers: HeaderMap) -> Result<Response<Body>, Refusal> {
    let length = found.opened.metadata.len();
    headers.insert(header::CONTENT_TYPE, media_type::content_type(found.media_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let body = match length {
        0 => empty_body(),
        _ if request.method == Method::HEAD => empty_body(),
        length if length <= PIECE => full_body(read(&found.opened.file, Span { first: 0, last: length - 1 })?),
        length => {
            let span = Span { first: 0, last: length - 1 };
            FileBody::new(found.opened.file, vec![Part::File(span)]).boxed_unsync()
        }
    };
    Ok(response(StatusCode::OK, headers, body))
}

fn partial(found: Found, spans: &[Span], mut headers: HeaderMap) -> Result<Response<Body>, Refusal> {
    let length = found.opened.metadata.len();
    let content_type = media_type::content_type(found.media_type);
    let range = |span: &Span| HeaderValue::try_from(format!("bytes {}-{}/{length}", span.first, span.last));
    let mut parts = Vec::with_capacity(spans.len() * 2 + 1);
    if let [span] = spans {
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.extend(range(span).map(|value| (header::CONTENT_RANGE, value)));
        parts.push(Part::File(*span));
    } else {
        // RFC 9110, 14.6. A file cannot know the boundary, so it cannot imitate one.
        let boundary = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        for span in spans {
            let mut head = format!("\r\n--{boundary}\r\ncontent-type: ").into_bytes();
            head.extend_from_slice(content_type.as_bytes());
            let range = format!("\r\ncontent-range: bytes {}-{}/{length}\r\n\r\n", span.first, span.last);
            head.extend_from_slice(range.as_bytes());
            parts.push(Part::Text(Bytes::from(head)));
            parts.push(Part::File(*span));
        }
        parts.push(Part::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
        let multipart = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"));
        headers.extend(multipart.map(|value| (header::CONTENT_TYPE, value)));
    }
    let body = FileBody::new(found.opened.file, parts);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.length()));
    Ok(response(StatusCode::PARTIAL_CONTENT, headers, body.boxed_unsync()))
}

fn vary(found: &Found) -> Option<HeaderValue> {
    match (found.fallback, found.varies) {
        (true, true) => Some(HeaderValue::from_static("accept, accept-encoding")),
        (true, false) => Some(HeaderValue::from_static("accept")),
        (false, true) => Some(HeaderValue::from_static("accept-encoding")),
        (false, false) => None,
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
