//! One byte range of a stored answer (RFC 9110, 14).

use http::{
    HeaderMap, HeaderValue,
    header::{ETAG, IF_RANGE, LAST_MODIFIED, RANGE},
};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything; also where several ranges are asked for, or something that is none.
    Whole,
    /// These bytes, the last one included.
    Part(usize, usize),
    /// Nothing that there is.
    Nothing,
}

/// What a request wants of a body of this length.
pub(crate) fn wanted(request: &HeaderMap, stored: &HeaderMap, length: usize) -> Wanted {
    let Some(text) = request.get(RANGE).and_then(|range| range.to_str().ok()) else { return Wanted::Whole };
    if request.get(IF_RANGE).is_some_and(|condition| !is_same(condition, stored)) {
        return Wanted::Whole;
    }
    let Some((unit, range)) = text.split_once('=') else { return Wanted::Whole };
    let Some((first, last)) = range.trim().split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes")) else {
        return Wanted::Whole;
    };
    let number = |text: &str| match text.as_bytes() {
        [] => Ok(None),
        digits if digits.iter().all(u8::is_ascii_digit) => Ok(Some(text.parse().unwrap_or(usize::MAX))),
        _ => Err(()),
    };
    match (number(first), number(last)) {
        (Ok(Some(first)), Ok(last)) if last.is_none_or(|last| first <= last) => {
            let last = last.unwrap_or(usize::MAX).min(length.saturating_sub(1));
            if first < length { Wanted::Part(first, last) } else { Wanted::Nothing }
        }
        (Ok(None), Ok(Some(count))) if count == 0 || length == 0 => Wanted::Nothing,
        (Ok(None), Ok(Some(count))) => Wanted::Part(length.saturating_sub(count), length - 1),
        _ => Wanted::Whole,
    }
}

/// A strong ETag, or the very date (RFC 9110, 13.1.5).
fn is_same(condition: &HeaderValue, stored: &HeaderMap) -> bool {
    let known = if condition.as_bytes().contains(&b'"') { stored.get(ETAG) } else { stored.get(LAST_MODIFIED) };
    !condition.as_bytes().starts_with(b"W/") && known.is_some_and(|known| known == condition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::tests::headers;

    fn of(range: &'static str, length: usize) -> Wanted {
        wanted(&headers(&[("range", range)]), &HeaderMap::new(), length)
    }

    #[test]
    fn ranges_of_the_standard() {
        assert_eq!(of("bytes=0-1", 10), Wanted::Part(0, 1));
        assert_eq!(of("bytes=3-", 10), Wanted::Part(3, 9));
        assert_eq!(of("bytes=-3", 10), Wanted::Part(7, 9));
        assert_eq!(of("bytes=-30", 10), Wanted::Part(0, 9));
        assert_eq!(of("bytes=5-99999999999999999999999", 10), Wanted::Part(5, 9));
        for nothing in ["bytes=10-", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of(nothing, 10), Wanted::Nothing, "{nothing}");
        }
        assert_eq!(of("bytes=-1", 0), Wanted::Nothing);
        for whole in ["bytes=2-1", "bytes=a-b", "bytes=1-2,4-5", "lines=1-2", "bytes=-", "bytes", "bytes=+1-2"] {
            assert_eq!(of(whole, 10), Wanted::Whole, "{whole}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_the_whole() {
        let stored = headers(&[("etag", "\"a\""), ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT")]);
        let part = |condition: &'static str| {
            wanted(&headers(&[("range", "bytes=0-1"), ("if-range", condition)]), &stored, 9) == Wanted::Part(0, 1)
        };
        assert!(part("\"a\"") && part("Tue, 14 Nov 2023 22:13:20 GMT"));
        assert!(!part("\"b\"") && !part("W/\"a\"") && !part("Tue, 14 Nov 2023 22:13:21 GMT"));
    }
}
