//! What is wrong with a request, in words for the person who sent it. A value of the request is never in them: it may be a
//! password.

use jsonschema::error::{TypeKind, ValidationError, ValidationErrorKind as Kind};
use serde_json::{Value, json};

use crate::{
    json::quoted,
    patterns::{Budget, Rule},
};

/// So many are told of one request.
pub(crate) const MOST: usize = 20;
/// All mistakes are looked for in a value of so many values.
const SEARCHED: usize = 2000;
/// Names and lists are shown up to this many characters.
const SHOWN: usize = 120;

/// Where in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
    Cookie,
    Body,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub place: Place,
    /// The parameter's name.
    pub name: String,
    /// Where in the body, or in the parameter's value (RFC 6901).
    pub pointer: String,
    /// Which rule: a keyword of JSON Schema, or one of our own.
    pub rule: &'static str,
    pub message: String,
}

impl Place {
    /// As OpenAPI calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Body => "body",
        }
    }
}

impl Violation {
    /// Of a parameter as a whole.
    pub(crate) fn of(place: Place, name: &str, rule: &'static str, message: impl Into<String>) -> Self {
        Self { place, name: name.to_owned(), pointer: String::new(), rule, message: message.into() }
    }

    /// Of the body as a whole.
    pub(crate) fn body(rule: &'static str, message: impl Into<String>) -> Self {
        Self::of(Place::Body, "", rule, message)
    }

    /// So much of it goes back over its texts that it was not compared to the end.
    pub(crate) fn too_dear(place: Place, name: &str) -> Self {
        Self::of(place, name, "pattern", "takes too long to be compared with the patterns of the API's document")
    }

    /// As a member of `errors`.
    pub(crate) fn json(&self) -> Value {
        let mut told = json!({ "in": self.place.name(), "message": self.message });
        if self.place != Place::Body {
            told["name"] = self.name.as_str().into();
        }
        if self.place == Place::Body || !self.pointer.is_empty() {
            told["pointer"] = self.pointer.as_str().into();
        }
        told
    }

    /// For a person: `body /items/0/price must be a number`.
    pub(crate) fn sentence(&self) -> String {
        let spaced = |text: &str| if text.is_empty() { String::new() } else { format!(" {text}") };
        format!("{}{}{} {}", self.place.name(), spaced(&self.name), spaced(&self.pointer), self.message)
    }
}

/// What is wrong with a value, at most so much that `all` has [`MOST`].
pub(crate) fn check(rule: &Rule, value: &Value, place: Place, name: &str, all: &mut Vec<Violation>) {
    if rule.allows(value) || Budget::is_current_exhausted() {
        return;
    }
    let validator = &rule.validator;
    if size(value) > SEARCHED {
        // The library collects the mistakes of a whole list at once: of a long one the first has to do.
        validator.validate(value).err().iter().for_each(|error| add(error, place, name, all));
        return;
    }
    for error in validator.iter_errors(value) {
        add(&error, place, name, all);
        if all.len() >= MOST {
            return;
        }
    }
}

/// How many values there are in a value.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

fn add(error: &ValidationError<'_>, place: Place, name: &str, all: &mut Vec<Violation>) {
    if let Kind::AnyOf { context } | Kind::OneOfNotValid { context } = error.kind()
        && let Some(branch) = meant(error, context)
    {
        branch.iter().take(MOST.saturating_sub(all.len())).for_each(|inner| add(inner, place, name, all));
        return;
    }
    let mut pointer = error.instance_path().as_str().to_owned();
    if let Kind::Required { property: Value::String(missing) } = error.kind() {
        // The member that is missing is what a form has to mark.
        pointer.push('/');
        pointer.push_str(&missing.replace('~', "~0").replace('/', "~1"));
    }
    let (rule, message) = words(error.kind());
    all.push(Violation { place, name: name.to_owned(), pointer: cut(&pointer), rule, message });
}

