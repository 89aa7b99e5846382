//! When runtimes, frameworks and images end: a dated list of ours.

use std::{
    collections::BTreeMap,
    fmt,
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;

/// A day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) i64);

impl Day {
    /// Today, by this machine's clock.
    pub(super) fn today() -> Self {
        Self::of(SystemTime::now())
    }

    /// The day of a time.
    pub(super) fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self(i64::try_from(seconds / 86_400).unwrap_or(i64::MAX))
    }

    /// `2026-01-31`, and what begins so.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.get(..10)?.split('-').map(|part| part.parse::<i64>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        // Days from civil, with years that begin in March.
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let of_era = year - era * 400;
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        Some(Self(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0 + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days - era * 146_097;
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

/// Something with releases that end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Product {
    pub(super) name: String,
    #[serde(default)]
    pub(super) images: Vec<String>,
    #[serde(default)]
    pub(super) packages: Vec<String>,
    #[serde(default)]
    pub(super) files: Vec<String>,
    #[serde(default)]
    pub(super) tools: Vec<String>,
    cycles: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    as_of: String,
    product: Vec<Product>,
}

static FILE: LazyLock<File> = LazyLock::new(|| toml::from_str(include_str!("ends_of_life.toml")).unwrap_or_default());

/// Everything that is known.
pub(super) fn products() -> &'static [Product] {
    &FILE.product
}

/// The day on which that was written down.
pub(super) fn as_of() -> &'static str {
    &FILE.as_of
}

impl Product {
    /// The last day of the release that a version belongs to; nothing when it is not known.
    pub(super) fn ends(&self, version: &str) -> Option<Day> {
        let version = version.trim().trim_start_matches('v');
        let fits = |cycle: &str| {
            version
                .strip_prefix(cycle)
                .is_some_and(|rest| cycle.is_empty() || !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
        };
        let longest = self.cycles.iter().filter(|(cycle, _)| fits(cycle)).max_by_key(|(cycle, _)| cycle.len());
        longest.and_then(|(_, day)| Day::parse(day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_of_the_file_is_one() {
        assert!(products().len() > 20 && Day::parse(as_of()).is_some());
        for product in products() {
            assert!(product.cycles.values().all(|day| Day::parse(day).is_some()), "{}", product.name);
        }
    }

    #[test]
    fn days_are_counted_rightly() {
        assert_eq!(Day::parse("1970-01-01"), Some(Day(0)));
        assert_eq!(Day::parse("2024-02-29T10:00:00Z"), Some(Day(19_782)));
        for day in [-1, 0, 59, 60, 11_016, 19_782, 20_000] {
            assert_eq!(Day::parse(&Day(day).to_string()), Some(Day(day)));
        }
        assert_eq!(Day::parse("2024-13-01"), None);
    }

    #[test]
    fn a_version_belongs_to_its_cycle() {
        let python = products().iter().find(|product| product.name == "Python").unwrap();
        assert_eq!(python.ends("3.10.2").map(|day| day.to_string()).as_deref(), Some("2026-10-31"));
        assert_eq!(python.ends("3.1"), None);
        assert_eq!(python.ends("3.8-slim-buster"), Day::parse("2024-10-07"));
        assert_eq!(python.ends("3"), None);
    }
}
