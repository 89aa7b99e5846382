//! What was seen of requests: how often each operation was asked for, what was wrong, and what the document does not know.
//! Shared by all cores, bounded, kept over reloads.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};

use crate::violation::{Place, Violation};

/// Kinds of mistakes that are kept for each operation, and unknown paths for all.
const MOST_REASONS: usize = 50;
const MOST_UNKNOWN: usize = 200;
/// A path is kept up to this many bytes.
const LONGEST: usize = 200;

/// Counts since Seaworthy started; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Observed(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// By method and template.
    operations: Mutex<BTreeMap<String, Arc<OperationCounts>>>,
    unknown: Mutex<HashMap<String, u64>>,
    unknown_dropped: AtomicU64,
}

/// Of one operation.
#[derive(Debug, Default)]
pub(crate) struct OperationCounts {
    asked: AtomicU64,
    wrong: AtomicU64,
    reasons: Mutex<BTreeMap<Reason, u64>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reason {
    place: Place,
    /// Name, or pointer with `*` for numbers.
    field: String,
    rule: &'static str,
    message: String,
}

impl Observed {
    /// The counts of an operation of the document.
    pub(crate) fn operation(&self, name: &str) -> Arc<OperationCounts> {
        locked(&self.0.operations).entry(name.to_owned()).or_default().clone()
    }

    /// A request that the document does not know.
    pub(crate) fn unknown(&self, method: &http::Method, path: &str) {
        let name = format!("{method} {}", shortened(path));
        let mut unknown = locked(&self.0.unknown);
        if let Some(count) = unknown.get_mut(&name) {
            *count += 1;
        } else if unknown.len() < MOST_UNKNOWN {
            unknown.insert(name, 1);
        } else {
            self.0.unknown_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Only these operations are in the document now; what was counted of others stays when something was.
    pub(crate) fn keep(&self, is_there: impl Fn(&Arc<OperationCounts>) -> bool) {
        locked(&self.0.operations).retain(|_, counts| counts.asked.load(Ordering::Relaxed) > 0 || is_there(counts));
    }

    /// For the admin API: no values of requests.
    pub fn report(&self) -> Value {
        let operations = locked(&self.0.operations);
        let told = operations.iter().map(|(name, counts)| {
            let mut reasons: Vec<Value> =
                locked(&counts.reasons).iter().map(|(reason, count)| reason.json(*count)).collect();
            reasons.sort_by_key(|one| std::cmp::Reverse(one["requests"].as_u64()));
            json!({
                "operation": name,
                "requests": counts.asked.load(Ordering::Relaxed),
                "wrong": counts.wrong.load(Ordering::Relaxed),
                "reasons": reasons,
            })
        });
        let mut unknown: Vec<(String, u64)> =
            locked(&self.0.unknown).iter().map(|(name, count)| (name.clone(), *count)).collect();
        unknown.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let unknown = unknown.into_iter().map(|(name, count)| json!({ "request": name, "requests": count }));
        json!({
            "operations": told.collect::<Vec<_>>(),
            "unknown": unknown.collect::<Vec<_>>(),
            "unknown_dropped": self.0.unknown_dropped.load(Ordering::Relaxed),
        })
    }
}

impl OperationCounts {
    /// One more request.
    pub(crate) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// It was wrong.
    pub(crate) fn wrong(&self, violations: &[Violation]) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let mut reasons = locked(&self.reasons);
        for one in violations {
            let field = if one.place == Place::Body { &one.pointer } else { &one.name };
            let reason = Reason {
                place: one.place,
                field: without_numbers(field),
                rule: one.rule,
                message: one.message.clone(),
            };
            let is_new = !reasons.contains_key(&reason);
            if !is_new || reasons.len() < MOST_REASONS {
                *reasons.entry(reason).or_default() += 1;
            }
        }
    }
}

impl Reason {
    fn json(&self, count: u64) -> Value {
        json!({
            "in": self.place.name(), "field": self.field, "rule": self.rule, "message": self.message, "requests": count,
        })
    }
}

/// `/items/17/price` is one kind of mistake with `/items/18/price`.
fn without_numbers(pointer: &str) -> String {
    let part = |part: &str| if is_number(part) { "*".to_owned() } else { part.to_owned() };
    pointer.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// What looks like the name of one thing among many is left out: there would be a line for each.
fn shortened(path: &str) -> String {
    let part = |part: &str| {
        let letters = part.bytes().filter(u8::is_ascii_alphabetic).count();
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        if is_number(part) || part.len() > 32 || (digits > 3 && digits + 6 > letters) {
            "{}".to_owned()
        } else {
            part.to_owned()
        }
    };
    let mut short = path.split('/').map(part).collect::<Vec<_>>().join("/");
    let end = (0..=LONGEST.min(short.len())).rev().find(|at| short.is_char_boundary(*at)).unwrap_or(0);
    short.truncate(end);
    short
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_sends_stays_bounded() {
        let observed = Observed::default();
        for number in 0..10_000 {
            observed.unknown(&http::Method::GET, &format!("/x{}", "y".repeat(number % 900)));
        }
        let report = observed.report();
        assert!(report["unknown"].as_array().unwrap().len() <= MOST_UNKNOWN);
        let counts = observed.operation("GET /a");
        for number in 0..10_000 {
            counts.wrong(&[Violation::body("required", format!("is missing {number}"))]);
        }
        let report = observed.report();
        assert_eq!(report["operations"][0]["reasons"].as_array().unwrap().len(), MOST_REASONS);
        assert_eq!(report["operations"][0]["wrong"], 10_000);
    }

    #[test]
    fn names_of_single_things_are_left_out() {
        assert_eq!(shortened("/users/17/photos"), "/users/{}/photos");
        assert_eq!(shortened("/f/3f2504e0-4f89-11d3-9a0c-0305e82c3301"), "/f/{}");
        assert_eq!(shortened("/api/v2/items"), "/api/v2/items");
        assert_eq!(without_numbers("/items/17/price"), "/items/*/price");
    }
}
