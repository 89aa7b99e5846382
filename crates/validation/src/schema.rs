//! Schemas of OpenAPI as JSON Schema 2020-12: what 3.0 writes in its own way is written in that one's, and what is said of
//! the other direction (`readOnly`, `writeOnly`) is taken out.

use std::{cell::Cell, collections::BTreeSet};

use jsonschema::{Draft, PatternOptions, Registry, options};
use serde_json::{Map, Value, json};

use crate::patterns::{self, FOR_NAMES, KEYWORD, Rule, goes_back};

/// Under this name schemas refer to the document that they are in.
const HERE: &str = "urn:openapi";
/// Parts of a schema that are within each other are followed so far.
const DEEPEST_PARTS: usize = 12;
/// Parts that are copied. A schema can be written of which each copy asks for another one.
const MOST_COPIES: usize = 200;

/// Makes validators of the schemas of one document.
pub(crate) struct Schemas<'a> {
    registry: Registry<'a>,
    formats: bool,
    patterns_for_names: usize,
}

impl<'a> Schemas<'a> {
    /// Of a document that [`prepare`] has been over.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of(document: &'a Value, formats: bool) -> Result<Self, String> {
        let registry = Registry::new().draft(Draft::Draft202012).add(HERE, document).and_then(|one| one.prepare());
        let patterns_for_names = patterns_for_names(document, 0);
        Ok(Self { registry: registry.map_err(|error| error.to_string())?, formats, patterns_for_names })
    }

    /// The rule that is the schema at this JSON pointer of the document.
    ///
    /// # Errors
    /// The schema is none, or refers to what is not there.
    pub(crate) fn rule(&self, pointer: &str) -> Result<Rule, String> {
        let schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": format!("{HERE}#{}", in_a_uri(pointer)) });
        let validator = options()
            .with_draft(Draft::Draft202012)
            .with_registry(&self.registry)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(FOR_NAMES))
            .with_keyword(KEYWORD, |_, pattern, _| patterns::keyword(pattern))
            .should_validate_formats(self.formats)
            .should_ignore_unknown_formats(true)
            .with_format("byte", is_base64)
            .offline()
            .build(&schema)
            .map_err(|error| format!("#{pointer}: {error}"))?;
        Ok(Rule { validator, patterns_for_names: self.patterns_for_names })
    }
}

/// How many patterns for names of members go back.
fn patterns_for_names(value: &Value, depth: usize) -> usize {
    match value {
        _ if depth > DEEPEST => 0,
        Value::Array(items) => items.iter().map(|item| patterns_for_names(item, depth + 1)).sum(),
        Value::Object(members) => {
            let patterns = members.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
            let inner = members.values().map(|member| patterns_for_names(member, depth + 1));
            patterns.filter(|(pattern, _)| goes_back(pattern)).count() + inner.sum::<usize>()
        }
        _ => 0,
    }
}

/// RFC 6901, 6: a pointer as the fragment of a URI.
fn in_a_uri(pointer: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'~').remove(b'-').remove(b'.').remove(b'_');
    percent_encoding::utf8_percent_encode(pointer, KEPT).to_string()
}

/// RFC 4648, 4, which OpenAPI 3.0 calls `byte`.
fn is_base64(text: &str) -> bool {
    let letters = text.trim_end_matches('=');
    let padding = text.len() - letters.len();
    let right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.len().is_multiple_of(4) && padding <= 2 && letters.bytes().all(right)
}

/// Rewrites every schema of a document, for requests.
pub(crate) fn prepare(document: &mut Value) {
    let old = document["openapi"].as_str().is_some_and(|version| version.starts_with("3.0"));
    let lookup = document.clone();
    let rewriting = Rewriting { old, document: &lookup, copied: Cell::new(0) };
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.values_mut().for_each(|schema| rewriting.schema(schema));
    }
    rewriting.search(document, 0);
}

struct Rewriting<'a> {
    old: bool,
    document: &'a Value,
    copied: Cell<usize>,
}

