//! A stored answer as bytes, for the disk and for Redis.
//!
//! `SWC`, a version, SHA-256 over all that follows, and then fields (`bytes.rs`). Whatever does not fit is no record: torn,
//! of another release, or somebody else's. Times are those of the wall, for other processes have other clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use super::{
    address::Address,
    bytes::{Reader, Writer},
};
use crate::{
    freshness::Terms,
    stored::{Had, Stored},
};

/// The last byte is the version of the layout.
const MAGIC: [u8; 4] = *b"SWC\x01";
const HEAD: usize = MAGIC.len() + 32;
const ANSWER: u8 = 0;
const VARIES: u8 = 1;
const ALWAYS_VALIDATE: u8 = 1;
const BY_POLICY: u8 = 2;
const NOTHING: u8 = 0;
const VALUE: u8 = 1;
const DIGEST: u8 = 2;

/// What is at a place.
#[derive(Debug)]
pub(crate) enum Record {
    Answer(Box<Saved>),
    /// The answers here are chosen by these headers, and each has its own place.
    Varies(Vec<HeaderName>),
}

/// An answer, and what is known of it besides.
#[derive(Debug)]
pub(crate) struct Saved {
    pub stored: Stored,
    /// Up to where the log of removals was read when its fetch began.
    pub since: u64,
}

/// An answer's bytes.
pub(crate) fn of_answer(address: &Address, stored: &Stored, since: u64, now: (Instant, SystemTime)) -> Vec<u8> {
    let mut to = begin(ANSWER, address, stored.size());
    to.long(since);
    to.long(millis(now.1.duration_since(UNIX_EPOCH).unwrap_or_default()));
    to.long(millis(stored.age(now.0)));
    let terms = &stored.terms;
    for time in [terms.fresh_for, terms.while_revalidate, terms.if_error] {
        to.long(millis(time));
    }
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    to.byte(flag(terms.always_validate, ALWAYS_VALIDATE) | flag(terms.by_policy, BY_POLICY));
    to.short(stored.status.as_u16());
    to.short(count(stored.tags.len()));
    stored.tags.iter().for_each(|tag| to.long(*tag));
    to.short(count(stored.vary.len()));
    for (name, had) in &stored.vary {
        to.text(name.as_str().as_bytes());
        match had.without_secrets(name) {
            Had::Nothing => to.byte(NOTHING),
            Had::Value(value) => {
                to.byte(VALUE);
                to.text(&value);
            }
            Had::Digest(digest) => {
                to.byte(DIGEST);
                to.text(&digest);
            }
        }
    }
    to.short(count(stored.headers.len()));
    for (name, value) in &stored.headers {
        to.text(name.as_str().as_bytes());
        to.text(value.as_bytes());
    }
    to.text(&stored.body);
    seal(to)
}

/// The bytes of word that answers vary by these headers.
pub(crate) fn of_varies<'a>(address: &Address, names: impl ExactSizeIterator<Item = &'a HeaderName>) -> Vec<u8> {
    let mut to = begin(VARIES, address, 64);
    to.short(count(names.len()));
    names.for_each(|name| to.text(name.as_str().as_bytes()));
    seal(to)
}

/// What the bytes mean; `None` where they are no record of this address.
pub(crate) fn read(bytes: &Bytes, address: &Address, now: (Instant, SystemTime)) -> Option<Record> {
    let (found, record) = open(bytes, now)?;
    (found == address.bytes()).then_some(record)
}

