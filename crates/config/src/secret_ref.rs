//! A value that may live elsewhere: `env:NAME`, `file:/path`, or the text itself.

use std::{borrow::Cow, env, fs, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use seaworthy_core::Secret;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

/// Where a value comes from. It is read at start, never written back or shown.
#[derive(Debug, Clone)]
pub enum SecretRef {
    /// The environment variable of that name, of the Seaworthy process.
    Environment(String),
    /// The content of a file, without one trailing line break.
    File(PathBuf),
    /// The text in the config itself.
    Literal(Secret),
}

/// References that later releases will know.
const PLANNED: [&str; 4] = ["vault:", "aws-sm:", "azure-kv:", "age:"];

/// True for text that says where a secret is, and is none itself.
pub(crate) fn is_reference(text: &str) -> bool {
    !matches!(SecretRef::from(text), SecretRef::Literal(_)) || PLANNED.iter().any(|scheme| text.starts_with(scheme))
}

/// A reference that leads nowhere.
#[derive(Debug, Error)]
pub enum SecretRefError {
    /// The variable is not set.
    #[error("environment variable `{0}` is not set; set it, or point the reference elsewhere")]
    NotSet(String),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; check the path and who may read it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl SecretRef {
    /// Reads the value.
    pub fn resolve(&self) -> Result<Secret, SecretRefError> {
        match self {
            Self::Environment(name) => {
                env::var(name).map(Secret::new).map_err(|_| SecretRefError::NotSet(name.clone()))
            }
            Self::File(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(Secret::new(text.strip_suffix('\n').unwrap_or(&text))),
                Err(source) => Err(SecretRefError::Unreadable { path: path.clone(), source }),
            },
            Self::Literal(secret) => Ok(secret.clone()),
        }
    }
}

impl From<&str> for SecretRef {
    fn from(text: &str) -> Self {
        match text.split_once(':') {
            Some(("env", name)) => Self::Environment(name.into()),
            Some(("file", path)) => Self::File(path.into()),
            _ => Self::Literal(Secret::new(text)),
        }
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        // Taken as the value itself, a reference would reach the app in place of the secret.
        if let Some(scheme) = PLANNED.iter().find(|scheme| text.starts_with(**scheme)) {
            let message = format!("`{scheme}` references are not supported by this release; use env:NAME or file:PATH");
            return Err(serde::de::Error::custom(message));
        }
        Ok(Self::from(text.as_ref()))
    }
}

impl JsonSchema for SecretRef {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // `writeOnly` is how JSON Schema marks what is taken and never shown; masking goes by it.
        json_schema!({ "type": "string", "format": "text, env:NAME or file:PATH", "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_from_file_and_text_and_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "s3cret\n").unwrap();
        let from_file = SecretRef::from(format!("file:{}", path.display()).as_str());
        assert_eq!(from_file.resolve().unwrap().expose(), "s3cret");
        assert_eq!(SecretRef::from("https://x").resolve().unwrap().expose(), "https://x");
        let missing = SecretRef::from("env:SEAWORTHY_SURELY_NOT_SET").resolve().unwrap_err();
        assert!(missing.to_string().contains("SEAWORTHY_SURELY_NOT_SET"));
        assert!(SecretRef::from("file:/nowhere/key").resolve().is_err());
        assert!(!format!("{:?}", SecretRef::from("plain")).contains("plain"));
    }
}
