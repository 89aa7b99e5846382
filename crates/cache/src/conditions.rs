//! Whether a client has the same already (RFC 9110, 13): `If-None-Match` by weak comparison, else `If-Modified-Since`.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        LAST_MODIFIED,
    },
};

use crate::{directives::split_list, freshness::date};

/// Of the body that a 304 does not have.
const OF_THE_BODY: [HeaderName; 4] = [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_RANGE];

/// Whether an answer with these headers may be a 304 for this request.
pub(crate) fn is_not_modified(request: &HeaderMap, answer: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        return answer.get(ETAG).is_some_and(|tag| names(request, tag));
    }
    // An answer without Last-Modified was made at its Date at the latest.
    let Some(since) = date(request, IF_MODIFIED_SINCE) else { return false };
    date(answer, LAST_MODIFIED).or_else(|| date(answer, DATE)).is_some_and(|changed| changed <= since)
}

/// Whether `If-None-Match` names this tag. `*` is not taken for it: whether there is anything, the app knows.
pub(crate) fn names(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let strong = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let tag = strong(tag.as_bytes());
    let mut given = request.get_all(IF_NONE_MATCH).iter().flat_map(|line| split_list(line.as_bytes()));
    given.any(|given| strong(given) == tag)
}

/// Makes the headers of a 304 of those of the whole answer.
pub(crate) fn keep_for_304(headers: &mut HeaderMap) {
    for name in OF_THE_BODY {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::tests::headers;

    #[test]
    fn weak_comparison_and_its_precedence_over_the_date() {
        let answer = headers(&[("etag", "W/\"a,b\""), ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT")]);
        let same = |lines: &[(&'static str, &'static str)]| is_not_modified(&headers(lines), &answer);
        assert!(same(&[("if-none-match", "\"x\", \"a,b\"")]));
        assert!(same(&[("if-none-match", "\"x\""), ("if-none-match", "W/\"a,b\"")]));
        assert!(!same(&[("if-none-match", "\"a\"")]) && !same(&[("if-none-match", "*")]));
        assert!(!same(&[("if-none-match", "\"x\""), ("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT")]));
        assert!(same(&[("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT")]));
        assert!(!same(&[("if-modified-since", "Tue, 14 Nov 2023 22:13:19 GMT")]));
        assert!(!same(&[("if-modified-since", "soon")]) && !same(&[]));
    }
}
