//! A rate as people write it: `100/min`, `10/s per user`, `5000/h per tenant`, `20/10s`; one, or a list of them.

use std::{fmt, num::NonZeroU64, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use seaworthy_config::HumanDuration;
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use thiserror::Error;

/// More rates on one route could not be told in a header that anybody reads.
const MOST_RATES: usize = 4;

/// Who has a budget of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Per {
    /// Each client address; of IPv6 its network of 64 bits.
    Address,
    /// Each user or service; who is anonymous counts by address.
    User,
    /// Each tenant; who has none counts by user, and who is anonymous by address.
    Tenant,
    /// The route: all clients together.
    Route,
}

/// So many requests in a window, for each of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePolicy {
    /// So many…
    pub(super) requests: NonZeroU64,
    /// …in so long…
    pub(super) window: Duration,
    /// …of each of them.
    pub(super) per: Per,
}

/// What stands in the config: rates that all hold, or `off` where a common one must not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateSetting {
    /// No limit.
    Off,
    /// These.
    At(Vec<RatePolicy>),
}

impl RateSetting {
    /// The rates that hold; none when it is off.
    pub fn policies(&self) -> &[RatePolicy] {
        match self {
            Self::Off => &[],
            Self::At(policies) => policies,
        }
    }

    fn of(policies: Vec<RatePolicy>) -> Result<Self, RateError> {
        if policies.len() > MOST_RATES {
            return Err(RateError::TooMany(policies.len()));
        }
        for (index, policy) in policies.iter().enumerate() {
            let same = |other: &&RatePolicy| (other.per, other.window) == (policy.per, policy.window);
            if let Some(other) = policies[..index].iter().find(same) {
                return Err(RateError::Twice(other.to_string(), policy.to_string()));
            }
        }
        if policies.is_empty() { Err(RateError::TooMany(0)) } else { Ok(Self::At(policies)) }
    }
}

/// A rate that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RateError {
    /// Not a number, a slash and a time.
    #[error("`{0}` is not a rate; write for example \"100/min\", \"10/s per user\" or \"20/10s\"")]
    Shape(String),
    /// None at all, or a window of no length or of more than a day.
    #[error(
        "`{0}` lets nothing pass, or counts over no whole seconds or more than a day; write at least 1, over 1 s to 1 d"
    )]
    Range(String),
    /// Nobody that is counted.
    #[error("`per {0}` is not known; did you mean `per {1}`? known are address, user, tenant and route")]
    Per(String, &'static str),
    /// Nobody issues keys yet.
    #[error(
        "`per key` needs API keys, which this release does not issue; `per user` counts by the token's user or service"
    )]
    Key,
    /// Two that differ in their number alone: one of them never counts.
    #[error("`{0}` and `{1}` count the same; keep the smaller one")]
    Twice(String, String),
    /// None, or too many.
    #[error("{0} rates; write one to 4, or \"off\"")]
    TooMany(usize),
}

impl Per {
    const ALL: [(&'static str, Self); 4] =
        [("address", Self::Address), ("user", Self::User), ("tenant", Self::Tenant), ("route", Self::Route)];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user",
            Self::Tenant => "tenant",
            Self::Route => "route",
        }
    }

    fn read(word: &str) -> Result<Self, RateError> {
        match word {
            "client" => return Ok(Self::Address),
            "key" | "api-key" | "api key" => return Err(RateError::Key),
            "ip" => return Err(RateError::Per(word.to_owned(), "address")),
            _ => {}
        }
        if let Some((_, per)) = Self::ALL.iter().find(|(name, _)| *name == word) {
            return Ok(*per);
        }
        let likeness = |name: &str| strsim::jaro_winkler(name, word);
        let nearest = Self::ALL.iter().max_by(|(left, _), (right, _)| likeness(left).total_cmp(&likeness(right)));
        Err(RateError::Per(word.to_owned(), nearest.map_or("user", |(name, _)| name)))
    }
}

impl RatePolicy {
    /// So many requests…
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// …in so long…
    pub fn window(&self) -> Duration {
        self.window
    }

    /// …of each of them.
    pub fn per(&self) -> Per {
        self.per
    }
}

