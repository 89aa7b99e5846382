//! The JSON Schema of a whole file, for editors and other tools.

use serde_json::{Map, Value, json};

use crate::document::Document;

/// What the value of one of our own formats looks like, for tools that do not know the format.
const FORMATS: [(&str, &str, &[&str]); 2] = [
    ("duration", r"^\s*[0-9]+\s*([mM][sS]|[sSmMhHdD])\s*$", &["30s", "10m"]),
    ("size", r"^\s*[0-9]+\s*([kKmMgG][iI]?)?[bB]\s*$", &["20MB", "1GiB"]),
];

impl Document {
    /// A JSON Schema (2020-12) of everything that the sections which were read take.
    pub fn json_schema(&self) -> Value {
        let (mut properties, mut definitions) = (Map::new(), Map::new());
        for (section, schema) in &self.sections {
            let mut root = schema.root.clone();
            rename(&mut root, section);
            if let Some(object) = root.as_object_mut() {
                object.remove("$schema");
                for (name, definition) in
                    object.remove("$defs").as_ref().and_then(Value::as_object).into_iter().flatten()
                {
                    definitions.insert(format!("{section}.{name}"), definition.clone());
                }
                let is_list = object.get("items").is_some();
                let title = if is_list { format!("[[{section}]]") } else { format!("[{section}]") };
                object.insert("title".into(), title.into());
            }
            properties.insert((*section).to_owned(), root);
        }
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "seaworthy.toml",
            "description": "The config of Seaworthy. Every key has a default; a profile's file takes the same keys.",
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
            "$defs": definitions,
        })
    }
}

/// Definitions of all sections stand side by side, and what our loader refuses an editor refuses too.
fn rename(node: &mut Value, section: &str) {
    match node {
        Value::Object(object) => {
            if let Some(name) =
                object.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix("#/$defs/"))
            {
                let target = format!("#/$defs/{section}.{name}");
                object.insert("$ref".into(), target.into());
            }
            if object.get("properties").is_some_and(Value::is_object)
                && object.get("type").is_some_and(|kind| kind == "object")
            {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            write_out_format(object);
            for value in object.values_mut() {
                rename(value, section);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, section)),
        _ => {}
    }
}

/// JSON Schema has formats of its own, and its `duration` is another one.
fn write_out_format(object: &mut Map<String, Value>) {
    let is_text = |kind: &Value| {
        kind == "string" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "string"))
    };
    if !object.get("type").is_some_and(is_text) {
        return;
    }
    let Some(Value::String(format)) = object.remove("format") else { return };
    if let Some((_, pattern, examples)) = FORMATS.iter().find(|(name, _, _)| *name == format) {
        object.insert("pattern".into(), (*pattern).into());
        object.insert("examples".into(), json!(examples));
    } else if object.get("writeOnly").is_some() {
        object.insert("examples".into(), json!(["env:NAME", "file:/path"]));
    } else {
        object.insert("format".into(), Value::String(format));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ByteSize, HumanDuration, fixture::sections};

    #[test]
    fn a_schema_names_every_section_and_leads_somewhere() {
        let mut document = Document::parse("x", String::new(), std::iter::empty()).unwrap();
        sections(&mut document);
        let schema = document.json_schema();
        let timeouts = &schema["$defs"]["edge.Timeouts"];
        assert_eq!(schema["properties"]["edge"]["additionalProperties"], false);
        assert_eq!(timeouts["properties"]["first_byte"]["description"], "Until the first byte.");
        assert!(timeouts["properties"]["first_byte"]["pattern"].is_string());
        assert_eq!(schema["properties"]["route"]["title"], "[[route]]");
        let text = schema.to_string();
        for target in text.split("\"#/$defs/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(schema["$defs"][target].is_object(), "{target} is nowhere");
        }
        assert!(!text.contains("\"format\":\"duration\""));
    }

    #[test]
    fn the_patterns_say_the_same_as_the_code() {
        let pattern = |at: usize| regex::Regex::new(FORMATS[at].1).unwrap();
        for text in [
            "30s", "5 MS", "1h", "1", "s", "", "-1s", "1.5s", "1w", " 7d ", "1 0s", "20MB", "1 kib", "3b", "2KKB",
            "1Mi",
        ] {
            assert_eq!(pattern(0).is_match(text), text.parse::<HumanDuration>().is_ok(), "duration {text}");
            assert_eq!(pattern(1).is_match(text), text.parse::<ByteSize>().is_ok(), "size {text}");
        }
    }
}
