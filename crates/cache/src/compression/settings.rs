//! `compression`: of `[cache]`, and of a `[[route]]`.

use std::fmt;

use http::HeaderMap;
use schemars::JsonSchema;
use seaworthy_config::{ByteSize, Findings};
use seaworthy_core::Coding;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::answer;

/// `true`, `false` or a table.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum CompressionSetting {
    /// On, and how.
    Policy(CompressionSettings),
    /// On with the defaults, or off.
    Switch(bool),
}

/// Which answers are compressed, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CompressionSettings {
    /// What is sent, in the order that decides where a client likes several alike. Left out: `["zstd", "gzip", "br"]`.
    pub codings: Vec<CodingName>,
    /// Effort of Zstandard, 1 to 12: more is smaller, and slower.
    pub zstd: u8,
    /// Effort of Brotli, 0 to 9.
    pub br: u8,
    /// Effort of gzip, 1 to 9.
    pub gzip: u8,
    /// Smaller answers stay as they are, where their length is known.
    pub min_size: ByteSize,
    /// Media types to compress beside the usual ones (text, JSON, XML, scripts, SVG, fonts that are not compressed already),
    /// without parameters: `["application/x-our-own"]`.
    pub types: Vec<String>,
    /// Answers to requests with cookies or `Authorization`. `pad`, the default, adds up to 127 bytes at random, so that their length does
    /// not tell what they say (BREACH); `skip` leaves them uncompressed; `plain` compresses them as any other.
    pub with_credentials: WithCredentials,
}

/// A content coding by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CodingName {
    /// Zstandard.
    Zstd,
    /// Brotli.
    Br,
    /// gzip.
    Gzip,
}

/// What becomes of answers that may hold somebody's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WithCredentials {
    /// Compressed, and of a random length.
    Pad,
    /// Not compressed.
    Skip,
    /// Compressed.
    Plain,
}

/// The same, resolved.
#[derive(Debug, Clone)]
pub struct CompressionPolicy {
    pub(super) codings: Vec<Coding>,
    pub(super) levels: Levels,
    pub(super) min_size: u64,
    /// In small letters.
    pub(super) types: Vec<String>,
    pub(super) with_credentials: WithCredentials,
}

/// How hard each coding tries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    pub zstd: u8,
    pub br: u8,
    pub gzip: u8,
}

impl Default for CompressionSetting {
    fn default() -> Self {
        Self::Switch(false)
    }
}

/// By size and time on pages and records of 1, 10 and 100 KB: from here on each further level costs half as much again for a
/// percent or two. At these levels Zstandard is the smallest and takes about half of gzip's time; Brotli saves no more than gzip, so
/// that it comes last.
impl Default for CompressionSettings {
    fn default() -> Self {
        Self {
            codings: vec![CodingName::Zstd, CodingName::Gzip, CodingName::Br],
            zstd: 3,
            br: 3,
            gzip: 4,
            min_size: ByteSize(1 << 10),
            types: Vec::new(),
            with_credentials: WithCredentials::Pad,
        }
    }
}

impl CompressionSetting {
    /// What it comes to; `None` is no compression.
    pub fn policy(&self) -> Option<CompressionPolicy> {
        match self {
            Self::Switch(false) => None,
            Self::Switch(true) => Some(CompressionSettings::default().policy()),
            Self::Policy(settings) => Some(settings.policy()),
        }
    }

    /// Everything that is wrong with it; `at` is where it stands.
    pub(crate) fn validate(&self, at: &str, findings: &mut Findings) {
        if let Self::Policy(settings) = self {
            settings.validate(at, findings);
        }
    }
}

impl CompressionSettings {
    fn policy(&self) -> CompressionPolicy {
        let mut codings = Vec::new();
        for name in &self.codings {
            let coding = match name {
                CodingName::Zstd => Coding::Zstandard,
                CodingName::Br => Coding::Brotli,
                CodingName::Gzip => Coding::Gzip,
            };
            if !codings.contains(&coding) {
                codings.push(coding);
            }
        }
        CompressionPolicy {
            codings,
            levels: Levels { zstd: self.zstd.clamp(1, 12), br: self.br.min(9), gzip: self.gzip.clamp(1, 9) },
            min_size: self.min_size.0,
            types: self.types.iter().map(|name| name.to_ascii_lowercase()).collect(),
            with_credentials: self.with_credentials,
        }
    }