/// Deeper than any document that people write, and than the readers of JSON and YAML go.
const DEEPEST: usize = 120;

impl Rewriting<'_> {
    /// Finds schemas outside of `components.schemas`: they are called `schema` wherever they are.
    fn search(&self, value: &mut Value, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members.iter_mut() {
                    match name.as_str() {
                        "schema" if member.is_object() => self.schema(member),
                        // Not ours to look into: schemas are done already, the others are data.
                        "schemas" | "example" | "examples" | "default" => {}
                        _ => self.search(member, depth + 1),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.search(item, depth + 1)),
            _ => {}
        }
    }

    fn schema(&self, schema: &mut Value) {
        self.without_read_only(schema);
        let Some(members) = schema.as_object_mut() else { return };
        for (name, member) in members.iter_mut() {
            match (name.as_str(), &mut *member) {
                (
                    "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                    Value::Object(all),
                ) => {
                    all.values_mut().for_each(|one| self.schema(one));
                }
                ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(all)) => {
                    all.iter_mut().for_each(|one| self.schema(one));
                }
                (
                    "items"
                    | "additionalProperties"
                    | "not"
                    | "if"
                    | "then"
                    | "else"
                    | "contains"
                    | "propertyNames"
                    | "unevaluatedItems"
                    | "unevaluatedProperties",
                    one,
                ) => self.schema(one),
                _ => {}
            }
        }
        paid_patterns(members);
        integers(members);
        if self.old {
            old(schema);
        }
    }

    /// A member that only answers have is required of answers only (OpenAPI 3.0.4, 4.7.24), wherever in the parts of a schema
    /// it is said that it is one, and wherever that it is required.
    fn without_read_only(&self, schema: &mut Value) {
        let names = self.read_only(schema, 0);
        if !names.is_empty() {
            self.not_required(schema, &names, 0);
        }
    }

    fn target(&self, schema: &Value) -> Option<&Value> {
        schema["$ref"].as_str().and_then(|target| self.document.pointer(target.strip_prefix('#')?))
    }

    /// What a schema is made of, beside itself.
    fn parts<'s>(&'s self, schema: &'s Value) -> impl Iterator<Item = &'s Value> {
        self.target(schema).into_iter().chain(schema["allOf"].as_array().into_iter().flatten())
    }

    /// The members that only answers have.
    fn read_only(&self, schema: &Value, depth: usize) -> BTreeSet<String> {
        if depth > DEEPEST_PARTS {
            return BTreeSet::new();
        }
        let properties = schema["properties"].as_object().into_iter().flatten();
        let own = properties.filter(|(_, property)| self.is_read_only(property, 0)).map(|(name, _)| name.clone());
        own.chain(self.parts(schema).flat_map(|part| self.read_only(part, depth + 1))).collect()
    }

    fn is_read_only(&self, property: &Value, depth: usize) -> bool {
        let part = |part: &Value| depth < DEEPEST_PARTS && self.is_read_only(part, depth + 1);
        property["readOnly"] == true || self.parts(property).any(part)
    }

    /// Takes names out of what is required, in all parts. One that is elsewhere in the document is copied, if it would not
    /// lose them by itself: others may refer to it who want it as it is.
    fn not_required(&self, schema: &mut Value, names: &BTreeSet<String>, depth: usize) {
        let target = self.target(schema).filter(|target| {
            let own = self.read_only(target, 0);
            let rest: BTreeSet<String> = names.difference(&own).cloned().collect();
            self.requires(target, &rest, 0) && self.copied.get() < MOST_COPIES
        });
        if let (Some(target), true) = (target.cloned(), depth <= DEEPEST_PARTS) {
            self.copied.set(self.copied.get() + 1);
            if let Some(members) = schema.as_object_mut() {
                members.remove("$ref");
                if let Value::Array(all) = members.entry("allOf").or_insert_with(|| json!([])) {
                    all.push(target);
                }
            }
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name.as_str().is_none_or(|name| !names.contains(name)));
        }
        let parts = schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten();
        parts.filter(|_| depth < DEEPEST_PARTS).for_each(|part| self.not_required(part, names, depth + 1));
    }

    fn requires(&self, schema: &Value, names: &BTreeSet<String>, depth: usize) -> bool {
        let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let part = |part: &Value| depth < DEEPEST_PARTS && self.requires(part, names, depth + 1);
        !names.is_empty() && (required.any(|name| names.contains(name)) || self.parts(schema).any(part))
    }
}

