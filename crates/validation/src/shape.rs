//! What a schema expects, as far as it takes to read a value that comes as text: `5` is a number for one schema and a string
//! for another.

use serde_json::{Map, Number, Value};

/// References and lists within each other are followed so far.
const DEEPEST: usize = 12;

/// The kinds of values that a schema may take.
#[derive(Debug, Default, Clone)]
pub(crate) struct Shape {
    number: bool,
    boolean: bool,
    /// A number that may have a part behind the point.
    fraction: bool,
    null: bool,
    string: bool,
    /// An array, and what its items are.
    pub(crate) items: Option<Box<Shape>>,
    /// An object, and its members that are known by name.
    pub(crate) members: Option<Vec<(String, Shape)>>,
}

impl Shape {
    /// Of a schema in a document.
    pub(crate) fn of(document: &Value, schema: &Value) -> Self {
        let mut shape = Self::default();
        shape.learn(document, schema, 0);
        if !shape.says_something() {
            (shape.number, shape.boolean, shape.null, shape.string) = (true, true, true, true);
        }
        shape
    }

    fn learn(&mut self, document: &Value, schema: &Value, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|target| document.pointer(target.strip_prefix('#')?)) {
            self.learn(document, target, depth + 1);
        }
        for kind in ["allOf", "anyOf", "oneOf"] {
            let each = schema[kind].as_array().into_iter().flatten();
            each.for_each(|one| self.learn(document, one, depth + 1));
        }
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            Value::String(kind) => vec![kind.as_str()],
            _ => Vec::new(),
        };
        for kind in kinds {
            match kind {
                "integer" => self.number = true,
                "number" => (self.number, self.fraction) = (true, true),
                "boolean" => self.boolean = true,
                "null" => self.null = true,
                "string" => self.string = true,
                "array" => self.items = Some(Box::new(Self::inner(document, &schema["items"], depth))),
                "object" => _ = self.members.get_or_insert_default(),
                _ => {}
            }
        }
        for value in schema["enum"].as_array().into_iter().flatten().chain(schema.get("const")) {
            match value {
                Value::Null => self.null = true,
                Value::Bool(_) => self.boolean = true,
                Value::Number(number) => {
                    self.number = true;
                    self.fraction |= number.is_f64();
                }
                Value::String(_) => self.string = true,
                Value::Array(_) | Value::Object(_) => {}
            }
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let shape = Self::inner(document, property, depth);
            self.members.get_or_insert_default().push((name.clone(), shape));
        }
    }

    fn inner(document: &Value, schema: &Value, depth: usize) -> Self {
        let mut shape = Self::default();
        shape.learn(document, schema, depth + 1);
        if !shape.says_something() {
            (shape.number, shape.boolean, shape.null, shape.string) = (true, true, true, true);
        }
        shape
    }

    fn says_something(&self) -> bool {
        self.number || self.boolean || self.null || self.string || self.items.is_some() || self.members.is_some()
    }

    /// A single value may stand there.
    pub(crate) fn takes_one(&self) -> bool {
        self.number || self.boolean || self.null || self.string || (self.items.is_none() && self.members.is_none())
    }

    fn parts(&self) -> impl Iterator<Item = &Shape> {
        let members = self.members.iter().flatten().map(|(_, member)| member);
        self.items.iter().map(AsRef::as_ref).chain(members)
    }

    /// Its items or members may be numbers with a part behind the point.
    pub(crate) fn has_fractions(&self) -> bool {
        self.parts().any(|part| part.fraction)
    }

    /// Its items or members are objects, or lists; lists of plain values are none where members stand `one_by_one`.
    pub(crate) fn nests(&self, one_by_one: bool) -> bool {
        let is_plain = |items: &Shape| items.items.is_none() && items.members.is_none();
        let nests = |member: &Shape| {
            member.members.is_some() || member.items.as_deref().is_some_and(|items| !one_by_one || !is_plain(items))
        };
        let mut members = self.members.iter().flatten();
        self.items.as_deref().is_some_and(|items| !is_plain(items)) || members.any(|(_, member)| nests(member))
    }

    /// A text as the value that it is written for. No text is written for `null` (OpenAPI 3.1.1, appendix B), and none with
    /// a point for a whole number: JSON Schema takes 1.0 for one, but what reads a query mostly does not. `literal`: as text,
    /// wherever a text may stand.
    pub(crate) fn read(&self, text: &str, literal: bool) -> Value {
        let is_text = literal && self.string;
        if !is_text
            && self.number
            && (self.fraction || self.string || !text.contains(['.', 'e', 'E']))
            && let Some(number) = number(text)
        {
            return Value::Number(number);
        }
        if !is_text && self.boolean && (text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")) {
            return Value::Bool(text.eq_ignore_ascii_case("true"));
        }
        Value::String(text.to_owned())
    }

    /// The shape of a member of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Shape> {
        self.members.as_ref()?.iter().find(|(known, _)| known == name).map(|(_, shape)| shape)
    }

    /// An object of texts: `pairs` are names and values, several of one name being a list where one is expected.
    pub(crate) fn object<'a>(&self, pairs: impl Iterator<Item = (&'a str, &'a str)>, literal: bool) -> Value {
        const OTHER: Shape =
            Shape { number: true, boolean: true, fraction: true, null: true, string: true, items: None, members: None };
        let mut object = Map::new();
        for (name, text) in pairs {
            let shape = self.member(name).unwrap_or(&OTHER);
            match &shape.items {
                Some(items) => {
                    let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(list) = list {
                        list.push(items.read(text, literal));
                    }
                }
                None => _ = object.insert(name.to_owned(), shape.read(text, literal)),
            }
        }
        Value::Object(object)
    }
}

