//! Whether an answer may be stored, and for how long it is good (RFC 9111, 3 and 4.2).
//!
//! There is no guessing: an answer that says nothing of its freshness is stored only where the route's policy gives a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{AGE, CONTENT_TYPE, DATE, ETAG, EXPIRES, LAST_MODIFIED, SET_COOKIE, VARY},
};

use crate::{
    directives::{Directives, split_list},
    policy::{Partition, Policy, has_credentials},
};

/// Older than anything can be fresh.
const ANCIENT: Duration = Duration::from_secs(1 << 32);
/// What a policy's time to live applies to: answers that went well, and what has moved for good.
const BY_POLICY: [u16; 6] = [200, 203, 204, 300, 301, 308];
/// What `must-understand` may be believed for (RFC 9111, 5.2.2.3): the final ones of RFC 9110 that caches know.
const UNDERSTOOD: [u16; 13] = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414];

/// What may be done with a stored answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How old it was when it came (RFC 9111, 4.2.3: the corrected initial age).
    pub initial_age: Duration,
    /// Until this age it is fresh.
    pub fresh_for: Duration,
    /// `no-cache`: not once without asking the app.
    pub always_validate: bool,
    /// So much longer it may be given while it is refreshed.
    pub while_revalidate: Duration,
    /// So much longer it may stand in for an app that fails.
    pub if_error: Duration,
    /// It is fresh by the route's policy and not by what the app says.
    pub by_policy: bool,
}

/// When an answer came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub at: SystemTime,
    /// From the request to the answer.
    pub delay: Duration,
}

/// The terms of an answer; `None` where it must not be stored, or would be of no use.
pub(crate) fn terms(
    policy: &Policy,
    partition: Partition,
    request: &HeaderMap,
    status: StatusCode,
    answer: &HeaderMap,
    received: Received,
) -> Option<Terms> {
    if !status_may_be_stored(status) || varies_by_everything(answer) || is_stream(answer) {
        return None;
    }
    let says = Directives::of_answer(answer);
    // RFC 9111, 5.2.2.3: `no-store` beside `must-understand` is for caches that do not know the status.
    let understood = UNDERSTOOD.contains(&status.as_u16());
    if says.private || (if says.must_understand { !understood } else { says.no_store }) {
        return None;
    }
    if Directives::of_cache_control(request).no_store {
        return None;
    }
    let meant_for_all = says.public || says.s_maxage.is_some();
    // RFC 9111, 3.5: answers to requests with credentials are not shared, unless the app says that they may be.
    let shared = !matches!(partition, Partition::Principal(_));
    if shared && has_credentials(request) && !meant_for_all && !says.must_revalidate {
        return None;
    }
    let explicit = lifetime(&says, answer, received);
    if answer.contains_key(SET_COOKIE)
        && !(explicit.is_some() && (meant_for_all || says.targeted || policy.share_set_cookie))
    {
        return None;
    }
    let may_use_policy = BY_POLICY.contains(&status.as_u16()) && partition != Partition::Named && !says.no_cache;
    let by_policy = explicit.is_none().then_some(policy.ttl).flatten().filter(|_| may_use_policy);
    let fresh_for = match (explicit, by_policy) {
        (Some(seconds), _) => Duration::from_secs(seconds),
        (None, Some(ttl)) => ttl,
        (None, None) if says.no_cache => Duration::ZERO,
        (None, None) => return None,
    };
    let (while_revalidate, if_error) = stale(policy, &says);
    let found = Terms {
        initial_age: initial_age(answer, received),
        fresh_for,
        always_validate: says.no_cache,
        while_revalidate,
        if_error,
        by_policy: by_policy.is_some(),
    };
    let of_use = (!found.always_validate && found.fresh_for + while_revalidate + if_error > found.initial_age)
        || has_validator(answer);
    of_use.then_some(found)
}

/// Parts are not stored, nor what only confirms (RFC 9111, 3.3 and 4.3.4).
fn status_may_be_stored(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::PARTIAL_CONTENT && status != StatusCode::NOT_MODIFIED
}

fn has_validator(answer: &HeaderMap) -> bool {
    answer.contains_key(ETAG) || answer.contains_key(LAST_MODIFIED)
}

/// Events that come as they happen: a copy would never be whole, and nobody may wait for it.
fn is_stream(answer: &HeaderMap) -> bool {
    answer.get(CONTENT_TYPE).is_some_and(|kind| {
        [&b"text/event-stream"[..], b"multipart/x-mixed-replace"]
            .iter()
            .any(|stream| kind.as_bytes().get(..stream.len()).is_some_and(|start| start.eq_ignore_ascii_case(stream)))
    })
}

/// `Vary: *` never matches (RFC 9111, 4.1).
fn varies_by_everything(answer: &HeaderMap) -> bool {
    answer.get_all(VARY).iter().flat_map(|line| split_list(line.as_bytes())).any(|name| name == b"*")
}

