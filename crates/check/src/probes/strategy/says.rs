//! What an answer says of being kept: for how long, by whom, or not at all (RFC 9111, 5.2 and 5.3; RFC 9213; RFC 9211).

use std::time::SystemTime;

use crate::http::Answer;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    /// Nobody keeps it, or nobody gives it without asking.
    Never(&'static str),
    /// A client may keep it for itself.
    Private,
    /// Whoever likes may give it for so many seconds, staleness that is allowed included.
    For(u64),
    /// Nothing that says for how long: each cache may guess (RFC 9111, 4.2.2).
    Nothing,
}

/// The directives of both fields, in small letters.
struct Directives(Vec<(String, Option<String>)>);

impl Directives {
    fn of(answer: &Answer, name: &str) -> Self {
        let lines = answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let pairs = lines.flat_map(members).map(|item| match item.to_ascii_lowercase().split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(unquoted(value))),
            None => (item.to_ascii_lowercase(), None),
        });
        Self(pairs.collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// A word that holds for the whole answer, and not for some of its fields (RFC 9111, 5.2.2.4 and 5.2.2.7).
    fn forbids(&self, name: &str) -> bool {
        self.0.iter().any(|(known, fields)| known == name && fields.is_none())
    }

    /// Whether a word that is for some fields alone names this one: caches do not keep it, or give it to one user.
    fn withholds(&self, field: &str) -> bool {
        let qualified = self.0.iter().filter(|(known, _)| known == "private" || known == "no-cache");
        let mut fields = qualified.flat_map(|(_, fields)| fields.as_deref().unwrap_or_default().split(','));
        fields.any(|name| name.trim() == field)
    }

    fn seconds(&self, name: &str) -> Option<u64> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(seconds(value.as_deref().unwrap_or_default()))
    }

    fn says(&self) -> Says {
        match () {
            () if self.has("no-store") => Says::Never("no-store"),
            () if self.forbids("private") => Says::Private,
            () if self.forbids("no-cache") => Says::Never("no-cache"),
            () => match self.seconds("s-maxage").or_else(|| self.seconds("max-age")) {
                Some(0) if !self.has("stale-while-revalidate") => Says::Never("max-age=0"),
                Some(seconds) => Says::For(seconds.saturating_add(self.seconds("stale-while-revalidate").unwrap_or(0))),
                None => Says::Nothing,
            },
        }
    }
}

/// The members of a list, without the space around them; a comma in a quoted string parts nothing (RFC 9110, 5.6.1).
fn members(line: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = line.split(move |letter| {
        let escapes = quoted && !escaped && letter == '\\';
        if letter == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = escapes;
        letter == ',' && !quoted
    });
    parts.map(str::trim).filter(|item| !item.is_empty())
}

/// A token as it is, or what a quoted string says (RFC 9110, 5.6.4).
fn unquoted(value: &str) -> String {
    let Some(text) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else { return value.to_owned() };
    let mut escaped = false;
    let kept = text.chars().filter(|letter| {
        escaped = !escaped && *letter == '\\';
        !escaped
    });
    kept.collect()
}

/// What is no number is no time (RFC 9111, 4.2.1); one that is too large is the largest that there is (1.2.2).
fn seconds(value: &str) -> u64 {
    match !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        true => value.parse().unwrap_or(u64::MAX),
        false => 0,
    }
}

impl Says {
    /// What an answer says. The field that is for shared caches alone goes first; the app's word goes before a gateway's.
    pub(super) fn of(answer: &Answer) -> Self {
        let targeted = Directives::of(answer, "cdn-cache-control").says();
        let general = Directives::of(answer, "cache-control").says();
        [targeted, general].into_iter().find(|says| *says != Self::Nothing).unwrap_or_else(|| by_date(answer))
    }

    /// The same, or what a gateway says of the copy that it gave of the later answer (`ttl`, RFC 9211, 2.3): its own policy
    /// holds where the app says nothing.
    pub(super) fn of_both(first: &Answer, second: &Answer) -> Self {
        match Self::of(first) {
            Self::Nothing => by_gateway(second).or_else(|| by_gateway(first)).unwrap_or(Self::Nothing),
            says => says,
        }
    }

    /// So old may a copy be; `None` where there may be none, or nobody says.
    pub(super) fn staleness(&self) -> Option<u64> {
        match self {
            Self::For(seconds) => Some(*seconds),
            Self::Never("max-age=0" | "Expires in the past") => Some(0),
            _ => None,
        }
    }

    /// Somebody has decided.
    pub(super) fn is_decided(&self) -> bool {
        *self != Self::Nothing
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Never(word) => (*word).to_owned(),
            Self::Private => "private".into(),
            Self::For(seconds) => format!("at most {seconds} s old"),
            Self::Nothing => "nothing".into(),
        }
    }
}

/// Whether everybody may be given this field of it, by an explicit word (RFC 9111, 3.5).
pub(super) fn is_for_all(answer: &Answer, field: &str) -> bool {
    let says = Directives::of(answer, "cache-control");
    let restricted = says.forbids("private") || says.has("no-store") || says.withholds(field);
    !restricted && (says.has("public") || says.has("s-maxage"))
}

/// Whether a gateway says that it knows the copy to be stale: its own policy allows that, and shows nowhere else.
pub(super) fn is_stale_on_purpose(answer: &Answer) -> bool {
    let text = answer.header("cache-status").unwrap_or_default();
    text.split([';', ',']).any(|part| part.trim().starts_with("ttl=-"))
}

/// How old it says it is.
pub(super) fn age(answer: &Answer) -> u64 {
    seconds(answer.header("age").unwrap_or_default())
}