/// As JSON writes numbers (RFC 8259, 6).
fn number(text: &str) -> Option<Number> {
    let starts = text.bytes().next().is_some_and(|first| first == b'-' || first.is_ascii_digit());
    let ends = text.bytes().last().is_some_and(|last| last.is_ascii_digit());
    if starts && ends { serde_json::from_str(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_read_as_what_is_expected() {
        let document = json!({ "N": { "type": "integer" } });
        let read = |schema: Value, text: &str| Shape::of(&document, &schema).read(text, false);
        assert_eq!(read(json!({ "$ref": "#/N" }), "5"), json!(5));
        let optional = || json!({ "anyOf": [{ "$ref": "#/N" }, { "type": "null" }] });
        assert_eq!((read(optional(), "5"), read(optional(), "null")), (json!(5), json!("null")));
        assert_eq!(read(json!({ "type": "string" }), "5"), json!("5"));
        assert_eq!(read(json!({ "type": "boolean" }), "True"), json!(true));
        assert_eq!(read(json!({ "type": "number" }), "-1.5e3"), json!(-1500.0));
        for no_number in ["", "05", "+5", "5 ", "0x5", "1.", "NaN", "1e999"] {
            assert_eq!(read(json!({ "type": "number" }), no_number), json!(no_number));
        }
        for no_whole_number in ["0.0", "1e2", "1E2", "-1.5"] {
            assert_eq!(read(json!({ "type": "integer" }), no_whole_number), json!(no_whole_number));
            assert_eq!(read(optional(), no_whole_number), json!(no_whole_number));
            assert!(read(json!({ "type": ["integer", "number"] }), no_whole_number).is_number());
            assert!(read(json!({ "minimum": 1 }), no_whole_number).is_number(), "of no type it may be any");
        }
        assert!(read(json!({ "type": "integer" }), "99999999999999999999").is_number());
        assert_eq!(read(json!({ "enum": [1, 2] }), "2"), json!(2));
        assert_eq!(Shape::of(&document, &json!({ "type": ["string", "integer"] })).read("5", true), json!("5"));
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let document = json!({ "T": { "type": "object", "properties": { "child": { "$ref": "#/T" } }, "allOf": [{ "$ref": "#/T" }] } });
        assert!(Shape::of(&document, &json!({ "$ref": "#/T" })).members.is_some());
    }
}
