//! One stored answer: its head and body, the request headers that it was chosen by, and what may be done with it.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        LAST_MODIFIED, ORIGIN, VARY,
    },
};

use sha2::{Digest, Sha256};

use crate::{directives::split_list, freshness::Terms};

/// What an entry takes beside its texts, roughly: maps, pointers, allocations.
const OVERHEAD: usize = 512;
/// A stale answer that the app could confirm is kept below the memory for so long at least.
const CONFIRMABLE: Duration = Duration::from_secs(3_600);
/// A digest of the body, for which a 304 has no new one.
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// These describe the stored body, and a 304 does not bring another (RFC 9111, 3.2).
const OF_THE_BODY: [HeaderName; 5] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_MD5, ETAG];

/// A stored answer. It never changes: a newer one takes its place.
#[derive(Debug)]
pub(crate) struct Stored {
    pub status: StatusCode,
    /// Without `Age`.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub terms: Terms,
    /// When it came, or was last confirmed.
    pub at: Instant,
    /// Hashes of its tags.
    pub tags: Vec<u64>,
    /// The request headers that `Vary` names, each with what the request had.
    pub vary: Vec<(HeaderName, Had)>,
    /// It came from a tier below the memory, and not from the app.
    pub from_tier: bool,
}

/// What a request had of a header: all its lines as one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Had {
    Nothing,
    Value(Vec<u8>),
    /// SHA-256 over such a value: what could be a credential is not written down.
    Digest([u8; 32]),
}

impl Had {
    fn is(&self, request: &HeaderMap, name: &HeaderName) -> bool {
        match self {
            Self::Nothing => !request.contains_key(name),
            Self::Value(value) => joined(request, name).is_some_and(|given| given == *value),
            Self::Digest(digest) => joined(request, name).is_some_and(|given| Sha256::digest(&given)[..] == digest[..]),
        }
    }

    /// The digest of the value; `None` where there was nothing.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        match self {
            Self::Nothing => None,
            Self::Value(value) => Some(Sha256::digest(value).into()),
            Self::Digest(digest) => Some(*digest),
        }
    }

    /// As it may be written down: of headers that negotiate, the value; of others, which may say who somebody is, a digest.
    pub(crate) fn without_secrets(&self, name: &HeaderName) -> Self {
        match self.digest() {
            Some(digest) if !name.as_str().starts_with("accept") && *name != ORIGIN => Self::Digest(digest),
            _ => self.clone(),
        }
    }
}

impl Stored {
    /// An answer to a request with these headers.
    pub(crate) fn new(
        request: &HeaderMap,
        (status, mut headers): (StatusCode, HeaderMap),
        body: Bytes,
        terms: Terms,
        (at, wall): (Instant, SystemTime),
    ) -> Self {
        headers.remove(AGE);
        // RFC 9110, 6.6.1: whoever stores it adds the date that its sender left out.
        if !headers.contains_key(DATE)
            && let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(wall))
        {
            headers.insert(DATE, date);
        }
        let names = headers.get_all(VARY).iter().flat_map(|line| split_list(line.as_bytes()));
        let vary = names.filter_map(|name| HeaderName::from_bytes(name).ok()).map(|name| {
            let had = joined(request, &name).map_or(Had::Nothing, Had::Value);
            (name, had)
        });
        let vary = vary.collect();
        Self { status, headers, body, terms, at, tags: Vec::new(), vary, from_tier: false }
    }

    /// The same, confirmed by a 304 with these headers (RFC 9111, 4.3.4); its terms are still the old ones. A 304 without a
    /// date came now (RFC 9110, 6.6.1): by the date of the first answer, what was just confirmed would be as old as that.
    pub(crate) fn confirmed_headers(&self, confirmation: &HeaderMap) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.remove(DATE);
        for name in confirmation.keys().filter(|name| !OF_THE_BODY.contains(name)) {
            headers.remove(name);
            for value in confirmation.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers
    }

    /// Whether it answers a request with these headers, as far as `Vary` goes (RFC 9111, 4.1).
    pub(crate) fn matches(&self, request: &HeaderMap) -> bool {
        self.vary.iter().all(|(name, had)| had.is(request, name))
    }

    /// Whether the two are chosen by the same headers, so that the newer one is in place of the older.
    pub(crate) fn replaces(&self, older: &Self) -> bool {
        let same = |(one, other): (&(HeaderName, Had), &(HeaderName, Had))| {
            one.0 == other.0 && (one.1 == other.1 || one.1.digest() == other.1.digest())
        };
        self.vary.len() == older.vary.len() && self.vary.iter().zip(&older.vary).all(same)
    }

    /// How old it is now.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.terms.initial_age + now.saturating_duration_since(self.at)
    }

    /// Whether it may be given without asking the app.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        !self.terms.always_validate && self.age(now) < self.terms.fresh_for
    }

    /// Whether it may be given while it is refreshed.
    pub(crate) fn serves_while_revalidating(&self, now: Instant) -> bool {
        !self.terms.while_revalidate.is_zero() && self.age(now) < self.terms.fresh_for + self.terms.while_revalidate
    }

    /// Whether it may stand in for an app that fails.
    pub(crate) fn serves_on_error(&self, now: Instant) -> bool {
        !self.terms.if_error.is_zero() && self.age(now) < self.terms.fresh_for + self.terms.if_error
    }

    /// For how long it will be of use: fresh, in place of a fresh one, or as something that the app can confirm.
    pub(crate) fn useful_for(&self, now: Instant) -> Duration {
        let given = match self.terms.always_validate {
            true => Duration::ZERO,
            false => self.terms.fresh_for + self.terms.while_revalidate.max(self.terms.if_error),
        };
        let confirmed = if self.can_be_confirmed() { CONFIRMABLE } else { Duration::ZERO };
        given.saturating_sub(self.age(now)).max(confirmed)
    }

    /// Whether the app can be asked if it is still current.
    pub(crate) fn can_be_confirmed(&self) -> bool {
        self.headers.contains_key(ETAG) || self.headers.contains_key(LAST_MODIFIED)
    }

    /// Asks that, in place of whatever the client asks (RFC 9111, 4.3.1).
    pub(crate) fn put_conditions(&self, request: &mut HeaderMap) {
        for (of_answer, of_request) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
            match self.headers.get(of_answer) {
                Some(value) => request.insert(of_request, value.clone()),
                None => request.remove(&of_request),
            };
        }
    }

    /// Bytes that it takes, roughly.
    pub(crate) fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        OVERHEAD + headers + self.body.len() + self.tags.len() * 32
    }
}

