//! Durations and sizes as people write them: `30s`, `10m`, `20MB`, `1GiB`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A value with a unit that could not be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UnitError {
    /// No digits at the start.
    #[error("`{0}` does not start with a number; write for example {1}")]
    NoNumber(String, &'static str),
    /// A number without or with an unknown unit.
    #[error("`{0}` has no known unit; known are {1}")]
    UnknownUnit(String, &'static str),
    /// Larger than can be held.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

/// A length of time: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct HumanDuration(pub Duration);

/// A number of bytes: a whole number and one of `B`, `KB`, `MB`, `GB` (powers of 1,000) or `KiB`, `MiB`, `GiB` (of 1,024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(pub u64);

const DURATIONS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl HumanDuration {
    /// A duration of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for HumanDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text, DURATIONS, "\"30s\"", "ms, s, m, h, d").map(|millis| Self(Duration::from_millis(millis)))
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text, SIZES, "\"20MB\"", "B, KB, MB, GB, KiB, MiB, GiB").map(Self)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write_in_largest(f, millis, DURATIONS)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_in_largest(f, self.0, SIZES)
    }
}

fn parse(text: &str, units: &[(&str, u64)], example: &'static str, known: &'static str) -> Result<u64, UnitError> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(UnitError::NoNumber(text.into(), example));
    }
    let number: u64 = text[..digits].parse().map_err(|_| UnitError::TooLarge(text.into()))?;
    let unit = text[digits..].trim_start();
    let exact = units.iter().find(|(name, _)| *name == unit);
    let factor = exact.or_else(|| units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)));
    let (_, factor) = factor.ok_or_else(|| UnitError::UnknownUnit(text.into(), known))?;
    number.checked_mul(*factor).ok_or_else(|| UnitError::TooLarge(text.into()))
}

fn write_in_largest(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    match fits.or(units.last()) {
        Some((name, factor)) => write!(f, "{}{name}", value / factor),
        None => write!(f, "{value}"),
    }
}

macro_rules! as_text {
    ($type:ty, $name:literal, $description:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $description })
            }
        }
    };
}

as_text!(HumanDuration, "Duration", "duration");
as_text!(ByteSize, "ByteSize", "size");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_writes_it_back() {
        for text in ["30s", "10m", "1500ms", "2h", "7d"] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().to_string(), text);
        }
        assert_eq!("90 s".parse::<HumanDuration>().unwrap().0, Duration::from_secs(90));
        assert_eq!("20mb".parse::<ByteSize>().unwrap(), ByteSize(20_000_000));
        assert_eq!("1GiB".parse::<ByteSize>().unwrap().to_string(), "1GiB");
        assert_eq!(ByteSize(0).to_string(), "0B");
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(matches!("fast".parse::<HumanDuration>(), Err(UnitError::NoNumber(..))));
        assert!(matches!("30".parse::<HumanDuration>(), Err(UnitError::UnknownUnit(..))));
        assert!(matches!("99999999999999999999s".parse::<HumanDuration>(), Err(UnitError::TooLarge(_))));
        assert!(matches!("99999999999999999d".parse::<HumanDuration>(), Err(UnitError::TooLarge(_))));
    }
}
