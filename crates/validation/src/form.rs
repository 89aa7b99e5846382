//! A body of `application/x-www-form-urlencoded`, compared with its schema.

use crate::{
    parameters::{BRACKETS, REPEATED, decoded},
    patterns::Rule,
    shape::Shape,
    violation::{self, MOST, Place, Violation},
};

/// The field by which Rails, Laravel, Symfony and others take a POST for another method: what was judged as one operation
/// would be done as another.
pub(crate) const METHOD_FIELD: &str = "_method";
/// The rule of it.
pub(crate) const OVERRIDE: &str = "method";
/// What is said of it.
pub(crate) const OVERRIDES: &str = "would make another method of this one, and the API's document does not have it";

/// What a form may be.
#[derive(Debug)]
pub(crate) struct Form {
    pub shape: Shape,
    pub rule: Rule,
}

impl Form {
    /// Adds what is wrong with a form; `most` fields are read.
    pub(crate) fn check(&self, text: &str, most: usize, all: &mut Vec<Violation>) {
        if text.bytes().filter(|byte| *byte == b'&').count() >= most {
            return all.push(Violation::body("members", "has too many fields"));
        }
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let pairs: Vec<_> = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
        if self.shape.member(METHOD_FIELD).is_none() && pairs.iter().any(|(name, _)| name == METHOD_FIELD) {
            all.push(Violation { pointer: format!("/{METHOD_FIELD}"), ..Violation::body(OVERRIDE, OVERRIDES) });
        }
        for (name, shape) in self.shape.members.iter().flatten() {
            let mut wrong = |rule, message: &str| {
                let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
                all.push(Violation { pointer, ..Violation::body(rule, message) });
            };
            // What the app makes of either, the schema has never seen.
            if shape.items.is_none() && pairs.iter().filter(|(known, _)| known == name).nth(1).is_some() {
                wrong(REPEATED, "is there more than once");
            }
            if pairs
                .iter()
                .any(|(known, _)| known.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('[')))
            {
                wrong(BRACKETS, "must be written without brackets");
            }
            if all.len() >= MOST {
                return;
            }
        }
        let object = |literal| self.shape.object(pairs.iter().map(|(name, value)| (&**name, &**value)), literal);
        let spelt = object(false);
        if !self.rule.allows(&spelt) && !self.rule.allows(&object(true)) {
            violation::check(&self.rule, &spelt, Place::Body, "", all);
        }
    }
}
