//! `seaworthy openapi`: how the requests that came compare with the API's document.

use std::{fmt::Write as _, process::ExitCode};

use serde_json::Value;

use crate::{
    ask_admin::{AskArguments, Question, show},
    failure::Failure,
};

/// Asks the admin API and prints what it says.
pub fn main(arguments: &AskArguments) -> Result<ExitCode, Failure> {
    let question = Question { path: "/openapi", list: "operations", code: "SEA_OPENAPI_ADMIN" };
    show(arguments, &question, text)
}

/// For a person.
fn text(told: &Value) -> String {
    let word = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut out = String::new();
    let Some(document) = told["document"].as_str() else {
        return "No document: set `openapi` in [validation] to a file, or to the path where the app serves it.".into();
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "document   {document}  (mode: {})", word(told, "mode"));
    if let Some(error) = told["error"].as_str() {
        let state = if told["loaded"] == true { "the one before is in force" } else { "nothing is in force" };
        let _ = writeln!(out, "error      {error}; {state}");
    }
    let operations = list(told, "operations");
    let asked: Vec<&Value> = operations.iter().filter(|one| number(one, "requests") > 0).collect();
    if asked.is_empty() {
        let _ = writeln!(out, "\nNo request for an operation of the document came since Seaworthy started.");
    } else {
        let _ = writeln!(out, "\n{:>9} {:>9}  operation", "requests", "wrong");
    }
    for one in &asked {
        let (requests, wrong) = (number(one, "requests"), number(one, "wrong"));
        let _ = writeln!(out, "{requests:>9} {wrong:>9}  {}", word(one, "operation"));
        for reason in list(one, "reasons") {
            let field = format!("{} {}", word(&reason, "in"), word(&reason, "field"));
            let (count, message) = (number(&reason, "requests"), word(&reason, "message"));
            let _ = writeln!(out, "{:>9} {count:>9}    {}: {message}", "", field.trim_end());
        }
    }
    let unknown = list(told, "unknown");
    if !unknown.is_empty() {
        let _ = writeln!(out, "\nAsked for, and not in the document:");
        for one in &unknown {
            let _ = writeln!(out, "{:>9}  {}", number(one, "requests"), word(one, "request"));
        }
        if number(told, "unknown_dropped") > 0 {
            let _ = writeln!(out, "{:>9}  more of other paths", number(told, "unknown_dropped"));
        }
    }
    let not_judged = list(told, "not_judged");
    if !not_judged.is_empty() {
        let _ = writeln!(out, "\nIn the document, and not judged:");
        for one in not_judged.iter().filter_map(Value::as_str) {
            let _ = writeln!(out, "           {one}");
        }
    }
    let silent: Vec<&Value> = operations.iter().filter(|one| number(one, "requests") == 0).collect();
    if !silent.is_empty() && !asked.is_empty() {
        let _ = writeln!(out, "\nIn the document, and never asked for:");
        for one in silent {
            let _ = writeln!(out, "           {}", word(one, "operation"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_sees_what_is_wrong_unknown_and_unused() {
        let shown = text(&json!({
            "document": "/openapi.json of the app", "mode": "report", "loaded": true, "error": null,
            "operations": [
                { "operation": "POST /items", "requests": 5, "wrong": 2, "reasons": [
                    { "in": "body", "field": "/price", "rule": "type", "message": "must be a number", "requests": 2 },
                ] },
                { "operation": "GET /old", "requests": 0, "wrong": 0, "reasons": [] },
            ],
            "unknown": [{ "request": "GET /admin", "requests": 3 }], "unknown_dropped": 0,
            "not_judged": ["GET /old: cookie c: no way to write it"],
        }));
        for line in [
            "5         2  POST /items",
            "body /price: must be a number",
            "3  GET /admin",
            "           GET /old\n",
            "GET /old: cookie",
        ] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
        assert!(text(&json!({ "document": null })).contains("[validation]"));
    }
}
