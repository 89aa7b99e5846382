//! `seaworthy deprecated`: which operations will go away, and who still calls them.

use std::{fmt::Write as _, process::ExitCode};

use serde_json::Value;

use crate::{
    ask_admin::{AskArguments, Question, show},
    failure::Failure,
};

/// So many callers of a route are shown to a person.
const SHOWN: usize = 20;

/// Asks the admin API and prints what it says.
pub fn main(arguments: &AskArguments) -> Result<ExitCode, Failure> {
    let question = Question { path: "/deprecated", list: "routes", code: "SEA_DEPRECATED_ADMIN" };
    show(arguments, &question, text)
}

/// For a person.
fn text(told: &Value) -> String {
    let word = |value: &Value, key: &str| value[key].as_str().unwrap_or("-").to_owned();
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
    let routes = told["routes"].as_array().cloned().unwrap_or_default();
    if routes.is_empty() {
        return "No route is deprecated: set `deprecated = { since = \"…\" }` in a [[route]].".into();
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    for route in &routes {
        let _ = writeln!(
            out,
            "{}   since {}, sunset {}, successor {}",
            word(route, "route"),
            word(route, "since"),
            word(route, "sunset"),
            word(route, "successor")
        );
        let callers = route["callers"].as_array().cloned().unwrap_or_default();
        if callers.is_empty() {
            let _ = writeln!(out, "  nobody has called it since Seaworthy started\n");
            continue;
        }
        let _ = writeln!(out, "  {} calls since Seaworthy started", number(route, "calls"));
        let _ = writeln!(out, "  {:>8}  {:20}  {:8} {:28} client", "calls", "last", "", "who");
        for one in callers.iter().take(SHOWN) {
            let (calls, last, kind) = (number(one, "calls"), word(one, "last"), word(one, "kind"));
            let _ = writeln!(out, "  {calls:>8}  {last:20}  {kind:8} {:28} {}", word(one, "who"), word(one, "agent"));
        }
        let told_apart: u64 = callers.iter().take(SHOWN).map(|one| number(one, "calls")).sum();
        let more = number(route, "calls").saturating_sub(told_apart);
        if more > 0 {
            let _ = writeln!(out, "  {more:>8}  by others (--json names more)");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_sees_who_calls_what() {
        let caller =
            json!({ "kind": "user", "who": "ann", "agent": "curl/8", "calls": 3, "last": "2026-01-02T03:04:05Z" });
        let shown = text(&json!({ "routes": [
            { "route": "GET /v1/old", "since": "2026-01-01", "sunset": null, "successor": "/v2", "calls": 5, "others": 2,
              "callers": [caller] },
            { "route": "/other", "since": "2026-01-01", "calls": 0, "callers": [] },
        ] }));
        for part in [
            "GET /v1/old   since 2026-01-01, sunset -, successor /v2",
            "5 calls",
            "user     ann",
            "2  by others",
            "nobody",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert!(text(&json!({ "routes": [] })).contains("No route is deprecated"));
    }
}
