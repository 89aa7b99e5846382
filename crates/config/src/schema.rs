//! What keys exist: read off the JSON Schema that each section's `Settings` generates.

use std::fmt::Write as _;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// A section's schema with its definitions at hand.
pub(crate) struct SectionSchema {
    root: Value,
}

/// A key that no section knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownKey {
    pub path: String,
    pub key: String,
    pub suggestion: Option<String>,
    pub known: Vec<String>,
}

impl SectionSchema {
    pub(crate) fn of<T: JsonSchema>() -> Self {
        Self { root: SchemaGenerator::default().into_root_schema_for::<T>().into() }
    }

    /// Every key in `value` that the schema does not name. `path` is the section's own.
    pub(crate) fn unknown_keys(&self, value: &toml::Value, path: &str) -> Vec<UnknownKey> {
        let mut found = Vec::new();
        self.walk(&self.root, value, path, &mut found);
        found
    }

    /// True when the value at this dotted path (below the section) is text.
    pub(crate) fn is_text(&self, path: &[&str]) -> bool {
        let mut node = self.resolve(&self.root);
        for key in path {
            let next = node["properties"].get(*key).or_else(|| node.get("additionalProperties"));
            let Some(next) = next else { return false };
            node = self.resolve(next);
        }
        match &node["type"] {
            Value::Array(types) => types.iter().any(|kind| kind == "string"),
            kind => kind == "string",
        }
    }

    /// A variable's keys as the config spells them: known keys in lower case, the user's own as they are.
    pub(crate) fn spelling(&self, path: &[&str]) -> Vec<String> {
        let mut node = self.resolve(&self.root);
        let mut spelled = Vec::new();
        for key in path {
            let lower = key.to_lowercase();
            let (key, next) = match (node["properties"].get(&lower), node.get("additionalProperties")) {
                (None, Some(values)) => ((*key).to_owned(), values),
                (Some(next), _) => (lower, next),
                (None, None) => (lower, if node["items"].is_object() { &node["items"] } else { &Value::Null }),
            };
            spelled.push(key);
            node = self.resolve(next);
        }
        spelled
    }

    fn walk(&self, schema: &Value, value: &toml::Value, path: &str, found: &mut Vec<UnknownKey>) {
        let schema = self.resolve(schema);
        match value {
            toml::Value::Table(table) => {
                let Some(properties) = schema["properties"].as_object() else {
                    for (key, value) in table {
                        self.walk(&schema["additionalProperties"], value, &format!("{path}.{key}"), found);
                    }
                    return;
                };
                for (key, value) in table {
                    match properties.get(key) {
                        Some(next) => self.walk(next, value, &format!("{path}.{key}"), found),
                        None => found.push(unknown(path, key, properties.keys())),
                    }
                }
            }
            toml::Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(&schema["items"], item, &format!("{path}.{index}"), found);
                }
            }
            _ => {}
        }
    }

    /// Follows `$ref`, and the one-armed `anyOf`/`allOf` that an `Option` or a doc comment makes.
    fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..16 {
            if let Some(name) = schema["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
                schema = &self.root["$defs"][name];
                continue;
            }
            let arms = schema["anyOf"].as_array().or_else(|| schema["allOf"].as_array());
            match arms.and_then(|arms| arms.iter().find(|arm| arm["type"] != "null")) {
                Some(arm) if schema.get("properties").is_none() => schema = arm,
                _ => return schema,
            }
        }
        schema
    }
}

fn unknown<'a>(path: &str, key: &str, known: impl Iterator<Item = &'a String>) -> UnknownKey {
    let known: Vec<String> = known.cloned().collect();
    let suggestion = closest(key, known.iter().map(String::as_str));
    UnknownKey { path: format!("{path}.{key}"), key: key.into(), suggestion, known }
}

/// The known word that `word` is probably a misspelling of.
pub(crate) fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// The reference of one section in Markdown: a row a key, from the doc comments of its `Settings`.
pub fn reference_markdown<T: JsonSchema>(section: &str) -> String {
    let schema = SectionSchema::of::<T>();
    let root = schema.resolve(&schema.root);
    let (root, title) = match root["items"].is_object() {
        true => (schema.resolve(&root["items"]), format!("[[{section}]]")),
        false => (root, format!("[{section}]")),
    };
    let about = root["description"].as_str().or_else(|| schema.root["description"].as_str()).unwrap_or_default();
    let mut text = format!("## `{title}`\n\n{about}\n\n| key | type | default | meaning |\n|---|---|---|---|\n");
    rows(&schema, root, "", &mut text);
    text
}

fn rows(schema: &SectionSchema, node: &Value, prefix: &str, text: &mut String) {
    for (key, property) in node["properties"].as_object().into_iter().flatten() {
        let target = schema.resolve(property);
        if target["properties"].is_object() {
            rows(schema, target, &format!("{prefix}{key}."), text);
            continue;
        }
        let about = property["description"].as_str().or_else(|| target["description"].as_str()).unwrap_or_default();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let default = match property.get("default") {
            None | Some(Value::Null) => "–".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{prefix}{key}` | {} | {default} | {about} |", type_name(target));
    }
}

fn type_name(node: &Value) -> String {
    let listed = |node: &Value| node["enum"].as_array().cloned().unwrap_or_default();
    let mut words: Vec<String> = listed(node).iter().map(|value| format!("`{value}`")).collect();
    for arm in node["oneOf"].as_array().into_iter().flatten() {
        words.push(format!("`{}`", arm["const"]));
    }
    if !words.is_empty() {
        return words.join(", ");
    }
    let kind = match &node["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default(),
        kind => kind.clone(),
    };
    match (kind.as_str().unwrap_or("any"), node["format"].as_str()) {
        ("string", Some(format)) => format.to_owned(),
        ("string", None) => "text".to_owned(),
        ("integer", _) => "whole number".to_owned(),
        ("object", _) => "table".to_owned(),
        ("array", _) => "list".to_owned(),
        (kind, _) => kind.to_owned(),
    }
}
