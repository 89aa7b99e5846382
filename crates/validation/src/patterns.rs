//! Patterns that go back over a text (look-around, references to groups): a bad one takes time without end for a text that
//! was made for it. Each request has one budget for all of them, so that a long list of such texts costs no more than one.

use std::cell::Cell;

use fancy_regex::{Regex, RegexBuilder};
use jsonschema::{Keyword, ValidationError, Validator};
use serde_json::Value;

/// In the place of `pattern` where one goes back.
pub(crate) const KEYWORD: &str = "x-seaworthy-pattern-that-goes-back";
/// What a request may take: times that a pattern goes back, multiplied by the length of the text, since each can lead over
/// all of it. Some tenths of a second at worst.
const STEPS: u64 = 200_000_000;
/// How often a pattern may go back in one text. Nearly all take few, and only what was reserved is taken: so few are
/// tried first.
const TRIES: [usize; 3] = [100, 5_000, 100_000];
/// The same for the names of an object's members, which the library looks at by itself.
pub(crate) const FOR_NAMES: usize = 1_000;

/// What is left for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    left: u64,
    /// Texts that were compared.
    compared: u32,
    /// Something was not compared to its end: nobody knows whether it fits.
    exhausted: bool,
}

thread_local! {
    // The library hands nothing through to a keyword of ours. A request is compared in one go, on one thread.
    static CURRENT: Cell<Option<Budget>> = const { Cell::new(None) };
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: STEPS, compared: 0, exhausted: false }
    }
}

impl Budget {
    /// Does work whose patterns are paid out of this.
    pub(crate) fn spend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let outer = CURRENT.replace(Some(*self));
        let done = work();
        *self = CURRENT.replace(outer).unwrap_or(*self);
        done
    }

    /// Whether what was found is no answer, since something was not compared to its end.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Whether that is so for the work that goes on.
    pub(crate) fn is_current_exhausted() -> bool {
        CURRENT.get().is_some_and(|budget| budget.exhausted)
    }
}

/// Takes so much out of the current budget. Outside of a request each text has one of its own.
fn pays(backtracks: usize, length: usize) -> bool {
    let mut budget = CURRENT.get().unwrap_or_default();
    let cost = (backtracks as u64).saturating_mul(length as u64 + 1);
    match budget.left.checked_sub(cost).filter(|_| !budget.exhausted) {
        Some(left) => budget = Budget { left, compared: budget.compared.saturating_add(1), exhausted: false },
        None => budget.exhausted = true,
    }
    CURRENT.set(CURRENT.get().map(|_| budget));
    !budget.exhausted
}

fn give_up() {
    CURRENT.set(CURRENT.get().map(|budget| Budget { exhausted: true, ..budget }));
}

/// Whether a pattern has something that makes it go back. One that only looks so is only compared in another way.
pub(crate) fn goes_back(pattern: &str) -> bool {
    let refers = |two: &[u8]| two[0] == b'\\' && (matches!(two[1], b'1'..=b'9') || two[1] == b'k');
    ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look))
        || pattern.as_bytes().windows(2).any(refers)
}

/// A schema, made ready.
#[derive(Debug)]
pub(crate) struct Rule {
    pub validator: Validator,
    /// How many patterns for names of members go back, in the whole document.
    pub patterns_for_names: usize,
}

impl Rule {
    /// Whether a value is right. Of no meaning when the budget is exhausted.
    pub(crate) fn allows(&self, value: &Value) -> bool {
        if self.patterns_for_names > 0
            && !pays(FOR_NAMES.saturating_mul(self.patterns_for_names), length_of_names(value))
        {
            return false;
        }
        self.validator.is_valid(value)
    }
}

fn length_of_names(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(length_of_names).sum(),
        Value::Object(members) => members.iter().map(|(name, member)| name.len() + 1 + length_of_names(member)).sum(),
        _ => 0,
    }
}

/// The keyword.
struct GoesBack {
    pattern: String,
    /// The same, each up to one of [`TRIES`].
    tries: Vec<(usize, Regex)>,
}

impl GoesBack {
    fn allows(&self, value: &Value) -> bool {
        let Value::String(text) = value else { return true };
        for (limit, regex) in &self.tries {
            if !pays(*limit, text.len()) {
                return false;
            }
            if let Ok(fits) = regex.is_match(text.as_str()) {
                return fits;
            }
        }
        give_up();
        false
    }
}

impl<'i> Keyword<'i> for GoesBack {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.allows(value) { Ok(()) } else { Err(ValidationError::custom(self.pattern.clone())) }
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        self.allows(value)
    }
}

