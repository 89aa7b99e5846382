//! Schemas of OpenAPI as JSON Schema 2020-12: what 3.0 writes in its own way is written in that one's, and what is said of
//! the other direction (`readOnly`, `writeOnly`) is taken out.

use jsonschema::{Draft, PatternOptions, Registry, Validator, options};
use serde_json::{Map, Value, json};

/// Under this name schemas refer to the document that they are in.
const HERE: &str = "urn:openapi";
/// A pattern that goes back so often is given up, and what it looked at refused.
const BACKTRACKS: usize = 100_000;

/// Makes validators of the schemas of one document.
pub(crate) struct Schemas<'a> {
    registry: Registry<'a>,
    formats: bool,
}

impl<'a> Schemas<'a> {
    /// Of a document that [`prepare`] has been over.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of(document: &'a Value, formats: bool) -> Result<Self, String> {
        let registry = Registry::new().draft(Draft::Draft202012).add(HERE, document).and_then(|one| one.prepare());
        Ok(Self { registry: registry.map_err(|error| error.to_string())?, formats })
    }

    /// The validator of the schema at this JSON pointer of the document.
    ///
    /// # Errors
    /// The schema is none, or refers to what is not there.
    pub(crate) fn validator(&self, pointer: &str) -> Result<Validator, String> {
        let schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": format!("{HERE}#{}", in_a_uri(pointer)) });
        options()
            .with_draft(Draft::Draft202012)
            .with_registry(&self.registry)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS))
            .should_validate_formats(self.formats)
            .should_ignore_unknown_formats(true)
            .with_format("byte", is_base64)
            .offline()
            .build(&schema)
            .map_err(|error| format!("#{pointer}: {error}"))
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
    let rewriting = Rewriting { old, document: &lookup };
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.values_mut().for_each(|schema| rewriting.schema(schema));
    }
    rewriting.search(document, 0);
}

struct Rewriting<'a> {
    old: bool,
    document: &'a Value,
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
        self.without_read_only(members);
        integers(members);
        if self.old {
            old(schema);
        }
    }

    /// A member that only answers have is required of answers only (OpenAPI 3.0.4, 4.7.24).
    fn without_read_only(&self, members: &mut Map<String, Value>) {
        let Some(Value::Object(properties)) = members.get("properties") else { return };
        let is_read_only = |name: &Value| {
            let property = name.as_str().and_then(|name| properties.get(name)).unwrap_or(&Value::Null);
            let target = property["$ref"].as_str().and_then(|target| self.document.pointer(target.strip_prefix('#')?));
            [Some(property), target].into_iter().flatten().any(|one| one["readOnly"] == true)
        };
        let Some(Value::Array(required)) = members.get("required") else { return };
        let kept: Vec<Value> = required.iter().filter(|name| !is_read_only(name)).cloned().collect();
        members.insert("required".into(), Value::Array(kept));
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
        schemas.validator("/components/schemas/a~1b~0c d").unwrap().is_valid(&value)
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
    fn a_pattern_that_would_run_for_ever_ends() {
        let schema = json!({ "type": "string", "pattern": "^(?=(a+)+$)(a+)+$" });
        let started = std::time::Instant::now();
        assert!(!takes("3.1.0", schema, json!("a".repeat(64) + "b")));
        assert!(started.elapsed().as_secs() < 5);
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_said() {
        let document = json!({ "a": { "$ref": "#/nowhere" }, "b": { "$ref": "http://example.test/x" } });
        let schemas = Schemas::of(&document, true).unwrap();
        assert!(schemas.validator("/a").unwrap_err().contains("nowhere"));
        assert!(schemas.validator("/b").is_err());
    }
}