/// A pattern that goes back gets a keyword that is paid for.
fn paid_patterns(members: &mut Map<String, Value>) {
    if members.get("pattern").and_then(Value::as_str).is_some_and(goes_back)
        && let Some(pattern) = members.remove("pattern")
    {
        members.insert(KEYWORD.into(), pattern);
    }
}

/// `int32` and `int64` are formats of numbers, of which JSON Schema has none.
fn integers(members: &mut Map<String, Value>) {
    let (least, most) = match members.get("format").and_then(Value::as_str) {
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Some("int64") => (i64::MIN, i64::MAX),
        _ => return,
    };
    if members.get("type").is_some_and(|kind| {
        kind == "integer" || kind.as_array().is_some_and(|all| all.iter().any(|one| one == "integer"))
    }) {
        members.entry("minimum").or_insert(least.into());
        members.entry("maximum").or_insert(most.into());
    }
}

/// What OpenAPI 3.0 has from an older JSON Schema, or from nobody.
fn old(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    if let Some(target) = members.get("$ref").cloned() {
        // Beside a reference nothing else counts (3.0.4, 4.7.23).
        *schema = json!({ "$ref": target });
        return;
    }
    for (flag, limit) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match members.get(flag) {
            Some(Value::Bool(true)) => match members.remove(limit) {
                Some(number) => _ = members.insert(flag.into(), number),
                None => _ = members.remove(flag),
            },
            Some(Value::Bool(false)) => _ = members.remove(flag),
            _ => {}
        }
    }
    if members.remove("nullable") != Some(Value::Bool(true)) {
        return;
    }
    match members.get("type").cloned() {
        Some(Value::String(kind)) => _ = members.insert("type".into(), json!([kind, "null"])),
        // Without a type it says nothing by the letter; generators write it beside `allOf` and mean it.
        _ => {
            let rest = std::mem::take(members);
            *schema = json!({ "anyOf": [rest, { "type": "null" }] });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(version: &str, schema: Value, value: Value) -> bool {
        let mut document = json!({
            "openapi": version,
            "components": { "schemas": { "Id": { "type": "string", "readOnly": true }, "a/b~c d": schema } },
        });
        prepare(&mut document);
        let schemas = Schemas::of(&document, true).unwrap();
        schemas.rule("/components/schemas/a~1b~0c d").unwrap().allows(&value)
    }

    #[test]
    fn what_3_0_writes_in_its_own_way_means_what_it_says() {
        let takes = |schema, value| takes("3.0.3", schema, value);
        assert!(takes(json!({ "type": "string", "nullable": true }), json!(null)));
        assert!(!takes(json!({ "type": "string" }), json!(null)));
        assert!(takes(json!({ "nullable": true, "allOf": [{ "type": "object" }] }), json!(null)));
        assert!(!takes(json!({ "type": "integer", "minimum": 1, "exclusiveMinimum": true }), json!(1)));
        assert!(takes(json!({ "type": "integer", "minimum": 1, "exclusiveMinimum": false }), json!(1)));
        assert!(!takes(json!({ "type": "number", "maximum": 1, "exclusiveMaximum": true }), json!(1.0)));
        assert!(takes(json!({ "$ref": "#/components/schemas/Id", "maxLength": 1 }), json!("long")));
        assert!(!takes(json!({ "type": "string", "format": "byte" }), json!("a")));
        let nested =
            json!({ "type": "array", "items": { "properties": { "a": { "type": "string", "nullable": true } } } });
        assert!(takes(nested, json!([{ "a": null }])));
    }

    #[test]
    fn what_3_1_writes_is_json_schema() {
        let takes = |schema, value| takes("3.1.0", schema, value);
        assert!(takes(json!({ "type": ["string", "null"] }), json!(null)));
        assert!(!takes(json!({ "type": "integer", "exclusiveMinimum": 1 }), json!(1)));
        assert!(!takes(json!({ "$ref": "#/components/schemas/Id", "maxLength": 1 }), json!("long")));
        assert!(!takes(json!({ "type": "integer", "format": "int32" }), json!(1u64 << 31)));
        assert!(!takes(json!({ "type": ["integer", "null"], "format": "int32" }), json!(1u64 << 31)));
        assert!(!takes(json!({ "prefixItems": [{ "const": 1 }], "items": false }), json!([1, 2])));
        assert!(!takes(json!({ "type": "string", "format": "date-time" }), json!("yesterday")));
        assert!(!takes(json!({ "type": "string", "format": "uuid" }), json!("1")));
    }

    #[test]
    fn a_member_of_answers_is_not_required_of_requests() {
        let schema = json!({
            "required": ["id", "at", "name"],
            "properties": { "id": { "$ref": "#/components/schemas/Id" }, "at": { "readOnly": true }, "name": {} },
        });
        assert!(takes("3.1.0", schema.clone(), json!({ "name": 1 })));
        assert!(!takes("3.0.0", schema, json!({ "id": "1", "at": 1 })));
    }

    #[test]
    fn a_member_of_answers_is_not_required_in_any_part() {
        let id = || json!({ "id": { "readOnly": true, "type": "string" } });
        let nested = json!({ "items": { "allOf": [{ "required": ["id"] }, { "properties": id() }] } });
        let same = json!({ "allOf": [{ "required": ["id", "n"] }, { "properties": id() }] });
        let through = json!({
            "required": ["id"],
            "properties": { "id": { "allOf": [{ "$ref": "#/components/schemas/Id" }] } },
        });
        for version in ["3.0.3", "3.1.0"] {
            assert!(takes(version, same.clone(), json!({ "n": 1 })), "{version}");
            assert!(!takes(version, same.clone(), json!({})), "{version}");
            assert!(!takes(version, same.clone(), json!({ "n": 1, "id": 1 })), "of its type where it is sent");
            assert!(takes(version, nested.clone(), json!([{}])), "{version}");
            assert!(takes(version, through.clone(), json!({})), "{version}");
        }
    }

    #[test]
    fn a_part_that_others_refer_to_stays_as_it_is_for_them() {
        let mut document = json!({ "openapi": "3.0.3", "components": { "schemas": {
            "Base": { "required": ["id", "n"], "properties": { "id": {}, "n": {}, "inner": { "$ref": "#/components/schemas/Own" } } },
            "Own": { "allOf": [
                { "$ref": "#/components/schemas/Base" },
                { "properties": { "id": { "readOnly": true } } },
            ] },
        } } });
        prepare(&mut document);
        let schemas = Schemas::of(&document, true).unwrap();
        let takes = |name: &str, value| schemas.rule(&format!("/components/schemas/{name}")).unwrap().allows(&value);
        assert!(takes("Own", json!({ "n": 1, "inner": { "n": 1 } })));
        assert!(!takes("Own", json!({ "n": 1, "inner": {} })));
        assert!(!takes("Base", json!({ "n": 1 })));
    }

    #[test]
    fn what_only_requests_have_is_required_of_them() {
        let schema =
            json!({ "required": ["password"], "properties": { "password": { "writeOnly": true, "type": "string" } } });
        assert!(!takes("3.0.3", schema.clone(), json!({})));
        assert!(takes("3.0.3", schema, json!({ "password": "x" })));
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_said() {
        let document = json!({ "a": { "$ref": "#/nowhere" }, "b": { "$ref": "http://example.test/x" } });
        let schemas = Schemas::of(&document, true).unwrap();
        assert!(schemas.rule("/a").unwrap_err().contains("nowhere"));
        assert!(schemas.rule("/b").is_err());
    }
}
