//! What an answer must be.

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration};
use serde::Deserialize;
use serde_json::Value;

use crate::{http::Answer, probe::Cases};

/// What an answer must be: all that is given here.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Expectation {
    /// The status; any 2xx when left out.
    pub status: Option<u16>,
    /// A text that each of these headers contains.
    pub header: BTreeMap<String, String>,
    /// A text that the body contains.
    pub body: Option<String>,
    /// A regular expression that the body matches.
    pub body_regex: Option<String>,
    /// The value at each of these JSON pointers (RFC 6901): `"/status" = "ok"`.
    pub json: BTreeMap<String, Value>,
    /// The longest time for the whole answer.
    pub max_time: Option<HumanDuration>,
    /// A body that is as expected, for the control experiment, when none can be made up from the rest.
    pub example: Option<String>,
}

impl Expectation {
    /// How many things are expected.
    pub(super) fn count(&self) -> usize {
        let single = [self.body.is_some(), self.body_regex.is_some(), self.max_time.is_some()];
        1 + self.header.len() + self.json.len() + single.iter().filter(|given| **given).count()
    }

    /// One case for each thing that is expected. Bodies may hold anything, so no case shows one.
    pub(super) fn judge(&self, answer: &Answer, what: &str, cases: &mut Cases) {
        let status = answer.status.as_u16();
        let right = self.status.map_or(answer.status.is_success(), |wanted| wanted == status);
        let wanted = self.status.map_or("2xx".into(), |wanted| wanted.to_string());
        cases.tried(right, format!("{what} → {status} ({wanted} is expected)"));
        for (name, text) in &self.header {
            let given = answer.header(name);
            let seen = if given.is_some() { "another" } else { "none" };
            let right = given.is_some_and(|value| value.contains(text.as_str()));
            cases.tried(right, format!("{what}: {name} with {text:?}{}", unless(right, seen)));
        }
        let body = answer.text();
        if let Some(text) = &self.body {
            let right = body.contains(text.as_str());
            cases.tried(right, format!("{what}: a body with {text:?}{}", unless(right, "it is not there")));
        }
        if let Some(shape) = &self.body_regex {
            let right = Regex::new(shape).is_ok_and(|shape| shape.is_match(&body));
            cases.tried(right, format!("{what}: a body that matches {shape:?}{}", unless(right, "it does not")));
        }
        let document = answer.json();
        for (pointer, wanted) in &self.json {
            let given = document.as_ref().and_then(|document| document.pointer(pointer));
            let seen = match (&document, given) {
                (None, _) => "the body is no JSON",
                (_, None) => "nothing is there",
                _ => "it is another",
            };
            let right = given.is_some_and(|given| same(given, wanted));
            cases.tried(right, format!("{what}: {pointer} is {wanted}{}", unless(right, seen)));
        }
        if let Some(longest) = self.max_time {
            let took = answer.elapsed.as_secs_f64();
            cases.tried(answer.elapsed <= longest.0, format!("{what}: {took:.2} s (at most {longest} is expected)"));
        }
    }

    pub(super) fn validate(&self, at: &str, findings: &mut Findings) {
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            let message = "no status of a whole answer";
            findings.add(format!("{at}.status"), "SEA_CONFIG_WRONG_VALUE", message, "write 200 to 599");
        }
        if let Some(Err(error)) = self.body_regex.as_ref().map(|shape| Regex::new(shape)) {
            let message = format!("not a regular expression: {error}");
            findings.add(format!("{at}.body_regex"), "SEA_CONFIG_PATTERN", message, "write \\\\ for one backslash");
        }
        for pointer in self.json.keys().filter(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            let message = format!("`{pointer}` is not a JSON pointer");
            let help = "begin it with `/`: \"/status\" = \"ok\"";
            findings.add(format!("{at}.json"), "SEA_CONFIG_WRONG_VALUE", message, help);
        }
    }
}

/// 1 and 1.0 are the same number.
fn same(given: &Value, wanted: &Value) -> bool {
    given == wanted || given.as_f64().is_some_and(|given| Some(given) == wanted.as_f64())
}

fn unless(right: bool, seen: &str) -> String {
    if right { String::new() } else { format!(" is expected: {seen}") }
}