/// Which of several schemas was meant: the only one that the kind of the value fits.
fn meant<'a>(
    error: &ValidationError<'_>,
    context: &'a [Vec<ValidationError<'static>>],
) -> Option<&'a Vec<ValidationError<'static>>> {
    let here = error.instance_path().as_str();
    let other_kind = |one: &ValidationError<'static>| {
        one.instance_path().as_str() == here && matches!(one.kind(), Kind::Type { .. } | Kind::Constant { .. })
    };
    let mut fitting = context.iter().filter(|branch| !branch.iter().any(other_kind));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only),
        // None fits, and all but one are `null`: an optional value of another kind.
        (None, _) => {
            let is_null = |branch: &&Vec<ValidationError<'static>>| {
                branch
                    .iter()
                    .any(|one| matches!(one.kind(), Kind::Type { kind: TypeKind::Single(jsonschema::JsonType::Null) }))
            };
            let mut rest = context.iter().filter(|branch| !is_null(branch));
            rest.next().filter(|_| rest.next().is_none())
        }
        _ => None,
    }
}

/// The rule and what it asks for.
fn words(kind: &Kind) -> (&'static str, String) {
    let text = |rule, text: &str| (rule, text.to_owned());
    match kind {
        Kind::Type { kind } => ("type", format!("must be {}", kinds(kind))),
        Kind::Required { .. } => text("required", "is missing"),
        Kind::AdditionalProperties { unexpected } => ("additionalProperties", unknown(unexpected)),
        Kind::UnevaluatedProperties { unexpected } => ("unevaluatedProperties", unknown(unexpected)),
        Kind::AdditionalItems { limit } => ("items", format!("must have at most {limit} items")),
        Kind::UnevaluatedItems { .. } => text("unevaluatedItems", "has more items than are known"),
        Kind::Constant { expected_value } => ("const", format!("must be {}", cut(&expected_value.to_string()))),
        Kind::Enum { options } => ("enum", format!("must be one of {}", choices(options))),
        Kind::Minimum { limit } => ("minimum", format!("must be at least {limit}")),
        Kind::Maximum { limit } => ("maximum", format!("must be at most {limit}")),
        Kind::ExclusiveMinimum { limit } => ("exclusiveMinimum", format!("must be more than {limit}")),
        Kind::ExclusiveMaximum { limit } => ("exclusiveMaximum", format!("must be less than {limit}")),
        Kind::MultipleOf { multiple_of } => ("multipleOf", format!("must be a multiple of {multiple_of}")),
        Kind::MinLength { limit: 1 } => text("minLength", "must not be empty"),
        Kind::MinLength { limit } => ("minLength", format!("must have at least {limit} characters")),
        Kind::MaxLength { limit } => ("maxLength", format!("must have at most {limit} characters")),
        Kind::MinItems { limit } => ("minItems", format!("must have at least {limit} items")),
        Kind::MaxItems { limit } => ("maxItems", format!("must have at most {limit} items")),
        Kind::MinProperties { limit } => ("minProperties", format!("must have at least {limit} members")),
        Kind::MaxProperties { limit } => ("maxProperties", format!("must have at most {limit} members")),
        Kind::UniqueItems => text("uniqueItems", "must not have an item twice"),
        Kind::Contains => text("contains", "lacks an item that must be there"),
        Kind::Format { format } => ("format", format!("must be written as {}", format_name(format))),
        Kind::Pattern { pattern } => ("pattern", format!("must match {}", cut(pattern))),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            text("pattern", "takes too long to be compared with its pattern")
        }
        Kind::PropertyNames { .. } => text("propertyNames", "has a name that is not allowed"),
        Kind::FalseSchema => text("false", "must not be there"),
        Kind::Not { .. } => text("not", "must not be like this"),
        Kind::AnyOf { context } => ("anyOf", format!("fits none of the {} kinds that it may be", context.len())),
        Kind::OneOfNotValid { context } => {
            ("oneOf", format!("fits none of the {} kinds that it may be", context.len()))
        }
        Kind::OneOfMultipleValid { .. } => text("oneOf", "fits several kinds of which it may be only one"),
        Kind::ContentEncoding { content_encoding } => {
            ("contentEncoding", format!("must be encoded as {content_encoding}"))
        }
        Kind::ContentMediaType { content_media_type } => {
            ("contentMediaType", format!("must hold {content_media_type}"))
        }
        Kind::FromUtf8 { .. } => text("contentEncoding", "must hold UTF-8 text"),
        // Our only keyword.
        Kind::Custom { message, .. } => ("pattern", format!("must match {}", cut(message))),
        Kind::Referencing(_) => text("schema", "cannot be checked"),
    }
}