/// The freshness lifetime that the app states, in seconds (RFC 9111, 4.2.1).
fn lifetime(says: &Directives, answer: &HeaderMap, received: Received) -> Option<u64> {
    if let Some(seconds) = says.s_maxage.or(says.max_age) {
        return Some(seconds);
    }
    if says.targeted || !answer.contains_key(EXPIRES) {
        return None;
    }
    // One that is no date is in the past (RFC 9111, 5.3).
    let Some(expires) = date(answer, EXPIRES) else { return Some(0) };
    let date = date(answer, DATE).unwrap_or(received.at);
    Some(expires.duration_since(date).map_or(0, |lifetime| lifetime.as_secs()))
}

/// How long past its freshness it may be given. What forbids stale answers goes before every permission (RFC 9111, 4.2.4);
/// of `s-maxage`, which forbids them by itself, an explicit permission beside it is the exception that its author meant.
fn stale(policy: &Policy, says: &Directives) -> (Duration, Duration) {
    if says.must_revalidate || says.proxy_revalidate || says.no_cache {
        return (Duration::ZERO, Duration::ZERO);
    }
    let choose = |stated: Option<u64>, configured: Option<Duration>| {
        let configured = configured.filter(|_| says.s_maxage.is_none());
        stated.map(Duration::from_secs).or(configured).unwrap_or_default()
    };
    (
        choose(says.stale_while_revalidate, policy.stale_while_revalidate),
        choose(says.stale_if_error, policy.stale_if_error),
    )
}

/// RFC 9111, 4.2.3.
fn initial_age(answer: &HeaderMap, received: Received) -> Duration {
    let mut ages = answer.get_all(AGE).iter();
    let stated = match (ages.next(), ages.next()) {
        (None, _) => Duration::ZERO,
        (Some(age), None) if !age.is_empty() && age.as_bytes().iter().all(u8::is_ascii_digit) => {
            age.to_str().ok().and_then(|age| age.parse().ok()).map_or(ANCIENT, Duration::from_secs).min(ANCIENT)
        }
        // Nobody knows how old it is: it is not trusted to be fresh.
        _ => ANCIENT,
    };
    let apparent = date(answer, DATE).and_then(|date| received.at.duration_since(date).ok()).unwrap_or_default();
    // A second's fraction is lost in Date itself.
    let apparent = Duration::from_secs(apparent.as_secs());
    apparent.max(stated + received.delay)
}