impl FromStr for RatePolicy {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (rate, per) = match text.split_once(" per ") {
            Some((rate, per)) => (rate.trim(), Per::read(per.trim())?),
            None => (text.trim(), Per::Address),
        };
        let shape = || RateError::Shape(text.to_owned());
        let (requests, window) = rate.split_once('/').ok_or_else(shape)?;
        let requests: u64 = requests.trim().parse().map_err(|_| shape())?;
        let window = match window.trim() {
            "s" | "sec" | "second" => Duration::from_secs(1),
            "m" | "min" | "minute" => Duration::from_secs(60),
            "h" | "hour" => Duration::from_secs(3_600),
            "d" | "day" => Duration::from_secs(86_400),
            other => other.parse::<HumanDuration>().map_err(|_| shape())?.0,
        };
        // The fields that tell of it know whole seconds alone.
        let in_range =
            (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&window) && window.subsec_nanos() == 0;
        let requests = NonZeroU64::new(requests).filter(|requests| in_range && requests.get() <= 1_000_000_000);
        Ok(Self { requests: requests.ok_or_else(|| RateError::Range(text.to_owned()))?, window, per })
    }
}

impl fmt::Display for RatePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} per {}", self.requests, HumanDuration(self.window), self.per.name())
    }
}

impl<'de> Deserialize<'de> for RateSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

struct SettingVisitor;

impl<'de> Visitor<'de> for SettingVisitor {
    type Value = RateSetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate such as \"100/min\", a list of rates, or \"off\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RateSetting, E> {
        match text {
            "off" => Ok(RateSetting::Off),
            text => text.parse().map(|policy| RateSetting::At(vec![policy])).map_err(E::custom),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RateSetting, A::Error> {
        let mut policies = Vec::new();
        while let Some(text) = items.next_element::<String>()? {
            policies.push(text.parse().map_err(de::Error::custom)?);
        }
        RateSetting::of(policies).map_err(de::Error::custom)
    }
}

impl JsonSchema for RateSetting {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "format": "rate, or a list", "items": { "type": "string" } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, shown) in [
            ("100/min", "100/1m per address"),
            ("10/s per client", "10/1s per address"),
            ("10/s per user", "10/1s per user"),
            ("10/s per route", "10/1s per route"),
            ("20 / 10s", "20/10s per address"),
            ("5000/h", "5000/1h per address"),
            ("1/day", "1/1d per address"),
        ] {
            assert_eq!(text.parse::<RatePolicy>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str| text.parse::<RatePolicy>().unwrap_err();
        assert!(matches!(wrong("fast"), RateError::Shape(_)));
        assert!(matches!(wrong("-1/s"), RateError::Shape(_)));
        assert!(matches!(wrong("1/fortnight"), RateError::Shape(_)));
        assert!(matches!(wrong("0/s"), RateError::Range(_)));
        assert!(matches!(wrong("1/2d"), RateError::Range(_)));
        assert!(matches!(wrong("1/1ms"), RateError::Range(_)) && matches!(wrong("20/1500ms"), RateError::Range(_)));
        assert_eq!(wrong("1/s per usr"), RateError::Per("usr".into(), "user"));
        assert_eq!(wrong("1/s per tennant"), RateError::Per("tennant".into(), "tenant"));
        assert_eq!(wrong("1/s per ip"), RateError::Per("ip".into(), "address"));
        assert_eq!(wrong("1/s per key"), RateError::Key);
    }

    #[test]
    fn a_list_holds_rates_that_differ() {
        let read = |text: &str| serde_json::from_str::<RateSetting>(text).map_err(|error| error.to_string());
        assert_eq!(read(r#""off""#), Ok(RateSetting::Off));
        assert_eq!(read(r#"["100/min per user", "10/s"]"#).unwrap().policies().len(), 2);
        assert!(read(r#"["100/min", "50/60s"]"#).unwrap_err().contains("keep the smaller one"));
        assert!(read(r#"["1/s", "1/2s", "1/3s", "1/4s", "1/5s"]"#).unwrap_err().contains("5 rates"));
        assert!(read("[]").is_err() && read("7").unwrap_err().contains("100/min") && read(r#"["off"]"#).is_err());
    }
}
