//! The secrets of a config: those that a file holds itself, and those that it only points at.

use toml::Value;

use crate::{
    document::Document,
    masking::{looks_secret, mask},
    origin::Origin,
    schema::SectionSchema,
    secret_ref::{SecretRef, is_reference},
};

impl Document {
    /// Every reference (`env:NAME`, `file:PATH`) that stands where a secret is taken, with its dotted path.
    pub fn references(&self) -> Vec<(String, SecretRef)> {
        let mut found = Vec::new();
        each_secret(self, &mut |path, _, text| {
            if is_reference(text) {
                found.push((path, SecretRef::from(text)));
            }
        });
        found
    }
}

/// Dotted paths of the secrets that count now and stand in a file, where they land in version control, backups and
/// images: keys that are secrets by type, and of the keys that the user chose those that are secrets by name or hold a
/// password.
pub(crate) fn written_secrets(document: &Document) -> Vec<String> {
    let mut found = Vec::new();
    each_secret(document, &mut |path, is_ours, text| {
        let name = path.rsplit('.').next().unwrap_or_default();
        let is_one = is_ours || looks_secret(name) || mask(text) != *text;
        if !text.is_empty() && !is_reference(text) && is_one {
            found.push(path);
        }
    });
    found.retain(|path| matches!(document.origin(path), Origin::File { .. }));
    found
}

/// Calls back with the dotted path of each text that is a secret by type, whether the key is one of ours, and the text.
fn each_secret(document: &Document, found: &mut dyn FnMut(String, bool, &str)) {
    for (section, schema) in &document.sections {
        if let Some(value) = document.table.get(*section) {
            walk(value, section, &[], schema, found);
        }
    }
}

fn walk(
    value: &Value,
    section: &str,
    keys: &[&str],
    schema: &SectionSchema,
    found: &mut dyn FnMut(String, bool, &str),
) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                walk(value, section, &[keys, &[key.as_str()]].concat(), schema, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                walk(value, section, &[keys, &[index.to_string().as_str()]].concat(), schema, found);
            }
        }
        Value::String(text) if schema.is_secret(keys) => {
            let around = &keys[..keys.len().saturating_sub(1)];
            let is_chosen = schema.at(around).iter().any(|node| node["additionalProperties"].is_object());
            found(format!("{section}.{}", keys.join(".")), !is_chosen, text);
        }
        _ => {}
    }
}