/// Makes the keyword.
///
/// # Errors
/// The pattern cannot be read.
pub(crate) fn keyword(pattern: &Value) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'static>> {
    let pattern = pattern.as_str().unwrap_or_default().to_owned();
    let tried = TRIES.iter().map(|limit| {
        let made = RegexBuilder::new(&pattern).backtrack_limit(*limit).build();
        made.map(|regex| (*limit, regex))
            .map_err(|error| ValidationError::schema(format!("the pattern {pattern}: {error}")))
    });
    let tries = tried.collect::<Result<_, _>>()?;
    Ok(Box::new(GoesBack { pattern, tries }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{self, Schemas};

    fn rule(schema: Value) -> Rule {
        let mut document = json!({ "openapi": "3.1.0", "components": { "schemas": { "a": schema } } });
        schema::prepare(&mut document);
        Schemas::of(&document, true).unwrap().rule("/components/schemas/a").unwrap()
    }

    const BAD: &str = "^(a|b|ab)*c(?!x)";

    fn hostile() -> Value {
        json!("ab".repeat(40) + "dc")
    }

    #[test]
    fn a_list_of_hostile_texts_costs_no_more_than_one_budget() {
        for schema in [
            json!({ "items": { "pattern": BAD } }),
            // What is turned round, or tried in several ways, must not make a pass of what was given up.
            json!({ "items": { "not": { "pattern": BAD } } }),
            json!({ "items": { "anyOf": [{ "pattern": BAD }, { "pattern": BAD }, {}] } }),
        ] {
            let (rule, mut budget) = (rule(schema), Budget::default());
            budget.spend(|| rule.allows(&Value::Array(vec![hostile(); 2000])));
            assert!(budget.is_exhausted());
            assert_eq!(budget.compared, 3, "the first one is given up, and the rest is not looked at");
        }
    }

    #[test]
    fn a_list_of_texts_that_each_take_long_uses_the_budget_up() {
        let (rule, slow) = (rule(json!({ "items": { "not": { "pattern": BAD } } })), json!("ab".repeat(12) + "dc"));
        let mut budget = Budget::default();
        assert!(budget.spend(|| rule.allows(&Value::Array(vec![slow.clone(); 50]))) && !budget.is_exhausted());
        let each = (STEPS - budget.left) / 50;
        assert!(each > STEPS / 2000, "{each} steps each would not be too many for a list of them");
        let mut budget = Budget::default();
        budget.spend(|| rule.allows(&Value::Array(vec![slow; 2000])));
        assert!(budget.is_exhausted() && u64::from(budget.compared) <= 3 * (STEPS / each + 1), "{budget:?}");
    }

    #[test]
    fn texts_that_fit_are_cheap() {
        let (rule, mut budget) =
            (rule(json!({ "items": { "pattern": "^(?!admin)(?=.*[0-9])[a-z0-9]{3,20}$" } })), Budget::default());
        assert!(budget.spend(|| rule.allows(&Value::Array(vec![json!("user12345"); 50_000]))));
        assert!(!budget.is_exhausted());
        assert!(!budget.spend(|| rule.allows(&json!(["admin1"]))) && !budget.is_exhausted(), "plainly wrong");
        assert!(budget.spend(|| rule.allows(&json!([7, null]))), "no texts");
    }

    #[test]
    fn names_of_members_are_paid_for_too() {
        let rule = rule(json!({ "patternProperties": { BAD: { "type": "integer" } } }));
        let members =
            |count: usize| Value::Object((0..count).map(|n| (format!("{}{n}", "a".repeat(40)), json!(1))).collect());
        let mut budget = Budget::default();
        budget.spend(|| rule.allows(&members(50_000)));
        assert!(budget.is_exhausted());
        let mut budget = Budget::default();
        budget.spend(|| rule.allows(&members(20)));
        assert!(!budget.is_exhausted());
    }

    #[test]
    fn what_goes_back_is_known_by_its_signs() {
        for pattern in ["^(?=a)b", "(?!x)", "(?<=a)b", "(?<!a)b", "(a)\\1", "(?<n>a)\\k<n>"] {
            assert!(goes_back(pattern), "{pattern}");
        }
        for pattern in ["^[a-z]+$", "(?:a)", "a\\d{2}", "(?<year>\\d{4})", "\\\\", "\\0"] {
            assert!(!goes_back(pattern), "{pattern}");
        }
    }
}
