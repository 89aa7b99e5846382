//! Whether an answer was made for its request or comes from a store: `Cache-Status` (RFC 9211), the fields that had its place
//! before, and `Age` (RFC 9111, 5.1). What says nothing is taken for made.

use std::time::Duration;

use tokio::time::sleep;

use crate::http::{Answer, Client, HttpError};

/// After it the age of a copy has grown.
const SECOND: Duration = Duration::from_millis(1_100);

/// What an answer says of where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A store, or another request that asked for the same at the same time.
    Copy,
    /// Whoever makes such answers.
    Made,
    /// An `Age` of nothing and no other word: a copy of this second, or a cache that writes it on all that passes.
    Either,
}

/// Older than the standard, and read by their words.
const FIELDS: [&str; 4] = ["x-cache", "x-cache-status", "x-proxy-cache", "cf-cache-status"];
/// Words of a copy there; all others are of an answer that was made.
const COPIED: [&str; 3] = ["hit", "stale", "updating"];

/// Where an answer comes from, as far as it says so by itself.
pub(super) fn origin(answer: &Answer) -> Origin {
    let lines = |name: &str| {
        let values = answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.map(str::to_ascii_lowercase).collect::<Vec<_>>()
    };
    let said = |copied: bool| if copied { Origin::Copy } else { Origin::Made };
    let status = lines("cache-status");
    if !status.is_empty() {
        let has = |word: &str| {
            status
                .iter()
                .flat_map(|line| line.split([';', ',']))
                .any(|part| part.trim().split('=').next() == Some(word))
        };
        return said(has("hit") || has("collapsed"));
    }
    if let Some(words) = FIELDS.iter().map(|name| lines(name)).find(|lines| !lines.is_empty()) {
        let mut all = words.iter().flat_map(|line| line.split(|letter: char| !letter.is_ascii_alphanumeric()));
        return said(all.any(|word| COPIED.contains(&word) || word.ends_with("hit")));
    }
    if let Some(numbers) = lines("x-varnish").first() {
        // Its own request, and the one that a copy was made for.
        return said(numbers.split_whitespace().count() > 1);
    }
    match answer.header("age").and_then(|age| age.parse::<u64>().ok()) {
        Some(0) => Origin::Either,
        Some(_) => Origin::Copy,
        None => Origin::Made,
    }
}

/// Asks for the same twice, one after the other. Where both answers have an age of nothing the later one is asked for again
/// after a second: somebody may have asked just before, and then both are copies.
pub(super) async fn twice(client: &Client, path: &str) -> Result<(Answer, Answer), HttpError> {
    let first = client.get(path).await?;
    let mut second = client.get(path).await?;
    if first.headers.contains_key("age") && origin(&second) == Origin::Either {
        sleep(SECOND).await;
        second = client.get(path).await?;
    }
    Ok((first, second))
}

/// Whether the later one of two answers is a copy. Where that stands open, it is one if the earlier one had no age.
pub(super) fn is_copy(earlier: &Answer, later: &Answer) -> bool {
    match origin(later) {
        Origin::Copy => true,
        Origin::Made => false,
        Origin::Either => earlier.header("age").is_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::*;

    fn answer(lines: &[(&'static str, &'static str)]) -> Answer {
        let pairs = lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers: HeaderMap = pairs.collect();
        Answer { status: StatusCode::OK, headers, body: Default::default(), length: 0, elapsed: Duration::ZERO }
    }

    #[test]
    fn copies_are_told_by_the_words_of_the_caches_that_there_are() {
        for copy in [
            ("cache-status", "seaworthy; hit; ttl=5"),
            ("cache-status", "seaworthy; fwd=uri-miss; collapsed"),
            ("cache-status", "\"a\"; fwd=miss, b;hit"),
            ("x-cache", "Hit from cloudfront"),
            ("x-cache", "TCP_HIT"),
            ("x-cache", "TCP_MEM_HIT from a.test"),
            ("x-cache-status", "STALE"),
            ("cf-cache-status", "HIT"),
            ("x-varnish", "32770 3"),
            ("age", "7"),
        ] {
            assert_eq!(origin(&answer(&[copy])), Origin::Copy, "{copy:?}");
        }
        for made in [
            ("cache-status", "seaworthy; fwd=uri-miss; fwd-status=200; stored"),
            ("cache-status", "whitehit.test; fwd=bypass"),
            ("x-cache", "Miss from cloudfront"),
            ("cf-cache-status", "DYNAMIC"),
            ("x-varnish", "32770"),
            ("age", "old"),
            ("x", "hit"),
        ] {
            assert_eq!(origin(&answer(&[made])), Origin::Made, "{made:?}");
        }
        assert_eq!(origin(&answer(&[("x-varnish", "5"), ("age", "0")])), Origin::Made, "Varnish ages all that passes");
        assert_eq!(origin(&answer(&[("x-cache", "MISS"), ("age", "0")])), Origin::Made, "and so does Fastly");
    }

    #[test]
    fn an_age_of_nothing_is_a_copy_where_the_first_had_none() {
        let (plain, young) = (answer(&[]), answer(&[("age", "0")]));
        assert!(is_copy(&plain, &young) && !is_copy(&young, &young) && !is_copy(&young, &plain));
    }
}
