//! Validators of a file, and the requests that depend on them (RFC 9110, 8.8 and 13).
//!
//! The entity tag is made of size, time of the last write and time of the last change of the file's record (`ctime`),
//! which no program can set: a file that is replaced by one of equal size and date, as reproducible builds do, still gets
//! another tag. Two nodes that unpacked the same build may therefore name different tags; that costs a repeated download,
//! never a stale page. Hashing the content instead would cost a read of the whole file.

use std::{
    fs::Metadata,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use httpdate::HttpDate;

use seaworthy_core::Coding;

/// A file written less than this ago may be written again within one tick of the file system's clock, with the same
/// times: until then its tag is weak and its date proves nothing (RFC 9110, 8.8.1 and 8.8.2.2).
const SETTLED: Duration = Duration::from_secs(2);

/// What identifies one state of one representation.
#[derive(Debug, Clone)]
pub(crate) struct Validators {
    /// With its quotes, without `W/`.
    tag: String,
    modified: HttpDate,
    strong: bool,
}

/// What the preconditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Proceed,
    NotModified,
    Failed,
}

impl Validators {
    /// Those of a file that is sent under a coding. `now` is the time of the answer.
    pub(crate) fn of(metadata: &Metadata, coding: Option<Coding>, now: SystemTime) -> Self {
        let mut hasher = DefaultHasher::new();
        (metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut hasher);
        (metadata.ctime(), metadata.ctime_nsec()).hash(&mut hasher);
        let suffix = coding.map(|coding| format!("-{}", coding.name())).unwrap_or_default();
        let tag = format!("\"{:016x}{suffix}\"", hasher.finish());
        let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        // A date must not lie after the answer's own (8.8.2.1), and this one has no spelling before 1970.
        let modified = HttpDate::from(written.min(now).max(SystemTime::UNIX_EPOCH));
        let strong = now.duration_since(written).map_or(true, |age| age >= SETTLED);
        Self { tag, modified, strong }
    }

    /// `ETag`.
    pub(crate) fn etag(&self) -> Option<HeaderValue> {
        let weak = if self.strong { "" } else { "W/" };
        HeaderValue::try_from(format!("{weak}{}", self.tag)).ok()
    }

    /// `Last-Modified`.
    pub(crate) fn last_modified(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.modified.to_string()).ok()
    }
}

/// Evaluates preconditions in the order of RFC 9110, 13.2.2.
pub(crate) fn evaluate(headers: &HeaderMap, validators: &Validators) -> Outcome {
    if headers.contains_key(header::IF_MATCH) {
        let matches =
            lists(headers, &header::IF_MATCH, |tag, weak| validators.strong && !weak && tag == validators.tag);
        if !matches {
            return Outcome::Failed;
        }
    } else if date(headers, &header::IF_UNMODIFIED_SINCE).is_some_and(|date| validators.modified > date) {
        return Outcome::Failed;
    }
    let known = if headers.contains_key(header::IF_NONE_MATCH) {
        lists(headers, &header::IF_NONE_MATCH, |tag, _| tag == validators.tag)
    } else {
        date(headers, &header::IF_MODIFIED_SINCE).is_some_and(|date| validators.modified <= date)
    };
    if known { Outcome::NotModified } else { Outcome::Proceed }
}

/// Whether a `Range` may be honoured: without `If-Range` always, else when the client surely has this very state (13.1.5).
pub(crate) fn range_applies(headers: &HeaderMap, validators: &Validators) -> bool {
    let Some(value) = headers.get(header::IF_RANGE) else { return true };
    if !validators.strong {
        return false;
    }
    match entity_tags(value.as_bytes()).next() {
        Some((tag, weak)) => !weak && tag == validators.tag,
        None => date(headers, &header::IF_RANGE).is_some_and(|date| date == validators.modified),
    }
}

/// Whether a list of entity tags is `*` or has one that the rule takes.
fn lists(headers: &HeaderMap, name: &HeaderName, mut rule: impl FnMut(&str, bool) -> bool) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().trim_ascii() == b"*" || entity_tags(value.as_bytes()).any(|(tag, weak)| rule(tag, weak))
    })
}

/// The entity tags of a list with their quotes, and whether each is weak. Ends where the list is malformed; a comma
/// inside of quotes is part of a tag.
pub(crate) fn entity_tags(list: &[u8]) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = list;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (opaque, weak) = rest.strip_prefix(b"W/").map_or((rest, false), |opaque| (opaque, true));
        let inside = opaque.strip_prefix(b"\"")?;
        let length = inside.iter().position(|byte| *byte == b'"')? + 2;
        let (tag, after) = opaque.split_at_checked(length)?;
        rest = after;
        Some((std::str::from_utf8(tag).ok()?, weak))
    })
}

