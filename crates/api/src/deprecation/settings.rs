//! A route's `deprecated`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use schemars::JsonSchema;
use seaworthy_config::Findings;
use serde::{Deserialize, Serialize};

/// An operation that will go away. Dates are days (`2026-01-01`, from midnight UTC on) or moments (`2026-01-01T12:00:00Z`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeprecatedSettings {
    /// Since when, or from when on, it is deprecated: the header `Deprecation` (RFC 9745).
    pub since: String,
    /// When it stops working: the header `Sunset` (RFC 8594).
    pub sunset: Option<String>,
    /// The address of a page that says what to do: `Link` with `rel="deprecation"`, and with a sunset `rel="sunset"` too.
    pub link: Option<String>,
    /// The address of what takes its place: `Link` with `rel="successor-version"` (RFC 5829).
    pub successor: Option<String>,
    /// What happens after the sunset: `serve` as before, or `gone` (410).
    pub after_sunset: AfterSunset,
}

/// What happens after the sunset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AfterSunset {
    /// The app answers as before.
    #[default]
    Serve,
    /// 410, and the app is not asked.
    Gone,
}

impl DeprecatedSettings {
    pub(crate) fn validate(&self, at: &str, findings: &mut Findings) {
        let since = moment(&self.since);
        let sunset = self.sunset.as_deref().map(moment);
        for (key, wrong) in [("since", since.is_none()), ("sunset", sunset == Some(None))] {
            if wrong {
                let message = "this is no date".to_owned();
                let help = "write a day like \"2026-01-01\", or a moment like \"2026-01-01T12:00:00Z\"";
                findings.add(format!("{at}.{key}"), "SEA_CONFIG_WRONG_VALUE", message, help);
            }
        }
        if let (Some(since), Some(Some(sunset))) = (since, sunset)
            && sunset < since
        {
            // RFC 9745, 4.
            let message = "the sunset comes before the deprecation";
            findings.add(format!("{at}.sunset"), "SEA_CONFIG_CONFLICT", message, "take a later day");
        }
        if self.after_sunset == AfterSunset::Gone && self.sunset.is_none() {
            let message = "it is never gone without a day on which it goes";
            findings.add(format!("{at}.after_sunset"), "SEA_CONFIG_CONFLICT", message, "add sunset = \"…\"");
        }
        for (key, address) in [("link", &self.link), ("successor", &self.successor)] {
            if address.as_ref().is_some_and(|address| !is_address(address)) {
                let message = "this is no address that fits into a `Link` header";
                let help = "write \"https://…\", or a path of this app like \"/v2/items\"";
                findings.add(format!("{at}.{key}"), "SEA_CONFIG_WRONG_VALUE", message, help);
            }
        }
    }
}

/// The moment that a text names.
pub(super) fn moment(text: &str) -> Option<SystemTime> {
    let at: Timestamp = match text.parse::<Timestamp>() {
        Ok(moment) => moment,
        Err(_) if text.len() == 10 => text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
        Err(_) => return None,
    };
    let seconds = u64::try_from(at.as_second()).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// An absolute address or a path, in characters that RFC 3986 allows.
fn is_address(text: &str) -> bool {
    let begins = ["https://", "http://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    let path = text.starts_with('/') && !text.starts_with("//");
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte);
    (begins || path) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_are_read_and_others_named() {
        let seconds = |text: &str| moment(text).map(|at| at.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("2026-01-01"), Some(1_767_225_600));
        assert_eq!(seconds("2026-01-01T01:00:00+01:00"), Some(1_767_225_600));
        for wrong in ["", "2026-13-01", "01.01.2026", "1969-01-01", "2026-01-01T12:00"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        let mut findings = Findings::default();
        let settings = DeprecatedSettings {
            since: "2026-02-01".into(),
            sunset: Some("2026-01-01".into()),
            link: Some("https://a.test/\">; rel=\"x".into()),
            successor: Some("v2".into()),
            after_sunset: AfterSunset::Serve,
        };
        settings.validate("d", &mut findings);
        DeprecatedSettings { after_sunset: AfterSunset::Gone, ..DeprecatedSettings::default() }
            .validate("e", &mut findings);
        let paths: Vec<String> = findings.into_list().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["d.sunset", "d.link", "d.successor", "e.since", "e.after_sunset"]);
        let mut fine = Findings::default();
        let settings = DeprecatedSettings {
            since: "2026-01-01".into(),
            sunset: Some("2027-01-01".into()),
            link: Some("https://docs.test/v1?a=b#c".into()),
            successor: Some("/v2/items".into()),
            after_sunset: AfterSunset::Gone,
        };
        settings.validate("d", &mut fine);
        assert!(fine.is_empty());
    }
}
