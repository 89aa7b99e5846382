//! What a client gets of a stored answer: all of it, a part, or word that it has it already.

use std::time::Instant;

use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE},
};
use seaworthy_core::{Body, empty_body, full_body};

use crate::{
    conditions,
    range::{self, Wanted},
    stored::Stored,
};

/// The answer to a request, at this moment. No byte of the body is copied.
pub(crate) fn from_store(stored: &Stored, method: &Method, request: &http::HeaderMap, now: Instant) -> Response<Body> {
    let mut response = Response::new(());
    *response.status_mut() = stored.status;
    *response.headers_mut() = stored.headers.clone();
    response.headers_mut().insert(AGE, HeaderValue::from(stored.age(now).as_secs().min(1 << 31)));
    let length = stored.body.len();
    // Of other methods conditions and ranges mean something else.
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if stored.status == StatusCode::OK && reads {
        if conditions::is_not_modified(request, &stored.headers) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            conditions::keep_for_304(response.headers_mut());
            return response.map(|()| empty_body());
        }
        let wanted =
            if *method == Method::GET { range::wanted(request, &stored.headers, length) } else { Wanted::Whole };
        match wanted {
            Wanted::Whole => {}
            Wanted::Part(first, last) => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let headers = response.headers_mut();
                if let Ok(range) = HeaderValue::from_str(&format!("bytes {first}-{last}/{length}")) {
                    headers.insert(CONTENT_RANGE, range);
                }
                headers.insert(CONTENT_LENGTH, HeaderValue::from(last - first + 1));
                return response.map(|()| full_body(stored.body.slice(first..=last)));
            }
            Wanted::Nothing => {
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                let headers = response.headers_mut();
                if let Ok(range) = HeaderValue::from_str(&format!("bytes */{length}")) {
                    headers.insert(CONTENT_RANGE, range);
                }
                headers.remove(CONTENT_TYPE);
                headers.remove(CONTENT_LENGTH);
                return response.map(|()| empty_body());
            }
        }
    }
    if *method == Method::HEAD {
        // What a GET would say; a length that is not written would become 0.
        if stored.status != StatusCode::NO_CONTENT {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        return response.map(|()| empty_body());
    }
    response.map(|()| if length == 0 { empty_body() } else { full_body(stored.body.clone()) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use http_body_util::BodyExt;

    use super::*;
    use crate::stored::tests::{headers, stored};

    async fn ask(method: Method, request: &[(&'static str, &'static str)]) -> (u16, HeaderMap, String) {
        let answer = headers(&[("etag", "\"a\""), ("content-length", "11"), ("content-type", "text/plain")]);
        let stored = stored(&HeaderMap::new(), answer, "01234567890");
        let response = from_store(&stored, &method, &headers(request), stored.at + Duration::from_secs(7));
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(parts.headers[AGE], "7");
        (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn whole_part_head_and_not_modified() {
        let (status, _, body) = ask(Method::GET, &[]).await;
        assert_eq!((status, &*body), (200, "01234567890"));
        let (status, headers, body) = ask(Method::GET, &[("range", "bytes=0-1")]).await;
        assert_eq!((status, &*body, &headers["content-length"]), (206, "01", &HeaderValue::from(2)));
        assert_eq!(headers["content-range"], "bytes 0-1/11");
        let (status, headers, body) = ask(Method::GET, &[("range", "bytes=11-")]).await;
        assert_eq!((status, &*body, headers["content-range"].to_str().unwrap()), (416, "", "bytes */11"));
        let (status, headers, body) = ask(Method::HEAD, &[("range", "bytes=0-1")]).await;
        assert_eq!((status, &*body, &headers["content-length"]), (200, "", &HeaderValue::from(11)));
        let (status, _, body) = ask(Method::POST, &[("if-none-match", "\"a\""), ("range", "bytes=0-1")]).await;
        assert_eq!((status, &*body), (200, "01234567890"), "a search");
        let (status, headers, body) = ask(Method::GET, &[("if-none-match", "\"a\""), ("range", "bytes=0-1")]).await;
        assert_eq!((status, &*body, headers.get("content-length")), (304, "", None));
        assert_eq!(headers["etag"], "\"a\"");
    }
}
