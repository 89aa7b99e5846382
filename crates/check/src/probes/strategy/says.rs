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
        let items = lines.flat_map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let pairs = items.map(|item| match item.trim().to_ascii_lowercase().split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.trim_matches('"').to_owned())),
            None => (item.trim().to_ascii_lowercase(), None),
        });
        Self(pairs.filter(|(name, _)| !name.is_empty()).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// A word that holds for the whole answer, and not for some of its fields (RFC 9111, 5.2.2.4).
    fn forbids(&self, name: &str) -> bool {
        self.0.iter().any(|(known, fields)| known == name && fields.is_none())
    }

    /// Seconds; what is no number is no time (RFC 9111, 4.2.1).
    fn seconds(&self, name: &str) -> Option<u64> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.as_deref().and_then(|value| value.parse().ok()).unwrap_or(0))
    }

    fn says(&self) -> Says {
        match () {
            () if self.has("no-store") => Says::Never("no-store"),
            () if self.has("private") => Says::Private,
            () if self.forbids("no-cache") => Says::Never("no-cache"),
            () => match self.seconds("s-maxage").or_else(|| self.seconds("max-age")) {
                Some(0) if !self.has("stale-while-revalidate") => Says::Never("max-age=0"),
                Some(seconds) => Says::For(seconds + self.seconds("stale-while-revalidate").unwrap_or(0)),
                None => Says::Nothing,
            },
        }
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

/// Whether everybody may be given it, by an explicit word (RFC 9111, 3.5).
pub(super) fn is_for_all(answer: &Answer) -> bool {
    let says = Directives::of(answer, "cache-control");
    let restricted = says.has("private") || says.has("no-store");
    !restricted && (says.has("public") || says.has("s-maxage"))
}

/// Whether a gateway says that it knows the copy to be stale: its own policy allows that, and shows nowhere else.
pub(super) fn is_stale_on_purpose(answer: &Answer) -> bool {
    let text = answer.header("cache-status").unwrap_or_default();
    text.split([';', ',']).any(|part| part.trim().starts_with("ttl=-"))
}

/// How old it says it is.
pub(super) fn age(answer: &Answer) -> u64 {
    answer.header("age").and_then(|age| age.parse().ok()).unwrap_or(0)
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
        for nothing in ["public", "must-revalidate", "immutable", "no-transform", ""] {
            assert_eq!(says(nothing), Says::Nothing, "{nothing}");
        }
        assert_eq!(Says::of(&answer(&[("etag", "\"a\""), ("pragma", "no-cache")])), Says::Nothing);
        let both = [("cdn-cache-control", "max-age=9"), ("cache-control", "no-cache")];
        assert_eq!(Says::of(&answer(&both)), Says::For(9));
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
        let all = |control: &'static str| is_for_all(&answer(&[("cache-control", control)]));
        assert!(all("public, max-age=5") && all("s-maxage=5"));
        assert!(!all("max-age=5") && !all("private, s-maxage=5") && !all("public, no-store"));
    }
}
