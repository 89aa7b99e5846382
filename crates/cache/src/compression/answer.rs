//! Which answers are compressed, and what their head says then.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRAILER, VARY,
    },
    response::Parts,
};
use seaworthy_core::Coding;

use super::{settings::CompressionPolicy, tags};
use crate::directives::split_list;

/// Digests of the bytes as they are (RFC 9530; RFC 3230; RFC 1864): others would not fit them.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];
/// Events that must arrive one by one. Clients that read them through a decoder wait for whole blocks.
const STREAMS: [&str; 2] = ["text/event-stream", "multipart/x-mixed-replace"];
/// Beside `text/…`, `…+json`, `…+xml` and `…+yaml`.
const TYPES: [&str; 21] = [
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/xml",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/json-seq",
    "application/yaml",
    "application/toml",
    "application/sql",
    "application/rtf",
    "application/wasm",
    "application/vnd.ms-fontobject",
    "font/ttf",
    "font/otf",
    "image/bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "application/graphql",
];

/// Whether an answer is one to compress, whoever asked: then it varies by `Accept-Encoding`. `length` is that of its body,
/// where it is known.
pub(super) fn is_compressible(policy: &CompressionPolicy, parts: &Parts, length: Option<u64>) -> bool {
    let headers = &parts.headers;
    let status = parts.status;
    let has_body = !status.is_informational()
        && !matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        );
    has_body
        && length.is_none_or(|length| length >= policy.min_size.max(1))
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && headers.get(CONTENT_TYPE).is_some_and(|kind| takes(policy, kind))
        && !has_digest(headers)
        && !forbids_change(headers)
}

/// `no-transform` of either side (RFC 9111, 5.2.1.6 and 5.2.2.6).
pub(super) fn forbids_change(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    lines.flat_map(|line| split_list(line.as_bytes())).any(|word| word.eq_ignore_ascii_case(b"no-transform"))
}

/// Before the body, or announced to follow it.
fn has_digest(headers: &HeaderMap) -> bool {
    let announced = headers.get_all(TRAILER).iter().flat_map(|line| split_list(line.as_bytes()));
    DIGESTS.iter().any(|name| headers.contains_key(name))
        || announced
            .into_iter()
            .any(|field| DIGESTS.iter().any(|name| field.eq_ignore_ascii_case(name.as_str().as_bytes())))
}

/// Whether a media type, in small letters and without parameters, is a stream of events.
pub(super) fn is_stream(name: &str) -> bool {
    STREAMS.contains(&name)
}

fn takes(policy: &CompressionPolicy, kind: &HeaderValue) -> bool {
    /// Longer names are not ours, nor anybody's.
    const LONGEST: usize = 127;
    let name = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let mut small = [0; LONGEST];
    let Some(small) = small.get_mut(..name.len()) else { return false };
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    let Ok(name) = std::str::from_utf8(small) else { return false };
    if is_stream(name) {
        return false;
    }
    name.starts_with("text/")
        || ["+json", "+xml", "+yaml"].iter().any(|end| name.ends_with(end))
        || TYPES.contains(&name)
        || policy.types.iter().any(|known| known == name)
}

/// Names `Accept-Encoding` in `Vary`, beside what is there.
pub(super) fn vary(headers: &mut HeaderMap) {
    let names = headers.get_all(VARY).iter().flat_map(|line| split_list(line.as_bytes()));
    if !names.into_iter().any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding")) {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// The head of the answer in this coding.
pub(super) fn encode_head(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(CONTENT_LENGTH);
    // Parts are cut from the plain answer, which is another representation.
    headers.remove(ACCEPT_RANGES);
    tags::mark(headers, coding);
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;
    use crate::compression::CompressionSettings;

    fn policy() -> CompressionPolicy {
        let settings =
            CompressionSettings { types: vec!["Application/X-Own".into()], ..CompressionSettings::default() };
        super::super::CompressionSetting::Policy(settings).policy().unwrap()
    }

    fn judge(status: u16, lines: &[(&str, &str)], length: Option<u64>) -> bool {
        let mut response = Response::builder().status(status);
        for (name, value) in lines {
            response = response.header(*name, *value);
        }
        is_compressible(&policy(), &response.body(()).unwrap().into_parts().0, length)
    }

    #[test]
    fn types_that_gain_by_it() {
        let takes = |kind: &str| judge(200, &[("content-type", kind)], None);
        for kind in [
            "text/html; charset=utf-8",
            "Application/JSON",
            "application/problem+json",
            "image/svg+xml",
            "application/x-ndjson",
            "text/css",
            "application/x-own;v=1",
            "font/ttf",
        ] {
            assert!(takes(kind), "{kind}");
        }
        for kind in [
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "image/png",
            "font/woff2",
            "application/zip",
            "application/octet-stream",
            "application/grpc",
            "multipart/x-mixed-replace; boundary=x",
            "video/mp4",
            "",
        ] {
            assert!(!takes(kind), "{kind}");
        }
        assert!(!judge(200, &[], None), "no type");
        assert!(!takes(&format!("text/{}", "x".repeat(200))));
    }

    #[test]
    fn what_must_stay_as_it_is() {
        let json = ("content-type", "application/json");
        assert!(judge(200, &[json], Some(1024)) && judge(404, &[json], Some(5000)));
        assert!(!judge(200, &[json], Some(1023)) && !judge(200, &[json], Some(0)));
        for status in [101, 204, 205, 206, 304] {
            assert!(!judge(status, &[json], None), "{status}");
        }
        for header in [
            ("content-encoding", "gzip"),
            ("content-encoding", "identity"),
            ("content-range", "bytes 0-1/2"),
            ("cache-control", "max-age=5, No-Transform"),
            ("repr-digest", "sha-256=:AA==:"),
            ("trailer", "x-sum, Content-Digest"),
        ] {
            assert!(!judge(200, &[json, header], None), "{header:?}");
        }
    }

    #[test]
    fn vary_is_merged() {
        let merged = |value: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(value.map(|value| (VARY, HeaderValue::from_static(value))));
            vary(&mut headers);
            vary(&mut headers);
            let lines = headers.get_all(VARY).iter().map(|line| line.to_str().unwrap());
            lines.collect::<Vec<_>>().join("|")
        };
        assert_eq!(merged(None), "accept-encoding");
        assert_eq!(merged(Some("Cookie, origin")), "Cookie, origin|accept-encoding");
        assert_eq!(merged(Some("origin,Accept-Encoding")), "origin,Accept-Encoding");
        assert_eq!(merged(Some("*")), "*");
    }
}