/// What the bytes mean, and the address that they say they are of.
pub(crate) fn open(bytes: &Bytes, now: (Instant, SystemTime)) -> Option<(Bytes, Record)> {
    if bytes.len() < HEAD || bytes[..MAGIC.len()] != MAGIC {
        return None;
    }
    let rest = bytes.slice(HEAD..);
    if Sha256::digest(&rest)[..] != bytes[MAGIC.len()..HEAD] {
        return None;
    }
    let mut from = Reader(rest);
    let kind = from.byte()?;
    let address = from.text()?;
    let record = match kind {
        ANSWER => Record::Answer(Box::new(answer(&mut from, now)?)),
        VARIES => {
            let count = from.short()?;
            Record::Varies((0..count).map(|_| name(&from.text()?)).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    from.is_at_its_end().then_some((address, record))
}

fn answer(from: &mut Reader, (now, wall): (Instant, SystemTime)) -> Option<Saved> {
    let since = from.long()?;
    let saved_at = Duration::from_millis(from.long()?);
    let age = Duration::from_millis(from.long()?);
    // A clock that went back makes nothing younger than it was.
    let elapsed = wall.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(saved_at);
    let mut time = || from.long().map(Duration::from_millis);
    let (fresh_for, while_revalidate, if_error) = (time()?, time()?, time()?);
    let flags = from.byte()?;
    let terms = Terms {
        initial_age: age.saturating_add(elapsed),
        fresh_for,
        always_validate: flags & ALWAYS_VALIDATE != 0,
        while_revalidate,
        if_error,
        by_policy: flags & BY_POLICY != 0,
    };
    let status = StatusCode::from_u16(from.short()?).ok()?;
    let tags = from.short()?;
    let tags = (0..tags).map(|_| from.long()).collect::<Option<Vec<u64>>>()?;
    let varies = from.short()?;
    let vary = (0..varies).map(|_| had(from)).collect::<Option<Vec<_>>>()?;
    let mut headers = HeaderMap::new();
    for _ in 0..from.short()? {
        let (name, value) = (name(&from.text()?)?, from.text()?);
        headers.try_append(name, HeaderValue::from_maybe_shared(value).ok()?).ok()?;
    }
    let body = from.text()?;
    let stored = Stored { status, headers, body, terms, at: now, tags, vary, from_tier: true };
    Some(Saved { stored, since })
}

fn had(from: &mut Reader) -> Option<(HeaderName, Had)> {
    let name = name(&from.text()?)?;
    let had = match from.byte()? {
        NOTHING => Had::Nothing,
        VALUE => Had::Value(from.text()?.to_vec()),
        DIGEST => Had::Digest(from.text()?[..].try_into().ok()?),
        _ => return None,
    };
    Some((name, had))
}

fn name(bytes: &[u8]) -> Option<HeaderName> {
    HeaderName::from_bytes(bytes).ok()
}

fn begin(kind: u8, address: &Address, size: usize) -> Writer {
    let mut to = Writer(Vec::with_capacity(HEAD + address.bytes().len() + size));
    to.0.extend_from_slice(&MAGIC);
    to.0.extend_from_slice(&[0; 32]);
    to.byte(kind);
    to.text(address.bytes());
    to
}

fn seal(to: Writer) -> Vec<u8> {
    let mut bytes = to.0;
    let digest = Sha256::digest(&bytes[HEAD..]);
    bytes[MAGIC.len()..HEAD].copy_from_slice(&digest);
    bytes
}

/// These fields with the right checksum over them: so that a fuzzer gets past it.
pub(crate) fn sealed(fields: &[u8]) -> Bytes {
    seal(Writer([&MAGIC[..], &[0; 32], fields].concat())).into()
}

/// Of more than fit, which no server sends, the rest makes the record unreadable, and so a miss.
fn count(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        shard::tests::key,
        stored::tests::{headers, stored},
    };

    fn address() -> Address {
        Address::of(&key("/a?b"), &[7; 32])
    }

    fn sample() -> Stored {
        let request = headers(&[("accept-encoding", "gzip"), ("cookie", "sid=secret")]);
        let answer =
            headers(&[("vary", "accept-encoding, cookie, x"), ("etag", "\"a\""), ("age", "3"), ("x", "1"), ("x", "2")]);
        let mut stored = stored(&request, answer, "the body");
        stored.tags = vec![1, u64::MAX];
        stored.terms.by_policy = true;
        stored
    }

    fn at(seconds: i64) -> (Instant, SystemTime) {
        let wall = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let moved = Duration::from_secs(seconds.unsigned_abs());
        (Instant::now(), if seconds < 0 { wall - moved } else { wall + moved })
    }

    fn answer_of(bytes: Vec<u8>, now: (Instant, SystemTime)) -> Saved {
        match read(&bytes.into(), &address(), now).unwrap() {
            Record::Answer(saved) => *saved,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_comes_back_as_it_was_and_has_no_credential_in_it() {
        let stored = sample();
        let bytes = of_answer(&address(), &stored, 5 << 32, at(0));
        assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
        let saved = answer_of(bytes, at(0));
        assert_eq!(
            (saved.since, saved.stored.status, &saved.stored.headers),
            (5 << 32, stored.status, &stored.headers)
        );
        assert_eq!((&saved.stored.body, &saved.stored.tags), (&stored.body, &stored.tags));
        let same = headers(&[("accept-encoding", "gzip"), ("cookie", "sid=secret")]);
        assert!(saved.stored.matches(&same) && saved.stored.replaces(&stored) && stored.replaces(&saved.stored));
        for other in [
            headers(&[("accept-encoding", "br"), ("cookie", "sid=secret")]),
            headers(&[("accept-encoding", "gzip"), ("cookie", "sid=other")]),
            headers(&[("accept-encoding", "gzip")]),
            headers(&[("accept-encoding", "gzip"), ("cookie", "sid=secret"), ("x", "")]),
        ] {
            assert!(!saved.stored.matches(&other), "{other:?}");
        }
    }

    #[test]
    fn ages_go_on_and_never_back() {
        let stored = sample();
        let bytes = || of_answer(&address(), &stored, 0, at(0));
        let age = |seconds| {
            let now = at(seconds);
            answer_of(bytes(), now).stored.age(now.0).as_secs()
        };
        assert_eq!((age(0), age(100), age(-100)), (0, 100, 0));
        let now = at(9);
        assert!(answer_of(bytes(), now).stored.is_fresh(now.0));
        let now = at(11);
        assert!(!answer_of(bytes(), now).stored.is_fresh(now.0));
        // Saved a while after it came.
        let late = (stored.at + Duration::from_secs(50), at(50).1);
        let bytes = of_answer(&address(), &stored, 0, late);
        let back = at(-1_000);
        assert_eq!(answer_of(bytes, back).stored.age(back.0).as_secs(), 50);
    }

    #[test]
    fn what_is_torn_changed_or_anothers_is_no_record() {
        let bytes = of_answer(&address(), &sample(), 0, at(0));
        for length in 0..bytes.len() {
            assert!(read(&Bytes::copy_from_slice(&bytes[..length]), &address(), at(0)).is_none(), "{length}");
            let mut changed = bytes.clone();
            changed[length] ^= 1;
            assert!(read(&changed.into(), &address(), at(0)).is_none(), "{length}");
        }
        let other = Address::of(&key("/other"), &[7; 32]);
        assert!(read(&bytes.clone().into(), &other, at(0)).is_none());
        // A right checksum over fields that are cut off.
        for length in HEAD..bytes.len() {
            let sealed = seal(Writer(bytes[..length].to_vec()));
            assert!(open(&sealed.into(), at(0)).is_none(), "{length}");
        }
        assert!(open(&seal(Writer([&bytes[..], b"x"].concat())).into(), at(0)).is_none());
    }

    /// What the fuzzer does for a minute, for a moment.
    #[test]
    fn fields_that_make_no_sense_harm_nobody() {
        let bytes = of_answer(&address(), &sample(), 0, at(0));
        let mut read = 0;
        for _ in 0..20_000 {
            let mut fields = bytes[HEAD..].to_vec();
            for _ in 0..fastrand::usize(1..6) {
                let place = fastrand::usize(..fields.len());
                fields[place] = fastrand::u8(..);
            }
            let now = at(0);
            if let Some((_, Record::Answer(saved))) = open(&sealed(&fields), now) {
                read += 1;
                let stored = saved.stored;
                let later = now.0 + Duration::from_secs(1 << 20);
                stored.matches(&HeaderMap::new());
                assert!(stored.size() < fields.len() + 20_000);
                assert!(stored.useful_for(later) <= Duration::MAX && stored.age(later) >= stored.age(now.0));
                let again = of_answer(&address(), &stored, saved.since, now);
                assert!(open(&again.into(), now).is_some());
            }
        }
        assert!(read > 100, "{read} made sense");
    }

    #[test]
    fn names_come_back() {
        let names: Vec<HeaderName> = vec!["accept".parse().unwrap(), "x".parse().unwrap()];
        let bytes = of_varies(&address(), names.iter());
        assert!(matches!(read(&bytes.into(), &address(), at(0)), Some(Record::Varies(found)) if found == names));
    }
}
