//! Answers that are as expected, and nearly so: what the control experiment of an expectation holds it against.

use std::time::Duration;

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Value, json};

use super::Expectation;

/// What a small server answers.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Before it answers.
    pub pause: Duration,
}

impl Example {
    /// As expected, as far as that can be made up. Whether it is, the experiment itself finds out.
    pub(super) fn right(expected: &Expectation) -> Self {
        Self {
            status: expected.status.unwrap_or(200),
            headers: expected.header.iter().map(|(name, text)| (name.clone(), text.clone())).collect(),
            body: expected.example.clone().unwrap_or_else(|| body(expected)),
            pause: Duration::ZERO,
        }
    }

    /// As expected but for one thing, the one that tells most.
    pub(super) fn wrong(expected: &Expectation) -> Self {
        let right = Self::right(expected);
        if let Some((pointer, wanted)) = expected.json.iter().next() {
            let other = if *wanted == json!("another") { Value::Null } else { json!("another") };
            let mut document: Value = serde_json::from_str(&right.body).unwrap_or_default();
            put(&mut document, pointer, other);
            return Self { body: document.to_string(), ..right };
        }
        if expected.body.is_some() || expected.body_regex.is_some() {
            return Self { body: String::new(), ..right };
        }
        if !expected.header.is_empty() {
            return Self { headers: Vec::new(), ..right };
        }
        if let Some(longest) = expected.max_time {
            return Self { pause: longest.0 + Duration::from_millis(300), ..right };
        }
        Self { status: if right.status == 500 { 200 } else { 500 }, ..right }
    }
}

fn body(expected: &Expectation) -> String {
    let text = expected.body.clone().unwrap_or_default();
    if expected.json.is_empty() {
        let shaped = expected.body_regex.as_ref().and_then(|shape| sample(&regex_syntax::parse(shape).ok()?));
        return format!("{}{text}", shaped.unwrap_or_default());
    }
    let mut document = Value::Null;
    for (pointer, value) in &expected.json {
        put(&mut document, pointer, value.clone());
    }
    if !document.to_string().contains(&text) && document.is_object() {
        document["seaworthy-check"] = json!(text);
    }
    document.to_string()
}

/// Puts a value where the pointer leads, and makes the way there.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut here = document;
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        if here.is_null() {
            *here = if name == "0" { json!([]) } else { json!({}) };
        }
        here = match here {
            Value::Array(items) => {
                let index = name.parse::<usize>().unwrap_or_default().min(64);
                if items.len() <= index {
                    items.resize(index + 1, Value::Null);
                }
                &mut items[index]
            }
            Value::Object(members) => members.entry(name).or_insert(Value::Null),
            // Two pointers that contradict each other: the experiment will show it.
            _ => return,
        };
    }
    *here = value;
}

/// A text of the shape, the shortest of the first alternatives.
fn sample(shape: &Hir) -> Option<String> {
    Some(match shape.kind() {
        HirKind::Empty | HirKind::Look(_) => String::new(),
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok()?,
        HirKind::Class(Class::Unicode(class)) => class.ranges().first()?.start().to_string(),
        HirKind::Class(Class::Bytes(class)) => char::from(class.ranges().first()?.start()).to_string(),
        HirKind::Repetition(repetition) => {
            let times = usize::try_from(repetition.min).ok()?;
            sample(&repetition.sub)?.repeat(times.min(10_000))
        }
        HirKind::Capture(capture) => sample(&capture.sub)?,
        HirKind::Concat(parts) => parts.iter().map(sample).collect::<Option<Vec<_>>>()?.concat(),
        HirKind::Alternation(parts) => sample(parts.first()?)?,
    })
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn a_sample_matches_its_shape() {
        for shape in ["a+b*c?", r"^v\d{1,3}\.[x-z]+$", "(one|two) [^ ]{4}", r"(?i)ok\b", ".*"] {
            let text = sample(&regex_syntax::parse(shape).unwrap()).unwrap();
            assert!(Regex::new(shape).unwrap().is_match(&text), "{shape}: {text:?}");
        }
    }

    #[test]
    fn pointers_make_their_way() {
        let mut document = Value::Null;
        put(&mut document, "/a/0/b~1c", json!(1));
        put(&mut document, "/a/1", json!(2));
        assert_eq!(document, json!({"a": [{"b/c": 1}, 2]}));
        put(&mut document, "", json!("all"));
        assert_eq!(document, json!("all"));
    }
}