fn kinds(kind: &TypeKind) -> String {
    use jsonschema::JsonType;
    let name = |kind: JsonType| match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "a text",
        JsonType::Array => "a list",
        JsonType::Object => "an object",
    };
    match kind {
        TypeKind::Single(kind) => name(*kind).to_owned(),
        TypeKind::Multiple(kinds) => kinds.iter().map(name).collect::<Vec<_>>().join(" or "),
    }
}

fn unknown(names: &[String]) -> String {
    let shown: Vec<String> =
        names.iter().take(5).map(|name| quoted(&name.chars().take(40).collect::<String>())).collect();
    let more = names.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("has unknown members: {}{rest}", shown.join(", "))
}

fn choices(options: &Value) -> String {
    let list: Vec<String> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
    cut(&list.join(", "))
}

fn format_name(format: &str) -> &str {
    match format {
        "date-time" => "a date and time with its offset (2026-01-31T12:00:00Z)",
        "date" => "a date (2026-01-31)",
        "time" => "a time with its offset (12:00:00Z)",
        "duration" => "a duration (P1DT2H)",
        "email" => "an e-mail address",
        "uuid" => "a UUID",
        "uri" => "a URI",
        "byte" => "base64",
        other => other,
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(schema: Value, value: Value) -> Vec<String> {
        let mut all = Vec::new();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        check(&Rule { validator, patterns_for_names: 0 }, &value, Place::Body, "", &mut all);
        all.iter().map(Violation::sentence).collect()
    }

    #[test]
    fn the_field_is_named_and_its_value_is_not() {
        let schema = json!({
            "required": ["name"], "additionalProperties": false,
            "properties": {
                "name": { "type": "string" }, "password": { "type": "string", "minLength": 40 },
                "age": { "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "null" }] },
                "kind": { "enum": ["a", "b"] },
            },
        });
        let secret = json!({ "password": "hunter2", "age": -5, "kind": "secret", "a\nb": "hunter3" });
        let told = told(schema.clone(), secret);
        for expected in [
            "body /name is missing",
            "body /password must have at least 40 characters",
            "body /age must be at least 0",
            "body /kind must be one of \"a\", \"b\"",
            "body has unknown members: \"a\\nb\"",
        ] {
            assert!(told.iter().any(|line| line == expected), "{expected} is not in {told:?}");
        }
        assert!(!told.iter().any(|line| line.contains("hunter") || line.contains("secret")), "{told:?}");
        assert_eq!(
            super::tests::told(schema, json!({ "name": "x", "age": "5" })),
            ["body /age must be a whole number"]
        );
    }

    #[test]
    fn a_request_with_many_mistakes_gets_a_short_answer() {
        let list = |length: usize| json!((0..length).collect::<Vec<_>>());
        assert_eq!(told(json!({ "items": { "type": "string" } }), list(1000)).len(), MOST);
        assert_eq!(told(json!({ "items": { "type": "string" } }), list(10_000)), ["body /0 must be a text"]);
        let long = "k".repeat(100_000);
        let told = told(json!({ "additionalProperties": false }), json!({ long: 1 }));
        assert!(told[0].len() < 400, "{}", told[0].len());
    }
}