    fn validate(&self, at: &str, findings: &mut Findings) {
        if self.codings.is_empty() {
            let help = "name some of \"zstd\", \"br\", \"gzip\", or write compression = false";
            findings.add(format!("{at}.codings"), "SEA_CONFIG_EMPTY", "nothing to compress with", help);
        }
        // Beyond these an answer costs milliseconds more than it saves; files are compressed harder by a build, once.
        let levels = [("zstd", self.zstd, 1, 12), ("br", self.br, 0, 9), ("gzip", self.gzip, 1, 9)];
        for (name, level, least, most) in levels {
            if !(least..=most).contains(&level) {
                let message = format!("{level} is no effort for {name} while a client waits");
                let help = format!("write {least} to {most}");
                findings.add(format!("{at}.{name}"), "SEA_CONFIG_WRONG_VALUE", message, &help);
            }
        }
        for name in &self.types {
            let right = name.split_once('/').is_some_and(|(kind, detail)| !kind.is_empty() && !detail.is_empty())
                && !name.contains([';', ',', ' ', '*']);
            if !right {
                let message = format!("`{name}` is not a media type");
                let help = "write for example \"application/x-our-own\", without parameters";
                findings.add(format!("{at}.types"), "SEA_CONFIG_WRONG_VALUE", message, help);
            }
            if answer::is_stream(name) {
                let message = format!("`{name}` is never compressed: its events must arrive one by one");
                findings.add(format!("{at}.types"), "SEA_CONFIG_CONFLICT", message, "leave it out");
            }
        }
    }
}

impl CompressionPolicy {
    /// Whether a request says who sends it.
    pub(super) fn is_personal(headers: &HeaderMap) -> bool {
        headers.contains_key(http::header::COOKIE) || crate::policy::has_credentials(headers)
    }
}

impl<'de> Deserialize<'de> for CompressionSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

/// By hand and not `untagged`: a wrong value in the table keeps its own message.
struct SettingVisitor;

impl<'de> Visitor<'de> for SettingVisitor {
    type Value = CompressionSetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or a table like { gzip = 6 }")
    }

    fn visit_bool<E>(self, on: bool) -> Result<CompressionSetting, E> {
        Ok(CompressionSetting::Switch(on))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CompressionSetting, A::Error> {
        CompressionSettings::deserialize(MapAccessDeserializer::new(map)).map(CompressionSetting::Policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_value_is_named_and_the_defaults_are_right() {
        let codes = |settings: CompressionSettings| {
            let mut findings = Findings::default();
            CompressionSetting::Policy(settings).validate("cache.compression", &mut findings);
            let list = findings.into_list().into_iter();
            list.map(|(path, finding)| format!("{path} {}", finding.code)).collect::<Vec<_>>()
        };
        assert_eq!(codes(CompressionSettings::default()), Vec::<String>::new());
        let wrong = CompressionSettings {
            codings: Vec::new(),
            zstd: 19,
            br: 11,
            gzip: 0,
            types: vec!["json".into(), "text/*".into(), "text/event-stream".into()],
            ..CompressionSettings::default()
        };
        assert_eq!(
            codes(wrong),
            [
                "cache.compression.codings SEA_CONFIG_EMPTY",
                "cache.compression.zstd SEA_CONFIG_WRONG_VALUE",
                "cache.compression.br SEA_CONFIG_WRONG_VALUE",
                "cache.compression.gzip SEA_CONFIG_WRONG_VALUE",
                "cache.compression.types SEA_CONFIG_WRONG_VALUE",
                "cache.compression.types SEA_CONFIG_WRONG_VALUE",
                "cache.compression.types SEA_CONFIG_CONFLICT",
            ]
        );
        assert!(CompressionSetting::default().policy().is_none(), "off until somebody asks for it");
    }
}
