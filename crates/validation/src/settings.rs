//! `[validation]`, and what a `[[route]]` may change of it.

use schemars::JsonSchema;
use seaworthy_config::{ByteSize, Findings, Section};
use serde::Deserialize;

/// Requests against the app's OpenAPI document (3.0 or 3.1), and limits on JSON.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The document: a file (`openapi.yaml`, JSON or YAML; an absolute one as `file:/etc/app/openapi.json`), or the path
    /// where the app serves it (`/openapi.json`), which is asked when the app is ready and again when its instances
    /// change. Without one, only `json` below has something to do.
    pub openapi: Option<String>,
    /// What happens to a request that the document does not allow: `enforce` refuses it, `report` lets it pass and counts
    /// it for `seaworthy openapi`, `off` looks at nothing.
    pub mode: Mode,
    /// What happens to a request for a path or method that the document does not have: `pass` or `refuse` (404, 405).
    pub unknown: Unknown,
    /// The status of a refusal: 422 or 400.
    pub status: u16,
    /// The largest body that is read to be validated (JSON and forms; everything else streams). More is answered 413.
    pub body_limit: ByteSize,
    /// Whether `format` is held: `date-time` with its offset, `email`, `uuid` and so on.
    pub formats: bool,
    /// Limits on the JSON of requests, whatever the document says.
    pub json: JsonSettings,
}

/// Limits on the JSON of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JsonSettings {
    /// Hold them on every body of JSON, not only on those that the document describes.
    pub everywhere: bool,
    /// How deep arrays and objects may lie within each other, at most 100.
    pub depth: u8,
    /// How many members all objects of a body may have together, and how many items all its arrays.
    pub members: u32,
}

/// What happens to a request that the document does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nobody looks.
    Off,
    /// It passes and is counted.
    Report,
    /// It is refused.
    #[default]
    Enforce,
}

/// What happens to a request that the document does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// The app's affair.
    #[default]
    Pass,
    /// 404, or 405 where the path is known.
    Refuse,
}

/// What one `[[route]]` may change of `[validation]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutePolicy {
    /// In place of `validation.mode`.
    pub validate: Option<Mode>,
    /// In place of `validation.json.everywhere`.
    pub json_limits: Option<bool>,
}

/// Where the document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentPlace {
    /// On the disk.
    File(String),
    /// The app serves it.
    App(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            openapi: None,
            mode: Mode::default(),
            unknown: Unknown::default(),
            status: 422,
            body_limit: ByteSize(1 << 20),
            formats: true,
            json: JsonSettings::default(),
        }
    }
}

impl Default for JsonSettings {
    fn default() -> Self {
        Self { everywhere: false, depth: 32, members: 50_000 }
    }
}

impl Settings {
    /// Where the document is, when there is one.
    pub fn place(&self) -> Option<DocumentPlace> {
        let named = self.openapi.as_deref()?;
        Some(match named.strip_prefix("file:") {
            Some(path) => DocumentPlace::File(path.to_owned()),
            None if named.starts_with('/') => DocumentPlace::App(named.to_owned()),
            None => DocumentPlace::File(named.to_owned()),
        })
    }
}

impl Section for Settings {
    const KEY: &'static str = "validation";

    fn validate(&self, findings: &mut Findings) {
        let mut wrong = |key: &str, message: &str, help: &str| {
            findings.add(format!("validation.{key}"), "SEA_CONFIG_WRONG_VALUE", message, help);
        };
        if self
            .openapi
            .as_deref()
            .is_some_and(|named| named.contains("://") || named.trim_start_matches("file:").is_empty())
        {
            let help = "write a file (\"openapi.yaml\") or a path that the app serves (\"/openapi.json\")";
            wrong("openapi", "the document is neither a file nor a path of the app", help);
        }
        if !matches!(self.status, 400 | 422) {
            wrong("status", "not a status for a request that is wrong", "write 422 or 400");
        }
        if self.body_limit.0 == 0 || self.body_limit.0 > 64 << 20 {
            wrong("body_limit", "not a size that is held in memory for each request", "write 1B to 64MiB");
        }
        if !(1..=100).contains(&self.json.depth) {
            wrong("json.depth", "not a depth", "write 1 to 100");
        }
        if self.json.members == 0 {
            wrong("json.members", "no body could be right", "write at least 1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_or_a_path_of_the_app() {
        let place = |named: &str| Settings { openapi: Some(named.into()), ..Settings::default() }.place().unwrap();
        assert_eq!(place("api/openapi.yaml"), DocumentPlace::File("api/openapi.yaml".into()));
        assert_eq!(place("/openapi.json"), DocumentPlace::App("/openapi.json".into()));
        assert_eq!(place("file:/etc/openapi.json"), DocumentPlace::File("/etc/openapi.json".into()));
        assert_eq!(Settings::default().place(), None);
    }
}
