//! A value that fits a schema of an OpenAPI document, and some that do not. Only what can be told for sure: a schema that is
//! too odd gives nothing.

use serde_json::{Map, Value, json};

use crate::openapi::resolve;

/// References within each other are followed so far.
const DEEPEST: usize = 6;
/// Longer texts are not made.
const LONGEST: u64 = 4096;

/// A value that fits.
pub(crate) fn fitting(document: &Value, schema: &Value) -> Option<Value> {
    make(document, schema, 0)
}

/// Values that do not fit, each with what is wrong with it. A text is never wrong where anything may stand.
pub(crate) fn unfitting(document: &Value, schema: &Value) -> Vec<(&'static str, Value)> {
    let schema = sole(document, schema);
    let mut all = Vec::new();
    if schema["enum"].is_array() {
        all.push(("none of the choices", json!("seaworthy-check")));
        return all;
    }
    match kind(schema) {
        Some("integer" | "number" | "boolean") => all.push(("wrong type", json!("seaworthy-check"))),
        Some("string") => all.push(("wrong type", json!({ "seaworthy-check": true }))),
        Some("array" | "object") => all.push(("wrong type", json!("seaworthy-check"))),
        _ => return all,
    }
    let is_text = kind(schema) == Some("string");
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| is_text && *most < LONGEST) {
        let length = usize::try_from(most).unwrap_or_default() + 1;
        all.push(("over-long", "x".repeat(length).into()));
    }
    if is_text && matches!(schema["format"].as_str(), Some("uuid" | "date" | "date-time" | "email")) {
        all.push(("wrong format", json!("seaworthy check")));
    }
    if let Some(least) = schema["minimum"].as_f64() {
        all.push(("too small", json!(least - 1.0)));
    }
    if let Some(most) = schema["maximum"].as_f64() {
        all.push(("too large", json!(most + 1.0)));
    }
    all
}

/// The schema that is meant where one may also be left out: `anyOf` with `null`, one reference followed.
pub(crate) fn sole<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = resolve(document, schema);
    for kinds in ["anyOf", "oneOf", "allOf"] {
        let Some(branches) = schema[kinds].as_array() else { continue };
        let mut rest = branches.iter().filter(|one| one["type"] != "null");
        if let (Some(only), None) = (rest.next(), rest.next()) {
            return resolve(document, only);
        }
    }
    schema
}

/// The type, where there is one beside `null`.
fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.next().filter(|_| kinds.next().is_none())
        }
        _ => None,
    }
}

fn make(document: &Value, schema: &Value, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    let schema = sole(document, schema);
    let given = [&schema["example"], &schema["examples"][0], &schema["const"], &schema["enum"][0], &schema["default"]];
    if let Some(given) = given.into_iter().find(|value| !value.is_null()) {
        return Some(given.clone());
    }
    match kind(schema)? {
        "integer" | "number" => {
            let above = |key: &str| schema[key].as_f64();
            let least = above("minimum").or_else(|| above("exclusiveMinimum").map(|limit| limit + 1.0));
            let most = above("maximum").or_else(|| above("exclusiveMaximum").map(|limit| limit - 1.0));
            let value = least.map_or(1.0, |least| least + if schema["exclusiveMinimum"] == true { 1.0 } else { 0.0 });
            let value = most.map_or(value, |most| value.min(most));
            // Whole where that is asked for, and readable where not.
            Some(if value.fract() == 0.0 { json!(value as i64) } else { json!(value) })
        }
        "boolean" => Some(json!(true)),
        "string" => text(schema).map(Value::String),
        "array" => match schema["minItems"].as_u64().unwrap_or_default() {
            0 => Some(json!([])),
            count if count <= 10 => {
                let item = make(document, &schema["items"], depth + 1)?;
                Some(Value::Array(vec![item; usize::try_from(count).ok()?]))
            }
            _ => None,
        },
        "object" => {
            let mut object = Map::new();
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                object.insert(name.to_owned(), make(document, &schema["properties"][name], depth + 1)?);
            }
            Some(Value::Object(object))
        }
        _ => None,
    }
}

fn text(schema: &Value) -> Option<String> {
    if schema["pattern"].is_string() {
        return None;
    }
    Some(match schema["format"].as_str() {
        Some("uuid") => "00000000-0000-4000-8000-000000000000".into(),
        Some("date") => "2026-01-31".into(),
        Some("date-time") => "2026-01-31T12:00:00Z".into(),
        Some("email") => "seaworthy-check@example.com".into(),
        Some("uri" | "url") => "https://example.com/".into(),
        None | Some("password" | "binary") => {
            let least = schema["minLength"].as_u64().unwrap_or(1).clamp(1, LONGEST);
            "x".repeat(usize::try_from(least).ok()?)
        }
        Some(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_fits_and_what_does_not_does_not() {
        let document = json!({ "components": { "schemas": {
            "Maker": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string", "minLength": 3 } } },
        } } });
        let schema = json!({
            "type": "object", "required": ["count", "price", "size", "maker", "at"],
            "properties": {
                "count": { "type": "integer", "minimum": 5 }, "price": { "type": "number", "exclusiveMinimum": 0 },
                "size": { "enum": ["s"] }, "at": { "anyOf": [{ "type": "string", "format": "date" }, { "type": "null" }] },
                "maker": { "$ref": "#/components/schemas/Maker" }, "rest": { "type": "string" },
            },
        });
        let value = fitting(&document, &schema).unwrap();
        assert_eq!(
            value,
            json!({ "count": 5, "price": 1, "size": "s", "maker": { "name": "xxx" }, "at": "2026-01-31" })
        );
        let validator = jsonschema::options().should_validate_formats(true);
        for property in ["count", "size", "at", "price"] {
            let schema = &schema["properties"][property];
            let validator = validator.build(schema).unwrap();
            assert!(validator.is_valid(&value[property]));
            let wrong = unfitting(&document, schema);
            assert!(
                !wrong.is_empty() && wrong.iter().all(|(_, wrong)| !validator.is_valid(wrong)),
                "{property}: {wrong:?}"
            );
        }
        assert!(unfitting(&document, &json!({})).is_empty(), "anything may stand there");
        assert_eq!(fitting(&document, &json!({ "type": "string", "pattern": "^a$" })), None);
    }
}