/// `Expires`; one that is no date is in the past (RFC 9111, 5.3).
fn by_date(answer: &Answer) -> Says {
    let date = |name: &str| answer.header(name).and_then(|text| httpdate::parse_http_date(text).ok());
    if answer.header("expires").is_none() {
        return Says::Nothing;
    }
    let made = date("date").unwrap_or_else(SystemTime::now);
    match date("expires").and_then(|expires| expires.duration_since(made).ok()).map(|left| left.as_secs()) {
        Some(seconds @ 1..) => Says::For(seconds),
        _ => Says::Never("Expires in the past"),
    }
}

fn by_gateway(answer: &Answer) -> Option<Says> {
    let text = answer.header("cache-status")?.to_ascii_lowercase();
    let parts = || text.split([';', ',']).map(str::trim);
    let left: i64 = parts().find_map(|part| part.strip_prefix("ttl=")?.parse().ok())?;
    let whole = left.saturating_add_unsigned(age(answer));
    parts().any(|part| part == "hit").then(|| Says::For(u64::try_from(whole).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderName, HeaderValue, StatusCode};

    use super::*;

    fn answer(lines: &[(&'static str, &'static str)]) -> Answer {
        let pairs = lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers = pairs.collect();
        Answer { status: StatusCode::OK, headers, body: Default::default(), length: 0, elapsed: Duration::ZERO }
    }

    #[test]
    fn a_decision_is_a_time_or_a_word_against_keeping() {
        let says = |control: &'static str| Says::of(&answer(&[("cache-control", control)]));
        assert_eq!(says("public, Max-Age=60"), Says::For(60));
        assert_eq!(says("max-age=60, s-maxage=5"), Says::For(5));
        assert_eq!(says("max-age=60, stale-while-revalidate=30"), Says::For(90));
        assert_eq!(says("private, max-age=60"), Says::Private);
        assert_eq!(says("max-age=60, no-store"), Says::Never("no-store"));
        assert_eq!(says("max-age=0, must-revalidate"), Says::Never("max-age=0"));
        assert_eq!(says("max-age=never"), Says::Never("max-age=0"));
        assert_eq!(says("max-age=5, no-cache=\"set-cookie\""), Says::For(5));
        assert_eq!(says("max-age=5, private=\"x-user\""), Says::For(5), "all but that field");
        for nothing in ["public", "must-revalidate", "immutable", "no-transform", ""] {
            assert_eq!(says(nothing), Says::Nothing, "{nothing}");
        }
        assert_eq!(Says::of(&answer(&[("etag", "\"a\""), ("pragma", "no-cache")])), Says::Nothing);
        let both = [("cdn-cache-control", "max-age=9"), ("cache-control", "no-cache")];
        assert_eq!(Says::of(&answer(&both)), Says::For(9));
    }

    #[test]
    fn what_is_in_quotes_is_no_directive() {
        let says = |control: &'static str| Says::of(&answer(&[("cache-control", control)]));
        assert_eq!(says("max-age=\"5\""), Says::For(5));
        assert_eq!(says("private=\"a, no-store, b\", max-age=5"), Says::For(5));
        assert_eq!(says("a=\"\\\", no-store\", max-age=5"), Says::For(5), "an escaped quote ends nothing");
        assert_eq!(says("a=\"\\\\\", no-store"), Says::Never("no-store"), "an escaped backslash escapes nothing");
        assert_eq!(unquoted("\"a\\\"b\\\\\""), "a\"b\\");
    }

    #[test]
    fn numbers_that_are_too_large_are_very_large() {
        let says = |control: &'static str| Says::of(&answer(&[("cache-control", control)]));
        assert_eq!(says("max-age=99999999999999999999999"), Says::For(u64::MAX));
        assert_eq!(says("max-age=18446744073709551615, stale-while-revalidate=5"), Says::For(u64::MAX));
        assert_eq!(says("max-age=5, stale-while-revalidate=99999999999999999999999"), Says::For(u64::MAX));
        for none in ["max-age=+5", "max-age=-5", "max-age=5.5", "max-age="] {
            assert_eq!(says(none), Says::Never("max-age=0"), "{none}");
        }
        assert_eq!(age(&answer(&[("age", "99999999999999999999999")])), u64::MAX);
    }

    #[test]
    fn dates_and_what_a_gateway_says_of_its_copy() {
        let date = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(Says::of(&answer(&[date, ("expires", "Tue, 14 Nov 2023 22:14:20 GMT")])), Says::For(60));
        assert_eq!(Says::of(&answer(&[date, ("expires", "0")])), Says::Never("Expires in the past"));
        let first = answer(&[("cache-status", "seaworthy; fwd=uri-miss; stored")]);
        let copy = answer(&[("cache-status", "seaworthy; hit; ttl=57"), ("age", "3")]);
        assert_eq!(Says::of_both(&first, &copy), Says::For(60));
        assert_eq!(Says::of_both(&first, &first), Says::Nothing, "stored by whose decision, and for how long?");
        let own = answer(&[("cache-control", "no-store")]);
        assert_eq!(Says::of_both(&own, &copy), Says::Never("no-store"));
    }

    #[test]
    fn for_all_is_said_and_not_assumed() {
        let all = |control: &'static str| is_for_all(&answer(&[("cache-control", control)]), "set-cookie");
        assert!(all("public, max-age=5") && all("s-maxage=5"));
        assert!(!all("max-age=5") && !all("private, s-maxage=5") && !all("public, no-store"));
        assert!(all("public, private=\"x-user\"") && !all("public, private=\"x-user, Set-Cookie\""));
    }
}
