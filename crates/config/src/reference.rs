//! The reference in Markdown, generated from the doc comments of the sections' `Settings`.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde_json::Value;

use crate::schema::SectionSchema;

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

/// A type in a word or two: `duration`, `text`, the values that a choice has.
pub(crate) fn type_name(node: &Value) -> String {
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