/// All lines of a header as one value; space around the lines does not count. `None` where it is absent.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(name).iter().map(|line| line.as_bytes().trim_ascii());
    let mut value = lines.next()?.to_vec();
    for line in lines {
        value.push(b',');
        value.extend_from_slice(line);
    }
    Some(value)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut map = HeaderMap::new();
        for (name, value) in lines.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    pub(crate) fn terms(seconds: u64) -> Terms {
        Terms {
            initial_age: Duration::ZERO,
            fresh_for: Duration::from_secs(seconds),
            always_validate: false,
            while_revalidate: Duration::from_secs(5),
            if_error: Duration::ZERO,
            by_policy: false,
        }
    }

    pub(crate) fn stored(request: &HeaderMap, answer: HeaderMap, body: &'static str) -> Stored {
        let now = (Instant::now(), SystemTime::now());
        Stored::new(request, (StatusCode::OK, answer), Bytes::from_static(body.as_bytes()), terms(10), now)
    }

    #[test]
    fn vary_chooses_by_what_the_first_request_had() {
        let request = headers(&[("foo", "1"), ("foo", "2")]);
        let one = stored(&request, headers(&[("vary", "Foo, bar")]), "");
        assert!(one.matches(&headers(&[("foo", "1,2"), ("other", "x")])));
        assert!(!one.matches(&headers(&[("foo", "1")])));
        assert!(!one.matches(&headers(&[("foo", "1,2"), ("bar", "")])), "there is not absent");
        assert!(!one.matches(&headers(&[])));
    }

    #[test]
    fn a_confirmation_changes_everything_but_the_body_and_what_describes_it() {
        let old = stored(
            &HeaderMap::new(),
            headers(&[("etag", "\"a\""), ("x", "1"), ("y", "1"), ("content-length", "5")]),
            "hello",
        );
        let new =
            headers(&[("etag", "\"b\""), ("x", "2"), ("x", "3"), ("content-length", "9"), ("content-type", "b/c")]);
        let merged = old.confirmed_headers(&new);
        assert_eq!(merged["etag"], "\"a\"");
        assert_eq!(merged["content-length"], "5");
        assert_eq!(merged.get_all("x").iter().collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(merged["y"], "1");
        assert_eq!(merged["content-type"], "b/c");
        assert!(old.headers.contains_key(DATE) && !merged.contains_key(DATE), "not as old as the first answer");
        let date = "Tue, 14 Nov 2023 22:13:20 GMT";
        assert_eq!(old.confirmed_headers(&headers(&[("date", date)]))[DATE], date);
    }

    #[test]
    fn ages_and_what_they_allow() {
        let one = stored(&HeaderMap::new(), headers(&[("age", "3")]), "");
        let after = |seconds| one.at + Duration::from_secs(seconds);
        assert!(!one.headers.contains_key(AGE) && one.headers.contains_key(DATE));
        assert!(one.is_fresh(after(9)) && !one.is_fresh(after(10)));
        assert!(one.serves_while_revalidating(after(14)) && !one.serves_while_revalidating(after(15)));
        assert!(!one.serves_on_error(after(10)));
    }
}
