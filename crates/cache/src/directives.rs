//! Cache directives of a message: `Cache-Control` (RFC 9111, 5.2; RFC 5861), and `CDN-Cache-Control`, which goes before it
//! for a shared cache (RFC 9213).

use http::{HeaderMap, HeaderName, HeaderValue, header::CACHE_CONTROL};

use crate::dictionary::{self, Value};

/// For shared caches alone (RFC 9213, 3.1).
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
/// Larger numbers of seconds mean this one (RFC 9111, 1.2.2).
const LONGEST: u64 = 1 << 31;

/// What an answer says of itself, or a request of what it wants. Times are seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub stale_while_revalidate: Option<u64>,
    pub stale_if_error: Option<u64>,
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    /// Of a request: whatever is stored, or nothing.
    pub only_if_cached: bool,
    /// They come from a field that is for shared caches alone; `Cache-Control` and `Expires` do not count then.
    pub targeted: bool,
}

impl Directives {
    /// Those of an answer: the targeted field where there is a valid one, else `Cache-Control`.
    pub(crate) fn of_answer(headers: &HeaderMap) -> Self {
        Self::targeted(headers).unwrap_or_else(|| Self::of_cache_control(headers))
    }

    /// Those of `Cache-Control`, all lines together.
    pub(crate) fn of_cache_control(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for item in split_list(line.as_bytes()) {
                let (name, value) = match item.iter().position(|byte| *byte == b'=') {
                    Some(at) => (&item[..at], Some(&item[at + 1..])),
                    None => (item, None),
                };
                found.take(&name.to_ascii_lowercase(), || seconds(value));
            }
        }
        found
    }

    /// `None` where the field is absent, empty, or no valid dictionary (RFC 9213, 2.1).
    fn targeted(headers: &HeaderMap) -> Option<Self> {
        let lines: Vec<&[u8]> = headers.get_all(CDN_CACHE_CONTROL).iter().map(HeaderValue::as_bytes).collect();
        if lines.is_empty() {
            return None;
        }
        let members = dictionary::parse(&lines.join(&b", "[..]))?;
        let mut found = Self { targeted: true, ..Self::default() };
        for (name, value) in &members {
            match value {
                Value::Integer(number) => found.take(name, || u64::try_from(*number).unwrap_or(0).min(LONGEST)),
                // Such a directive has no number; one that needs it and has something else is ignored.
                Value::True if !needs_seconds(name) => found.take(name, || 0),
                _ => {}
            }
        }
        (!members.is_empty()).then_some(found)
    }

    fn take(&mut self, name: &[u8], seconds: impl FnOnce() -> u64) {
        match name {
            b"max-age" => agree(&mut self.max_age, seconds()),
            b"s-maxage" => agree(&mut self.s_maxage, seconds()),
            b"stale-while-revalidate" => agree(&mut self.stale_while_revalidate, seconds()),
            b"stale-if-error" => agree(&mut self.stale_if_error, seconds()),
            b"no-store" => self.no_store = true,
            // With names of fields both mean those fields alone; as most caches do, we take them for the whole answer.
            b"no-cache" => self.no_cache = true,
            b"private" => self.private = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }
}

fn needs_seconds(name: &[u8]) -> bool {
    matches!(name, b"max-age" | b"s-maxage" | b"stale-while-revalidate" | b"stale-if-error")
}

/// Two that contradict each other mean that nothing is fresh (RFC 9111, 4.2.1).
fn agree(known: &mut Option<u64>, seconds: u64) {
    *known = Some(if known.is_some_and(|other| other != seconds) { 0 } else { seconds });
}

/// Whole seconds, also in quotes; what is no number is no time at all, and so stale (RFC 9111, 4.2.1).
fn seconds(value: Option<&[u8]>) -> u64 {
    let value = value.unwrap_or_default();
    let digits = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let number =
        digits.iter().fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    number.min(LONGEST)
}

/// The members of a list, without the space around them; a comma in a quoted string parts nothing (RFC 9110, 5.6.1).
pub(crate) fn split_list(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        let escape = quoted && !escaped && *byte == b'\\';
        if *byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = escape;
        *byte == b',' && !quoted
    })
    .map(<[u8]>::trim_ascii)
    .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(pair).collect()
    }

    fn max_age(text: &str) -> Option<u64> {
        Directives::of_answer(&headers(&[("cache-control", text)])).max_age
    }

    #[test]
    fn numbers_are_read_strictly() {
        assert_eq!(max_age("max-age=3600"), Some(3600));
        assert_eq!(max_age("foo, MaX-aGe=003600"), Some(3600));
        assert_eq!(max_age("max-age=99999999999999999999999"), Some(LONGEST));
        assert_eq!(max_age("max-age=\"5\""), Some(5));
        for none in
            ["max-age", "max-age=", "max-age=-1", "max-age='3600'", "max-age=3600.5", "max-age= 9", "max-age=9a"]
        {
            assert_eq!(max_age(none), Some(0), "{none}");
        }
        assert_eq!(max_age("max-age =3600"), None);
        assert_eq!(max_age("max-age=1, max-age=1800"), Some(0), "they contradict each other");
    }

    #[test]
    fn what_is_in_quotes_is_not_a_directive() {
        assert_eq!(max_age("extension=\"max-age=3600, no-store\", max-age=1"), Some(1));
        assert_eq!(max_age("max-age=1, extension=\"a\\\",max-age=3600\""), Some(1));
        let found = Directives::of_answer(&headers(&[("cache-control", "a=\"no-store\", No-CaChE")]));
        assert!(found.no_cache && !found.no_store);
        assert!(Directives::of_answer(&headers(&[("cache-control", "private=\"x\"")])).private);
    }

    #[test]
    fn the_field_for_shared_caches_goes_before_the_general_one() {
        let both =
            |cdn: &str| Directives::of_answer(&headers(&[("cdn-cache-control", cdn), ("cache-control", "no-store")]));
        let found = both("max-age=60, stale-if-error=5");
        assert!(found.targeted && !found.no_store);
        assert_eq!((found.max_age, found.stale_if_error), (Some(60), Some(5)));
        for ignored in ["", "max-age=10000, &&&&&", "Max-Age=5", "max-age=1,"] {
            assert!(both(ignored).no_store, "{ignored}: not a valid dictionary");
        }
        assert_eq!(both("max-age=\"10000\"").max_age, None, "of another type than it must be");
        assert!(both("private").private && both("no-store").no_store && both("no-cache;x=1").no_cache);
    }
}
