//! Entity tags of compressed answers (RFC 9110, 8.8.3.3): a strong tag gets the name of its coding, `"v1"` is `"v1~br"`, and
//! loses it on the way to the app, so that `If-None-Match` and `If-Match` hold for the app that made the tag.
//!
//! `If-Range` keeps the name: parts are cut from what is not compressed, and must not be put together with what is.

use http::{
    HeaderMap, HeaderValue,
    header::{ETAG, IF_MATCH, IF_NONE_MATCH},
};
use seaworthy_core::Coding;

/// Between a tag and its coding.
const MARK: u8 = b'~';

/// Names the coding in a strong tag. A weak one says already that bytes may differ.
pub(crate) fn mark(headers: &mut HeaderMap, coding: Coding) {
    let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else { return };
    let Some(inside) = tag.as_bytes().strip_suffix(b"\"").filter(|inside| !inside.is_empty()) else { return };
    let mut marked = Vec::with_capacity(tag.len() + 6);
    marked.extend_from_slice(inside);
    marked.push(MARK);
    marked.extend_from_slice(coding.name().as_bytes());
    marked.push(b'"');
    if let Ok(marked) = HeaderValue::from_bytes(&marked) {
        headers.insert(ETAG, marked);
    }
}

/// Takes our names off the tags of conditions. Returns the `If-None-Match` that the client sent, where one had such a name.
pub(crate) fn unmark(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut sent = None;
    // Most requests have no conditions: a look at what is there is cheaper than one for each.
    if !headers.keys().any(|name| *name == IF_NONE_MATCH || *name == IF_MATCH) {
        return None;
    }
    for name in [IF_NONE_MATCH, IF_MATCH] {
        let marked = |value: &HeaderValue| value.as_bytes().contains(&MARK);
        if !headers.get_all(&name).iter().any(marked) {
            continue;
        }
        let lines: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
        let list = lines.join(&b", "[..]);
        let plain = without_marks(&list);
        if let (true, Ok(value)) = (plain != list, HeaderValue::from_bytes(&plain)) {
            if name == IF_NONE_MATCH {
                sent = HeaderValue::from_bytes(&list).ok();
            }
            headers.insert(name, value);
        }
    }
    sent
}

fn without_marks(list: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(list.len());
    let mut rest = list;
    while let Some(at) = rest.iter().position(|byte| *byte == MARK) {
        plain.extend_from_slice(&rest[..at]);
        let behind = &rest[at + 1..];
        let name = Coding::ALL
            .map(Coding::name)
            .into_iter()
            .find(|name| behind.strip_prefix(name.as_bytes()).is_some_and(|end| end.starts_with(b"\"")));
        match name {
            Some(name) => rest = &behind[name.len()..],
            None => {
                plain.push(MARK);
                rest = behind;
            }
        }
    }
    plain.extend_from_slice(rest);
    plain
}

/// On a 304: the tag by which the client knows its copy, where `sent` is what it asked with (RFC 9111, 4.3.3).
pub(super) fn remark(headers: &mut HeaderMap, sent: &HeaderValue) {
    let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")).cloned() else { return };
    let known = |list: &[u8], tag: &[u8]| list.windows(tag.len()).any(|part| part == tag);
    // It has that very one, uncompressed.
    if known(sent.as_bytes(), tag.as_bytes()) {
        return;
    }
    for coding in Coding::ALL {
        mark(headers, coding);
        if headers.get(ETAG).is_some_and(|marked| known(sent.as_bytes(), marked.as_bytes())) {
            return;
        }
        headers.insert(ETAG, tag.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn strong_tags_are_named_and_weak_ones_and_nonsense_stay() {
        let marked = |tag: &str| {
            let mut headers = one(ETAG, tag);
            mark(&mut headers, Coding::Zstandard);
            headers[ETAG].to_str().unwrap().to_owned()
        };
        assert_eq!(marked("\"v1\""), "\"v1~zstd\"");
        assert_eq!(marked("\"\""), "\"~zstd\"");
        for same in ["W/\"v1\"", "v1", "\"", "\"v1"] {
            assert_eq!(marked(same), same);
        }
    }

    #[test]
    fn conditions_reach_the_app_with_its_own_tags() {
        let plain = |value: &str| {
            let mut headers = one(IF_NONE_MATCH, value);
            unmark(&mut headers);
            headers[IF_NONE_MATCH].to_str().unwrap().to_owned()
        };
        assert_eq!(plain("\"v1~br\""), "\"v1\"");
        assert_eq!(plain("W/\"a~gzip\", \"b~zstd\",\"c\""), "W/\"a\", \"b\",\"c\"");
        for same in ["\"a~b\"", "\"~\"", "\"a~gzip2\"", "\"a~gzi", "*", "\"a~GZIP\"", "~"] {
            assert_eq!(plain(same), same);
        }
        let mut headers = one(IF_MATCH, "\"v1~gzip\"");
        assert_eq!((unmark(&mut headers), &headers[IF_MATCH]), (None, &HeaderValue::from_static("\"v1\"")));
        let mut two = one(IF_NONE_MATCH, "\"a\"");
        two.append(IF_NONE_MATCH, HeaderValue::from_static("\"b~br\""));
        assert_eq!(unmark(&mut two).unwrap(), "\"a\", \"b~br\"");
        assert_eq!(two.get_all(IF_NONE_MATCH).iter().collect::<Vec<_>>(), ["\"a\", \"b\""]);
    }

    #[test]
    fn a_304_names_the_copy_that_the_client_has() {
        let tag = |sent: &'static str, tag: &str| {
            let mut headers = one(ETAG, tag);
            remark(&mut headers, &HeaderValue::from_static(sent));
            headers[ETAG].to_str().unwrap().to_owned()
        };
        assert_eq!(tag("\"v0\", \"v1~br\"", "\"v1\""), "\"v1~br\"");
        assert_eq!(tag("\"v1~br\", \"v1\"", "\"v1\""), "\"v1\"");
        assert_eq!(tag("\"v2~br\"", "\"v1\""), "\"v1\"");
        assert_eq!(tag("\"v1~br\"", "W/\"v1\""), "W/\"v1\"");
    }
}
