//! An answer as it is kept: what of it is kept, and how it becomes an answer again.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        AGE, CONNECTION, CONTENT_LENGTH, DATE, PROXY_AUTHENTICATE, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
        VIA,
    },
};
use seaworthy_core::{Body, full_body};

/// Says that the answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What is known of a key that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// What the first request was; `None` when the app answered without reading it to its end.
    pub fingerprint: Option<[u8; 32]>,
    pub answer: Answer,
}

/// What became of the first request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Given to the app, and no more is known.
    Unknown,
    /// Answered, and not kept.
    NotKept,
    Kept(Kept),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub status: u16,
    /// Lines of `name: value`, as they came.
    pub head: Vec<u8>,
    pub body: Bytes,
}

impl Kept {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let mut head = Vec::new();
        for (name, value) in headers.iter().filter(|(name, _)| is_kept(name)) {
            for bytes in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"] {
                head.extend_from_slice(bytes);
            }
        }
        Self { status: status.as_u16(), head, body }
    }

    /// Bytes of it.
    pub(super) fn size(&self) -> u64 {
        (self.head.len() + self.body.len()) as u64
    }

    /// The same answer again. What cannot be read any more is left out; nobody but us has written it.
    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(full_body(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let headers = response.headers_mut();
        for line in self.head.split(|byte| *byte == b'\n') {
            let Some(colon) = line.windows(2).position(|two| two == b": ") else { continue };
            let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 2..]));
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

/// Not what belongs to one connection or one moment; nor cookies, which are secrets, and were set the first time.
fn is_kept(name: &HeaderName) -> bool {
    const LEFT_OUT: [HeaderName; 11] = [
        AGE,
        CONNECTION,
        CONTENT_LENGTH,
        DATE,
        PROXY_AUTHENTICATE,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        VIA,
    ];
    !LEFT_OUT.contains(name) && !matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_without_what_was_of_its_moment() {
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("location"), HeaderValue::from_static("/orders/7")),
            (HeaderName::from_static("x-odd"), HeaderValue::from_bytes(b"a: \xfc: b").unwrap()),
            (SET_COOKIE, HeaderValue::from_static("session=secret")),
            (DATE, HeaderValue::from_static("Mon, 30 Nov 2026 17:00:00 GMT")),
        ]);
        let kept = Kept::new(StatusCode::CREATED, &headers, Bytes::from_static(b"{}"));
        assert!(!String::from_utf8_lossy(&kept.head).contains("secret"));
        let again = kept.response();
        assert_eq!(again.status(), 201);
        assert_eq!(again.headers()["location"], "/orders/7");
        assert_eq!(again.headers()["x-odd"].as_bytes(), b"a: \xfc: b");
        assert_eq!(again.headers()["idempotency-replayed"], "true");
        assert_eq!(again.headers().len(), 3);
    }
}