/// A date in any of the three formats of RFC 9110, 5.6.7; `None` where there is none, or several.
pub(crate) fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let mut lines = headers.get_all(name).iter();
    let (only, None) = (lines.next()?, lines.next()) else { return None };
    httpdate::parse_http_date(only.to_str().ok()?).ok().filter(|date| *date > UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn judge(policy: &Policy, request: &HeaderMap, status: u16, answer: &[(&'static str, &str)]) -> Option<Terms> {
        let received = Received { at: at(NOW), delay: Duration::ZERO };
        let status = StatusCode::from_u16(status).unwrap();
        terms(policy, policy.partition(request, None), request, status, &headers(answer), received)
    }

    fn fresh(answer: &[(&'static str, &str)]) -> Option<u64> {
        judge(&Policy::default(), &HeaderMap::new(), 200, answer).map(|terms| {
            let left = terms.fresh_for.saturating_sub(terms.initial_age);
            if terms.always_validate { 0 } else { left.as_secs() }
        })
    }

    #[test]
    fn lifetimes_of_the_standard() {
        assert_eq!(fresh(&[]), None, "nothing is guessed");
        assert_eq!(fresh(&[("last-modified", "Tue, 14 Nov 2022 22:13:20 GMT")]), None);
        assert_eq!(fresh(&[("cache-control", "max-age=60")]), Some(60));
        assert_eq!(fresh(&[("cache-control", "max-age=60, s-maxage=5")]), Some(5));
        assert_eq!(fresh(&[("cache-control", "max-age=60"), ("age", "20")]), Some(40));
        assert_eq!(
            fresh(&[("cache-control", "max-age=60"), ("age", "70")]),
            None,
            "stale, and nothing to ask the app with"
        );
        assert_eq!(fresh(&[("cache-control", "max-age=60"), ("age", "70"), ("etag", "\"a\"")]), Some(0));
        for no_age in ["abc", "-1", "1.0", "0, 0", ""] {
            assert_eq!(fresh(&[("cache-control", "max-age=60"), ("age", no_age)]), None, "{no_age}");
        }
        let expires = |expires: &str| fresh(&[("expires", expires), ("date", "Tue, 14 Nov 2023 22:13:20 GMT")]);
        assert_eq!(expires("Tue, 14 Nov 2023 22:14:20 GMT"), Some(60));
        assert_eq!(expires("0"), None);
        assert_eq!(fresh(&[("expires", "Tue, 14 Nov 2033 22:14:20 GMT"), ("cache-control", "max-age=0")]), None);
        assert_eq!(fresh(&[("cache-control", "no-cache"), ("etag", "\"a\"")]), Some(0));
    }

    #[test]
    fn what_must_not_be_stored() {
        for never in ["no-store, max-age=60", "private, max-age=60", "No-Store"] {
            assert_eq!(fresh(&[("cache-control", never)]), None, "{never}");
        }
        assert_eq!(fresh(&[("cache-control", "max-age=60"), ("vary", "accept, *")]), None);
        let answer = [("cache-control", "max-age=60")];
        let events = [("cache-control", "max-age=60"), ("content-type", "Text/Event-Stream; charset=utf-8")];
        assert_eq!(judge(&Policy::default(), &HeaderMap::new(), 200, &events), None);
        for status in [206, 304] {
            assert_eq!(judge(&Policy::default(), &HeaderMap::new(), status, &answer), None, "{status}");
        }
        assert!(judge(&Policy::default(), &HeaderMap::new(), 599, &answer).is_some());
        let understand = [("cache-control", "max-age=60, must-understand")];
        assert_eq!(judge(&Policy::default(), &HeaderMap::new(), 599, &understand), None);
        let known = [("cache-control", "max-age=60, must-understand, no-store")];
        assert!(judge(&Policy::default(), &HeaderMap::new(), 200, &known).is_some());
        assert_eq!(judge(&Policy::default(), &HeaderMap::new(), 599, &known), None);
        let no_store = headers(&[("cache-control", "no-store")]);
        assert_eq!(judge(&Policy::default(), &no_store, 200, &answer), None);
    }

    #[test]
    fn credentials_and_cookies_are_not_shared_by_accident() {
        let (token, cookie) = (headers(&[("authorization", "Bearer x")]), headers(&[("cookie", "a=b")]));
        let plain = [("cache-control", "max-age=60")];
        let none = Policy::default();
        assert_eq!(judge(&none, &token, 200, &plain), None);
        for allowed in ["max-age=60, public", "s-maxage=60", "max-age=60, must-revalidate"] {
            assert!(judge(&none, &token, 200, &[("cache-control", allowed)]).is_some(), "{allowed}");
        }
        let own = Policy { per: Some(Per::Principal), ttl: Some(Duration::from_secs(9)), ..Policy::default() };
        assert!(judge(&own, &token, 200, &plain).is_some(), "nobody shares it");
        assert!(judge(&own, &cookie, 200, &[]).is_some());

        let setting = [("cache-control", "max-age=60"), ("set-cookie", "a=b")];
        assert_eq!(judge(&none, &HeaderMap::new(), 200, &setting), None);
        assert_eq!(judge(&own, &HeaderMap::new(), 200, &[("set-cookie", "a=b")]), None, "no policy says that of a ttl");
        let public = [("cache-control", "max-age=60, public"), ("set-cookie", "a=b")];
        assert!(judge(&none, &HeaderMap::new(), 200, &public).is_some());
        let shared = Policy { share_set_cookie: true, ..Policy::default() };
        assert!(judge(&shared, &HeaderMap::new(), 200, &setting).is_some());
    }

    #[test]
    fn a_policys_time_is_for_answers_that_went_well_and_say_nothing() {
        let policy = Policy { ttl: Some(Duration::from_secs(600)), ..Policy::default() };
        let cookie = headers(&[("cookie", "a=b")]);
        let found = judge(&policy, &HeaderMap::new(), 200, &[]).unwrap();
        assert!(found.by_policy && found.fresh_for.as_secs() == 600);
        assert!(!judge(&policy, &HeaderMap::new(), 200, &[("cache-control", "max-age=5")]).unwrap().by_policy);
        for status in [201, 302, 401, 403, 404, 429, 500, 502, 503] {
            assert_eq!(judge(&policy, &HeaderMap::new(), status, &[]), None, "{status}");
        }
        assert_eq!(judge(&policy, &cookie, 200, &[]), None, "who says who they are may get an answer of their own");
        let all = Policy { per: Some(Per::All), ..policy.clone() };
        assert!(judge(&all, &cookie, 200, &[]).is_some());
        for word in ["private", "no-store", "no-cache", "max-age=0"] {
            assert_eq!(
                judge(&all, &cookie, 200, &[("cache-control", word)]),
                None,
                "{word}: the app's word goes first"
            );
        }
    }

    #[test]
    fn stale_only_where_nothing_forbids_it() {
        let policy = Policy { stale_if_error: Some(Duration::from_secs(99)), ..Policy::default() };
        let if_error =
            |text: &str| judge(&policy, &HeaderMap::new(), 200, &[("cache-control", text)]).unwrap().if_error.as_secs();
        assert_eq!(if_error("max-age=60"), 99);
        assert_eq!(if_error("max-age=60, stale-if-error=7"), 7);
        assert_eq!(if_error("max-age=60, stale-if-error=7, must-revalidate"), 0);
        assert_eq!(if_error("max-age=60, proxy-revalidate"), 0);
        assert_eq!(if_error("s-maxage=60"), 0);
        assert_eq!(if_error("s-maxage=60, stale-if-error=7"), 7);
    }

    use crate::policy::Per;
}