/// A date of any of the three forms; `None` when there are several or it is none (RFC 9110 ignores such a condition).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<HttpDate> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn validators(age: Duration) -> Validators {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "a").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let now = metadata.modified().unwrap() + age;
        Validators { tag: "\"abc\"".into(), ..Validators::of(&metadata, None, now) }
    }

    fn outcome(validators: &Validators, headers: &[(HeaderName, &str)]) -> Outcome {
        let pairs = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            map.append(name, value);
        });
        evaluate(&map, validators)
    }

    #[test]
    fn a_known_state_is_not_sent_again() {
        let file = validators(Duration::from_secs(60));
        let none_match = |value| outcome(&file, &[(header::IF_NONE_MATCH, value)]);
        assert_eq!(none_match("\"abc\""), Outcome::NotModified);
        assert_eq!(none_match("W/\"abc\""), Outcome::NotModified);
        assert_eq!(none_match("*"), Outcome::NotModified);
        assert_eq!(none_match("\"x,y\" , \"\", W/\"z\",\"abc\""), Outcome::NotModified);
        assert_eq!(none_match("\"other\""), Outcome::Proceed);
        assert_eq!(none_match("abc"), Outcome::Proceed);
        assert_eq!(none_match("w/\"abc\""), Outcome::Proceed);
        assert_eq!(none_match("\"abc"), Outcome::Proceed);
        let twice = [(header::IF_NONE_MATCH, "\"x\""), (header::IF_NONE_MATCH, "\"abc\"")];
        assert_eq!(outcome(&file, &twice), Outcome::NotModified);
    }

    #[test]
    fn dates_count_when_there_is_no_tag() {
        let file = validators(Duration::from_secs(60));
        let modified = file.last_modified().unwrap();
        let modified = modified.to_str().unwrap();
        let old = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(outcome(&file, &[(header::IF_MODIFIED_SINCE, modified)]), Outcome::NotModified);
        assert_eq!(
            outcome(&file, &[(header::IF_MODIFIED_SINCE, "Thu, 31 Dec 9998 23:59:59 GMT")]),
            Outcome::NotModified
        );
        assert_eq!(outcome(&file, &[(header::IF_MODIFIED_SINCE, old)]), Outcome::Proceed);
        assert_eq!(outcome(&file, &[(header::IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT")]), Outcome::Proceed);
        assert_eq!(outcome(&file, &[(header::IF_MODIFIED_SINCE, "yesterday")]), Outcome::Proceed);
        let both = [(header::IF_NONE_MATCH, "\"other\""), (header::IF_MODIFIED_SINCE, modified)];
        assert_eq!(outcome(&file, &both), Outcome::Proceed, "a tag goes over a date");
        assert_eq!(outcome(&file, &[(header::IF_UNMODIFIED_SINCE, modified)]), Outcome::Proceed);
        assert_eq!(outcome(&file, &[(header::IF_UNMODIFIED_SINCE, old)]), Outcome::Failed);
        assert_eq!(outcome(&file, &[(header::IF_UNMODIFIED_SINCE, "soon")]), Outcome::Proceed);
    }

    #[test]
    fn if_match_compares_strongly_and_comes_first() {
        let file = validators(Duration::from_secs(60));
        let matches = |value| outcome(&file, &[(header::IF_MATCH, value)]);
        assert_eq!(matches("\"abc\""), Outcome::Proceed);
        assert_eq!(matches("*"), Outcome::Proceed);
        assert_eq!(matches("W/\"abc\""), Outcome::Failed);
        assert_eq!(matches("\"x\""), Outcome::Failed);
        let both = [(header::IF_MATCH, "\"abc\""), (header::IF_NONE_MATCH, "\"abc\"")];
        assert_eq!(outcome(&file, &both), Outcome::NotModified);
        let fresh = validators(Duration::from_millis(100));
        assert_eq!(outcome(&fresh, &[(header::IF_MATCH, "\"abc\"")]), Outcome::Failed);
    }

    #[test]
    fn a_range_needs_the_very_same_state() {
        let file = validators(Duration::from_secs(60));
        let applies = |file: &Validators, value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            range_applies(&HeaderMap::from_iter([(header::IF_RANGE, value)]), file)
        };
        assert!(range_applies(&HeaderMap::new(), &file));
        assert!(applies(&file, "\"abc\""));
        assert!(!applies(&file, "W/\"abc\""));
        assert!(!applies(&file, "\"x\""));
        assert!(applies(&file, &file.modified.to_string()));
        assert!(!applies(&file, "Thu, 31 Dec 9998 23:59:59 GMT"), "a later date is not the same one");
        let fresh = validators(Duration::from_millis(100));
        assert!(fresh.etag().unwrap().as_bytes().starts_with(b"W/"));
        assert!(!applies(&fresh, "\"abc\"") && !applies(&fresh, &fresh.modified.to_string()));
    }

    #[test]
    fn tags_differ_by_content_state_and_coding_and_odd_dates_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let now = SystemTime::now() + Duration::from_secs(10);
        let stamp = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
        let write = |text: &str, time: SystemTime| {
            fs::write(&path, text).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            fs::metadata(&path).unwrap()
        };
        let first = write("aaa", stamp);
        let plain = Validators::of(&first, None, now);
        assert_eq!(plain.last_modified().unwrap(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_ne!(plain.tag, Validators::of(&first, Some(Coding::Gzip), now).tag);
        assert_ne!(
            Validators::of(&first, Some(Coding::Brotli), now).tag,
            Validators::of(&first, Some(Coding::Gzip), now).tag
        );
        std::thread::sleep(Duration::from_millis(20));
        // The same size and date, as a reproducible build leaves them.
        let second = write("bbb", stamp);
        assert_ne!(plain.tag, Validators::of(&second, None, now).tag);
        let future = Validators::of(&write("aaa", now + Duration::from_secs(3600)), None, now);
        assert_eq!(future.modified, HttpDate::from(now));
    }
}
