//! A rate as people write it: `100/min`, `10/s per client`, `5000/h`, `20/10s`.

use std::{borrow::Cow, fmt, num::NonZeroU64, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use seaworthy_config::HumanDuration;
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// So many requests in a window, for each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePolicy {
    /// So many…
    pub(super) requests: NonZeroU64,
    /// …in so long.
    pub(super) window: Duration,
}

/// What stands in the config: a rate, or `off` where a common one must not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateSetting {
    /// No limit.
    Off,
    /// This one.
    At(RatePolicy),
}

impl RateSetting {
    /// The rate, where there is one.
    pub fn policy(&self) -> Option<&RatePolicy> {
        match self {
            Self::Off => None,
            Self::At(policy) => Some(policy),
        }
    }
}

/// A rate that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RateError {
    /// Not a number, a slash and a time.
    #[error("`{0}` is not a rate; write for example \"100/min\", \"10/s\" or \"20/10s\"")]
    Shape(String),
    /// None at all, or a window of no length or of more than a day.
    #[error(
        "`{0}` lets nothing pass, or counts over no whole seconds or more than a day; write at least 1, over 1 s to 1 d"
    )]
    Range(String),
    /// A key that needs to know more than an address.
    #[error("`per {0}` is not known; this release counts `per client`, by address: who is signed in is not known yet")]
    Per(String),
}

impl RatePolicy {
    /// So many requests…
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// …in so long.
    pub fn window(&self) -> Duration {
        self.window
    }
}

impl FromStr for RatePolicy {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (rate, per) = match text.split_once(" per ") {
            Some((rate, per)) => (rate.trim(), per.trim()),
            None => (text.trim(), "client"),
        };
        if per != "client" {
            return Err(RateError::Per(per.to_owned()));
        }
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
        Ok(Self { requests: requests.ok_or_else(|| RateError::Range(text.to_owned()))?, window })
    }
}

impl fmt::Display for RatePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} per client", self.requests, HumanDuration(self.window))
    }
}

impl<'de> Deserialize<'de> for RateSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match &*Cow::<str>::deserialize(deserializer)? {
            "off" => Ok(Self::Off),
            text => text.parse().map(Self::At).map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for RateSetting {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "rate" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, shown) in [
            ("100/min", "100/1m per client"),
            ("10/s per client", "10/1s per client"),
            ("20 / 10s", "20/10s per client"),
            ("5000/h", "5000/1h per client"),
            ("1/day", "1/1d per client"),
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
        assert_eq!(wrong("1/s per user"), RateError::Per("user".into()));
    }
}
