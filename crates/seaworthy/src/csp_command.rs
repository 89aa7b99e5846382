//! `seaworthy csp`: what browsers reported of the content security policy, and the policy that would allow it.

use std::{fmt::Write as _, process::ExitCode};

use serde_json::Value;

use crate::{
    ask_admin::{Question, show},
    cli::CspArguments,
    failure::Failure,
};

/// Asks the admin API and prints what it says.
pub fn main(arguments: &CspArguments) -> Result<ExitCode, Failure> {
    let question =
        Question { path: &format!("/csp?min_clients={}", arguments.min_clients), list: "seen", code: "SEA_CSP_ADMIN" };
    show(&arguments.ask, &question, text)
}

/// For a person.
fn text(told: &Value) -> String {
    let word = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
    let list = |key: &str| told[key].as_array().cloned().unwrap_or_default();
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "policy now   {}{}",
        word(told, "policy"),
        if told["report_only"] == true { "  (only reports)" } else { "" }
    );
    let Some(place) = told["reports_to"].as_str() else {
        let _ = writeln!(
            out,
            "\nNo reports are asked for: set `report_only = true` in [protection.headers.csp] to learn a policy."
        );
        return out;
    };
    let seen = list("seen");
    if seen.is_empty() {
        let _ = writeln!(
            out,
            "\nNothing was reported to {place} since Seaworthy started: open the app's pages in a browser."
        );
        return out;
    }
    let _ = writeln!(out, "\n{:>8} {:>8}  {:18} {:38} pages", "reports", "clients", "directive", "what it forbids");
    for one in &seen {
        let pages: Vec<&str> = one["pages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let (directive, blocked) = (word(one, "directive"), word(one, "blocked"));
        let (reports, clients) = (number(one, "reports"), number(one, "clients"));
        let _ = writeln!(out, "{reports:>8} {clients:>8}  {directive:18} {blocked:38} {}", pages.join(" "));
    }
    let (ignored, dropped) = (number(told, "ignored"), number(told, "dropped"));
    let _ = writeln!(out, "\nleft out: {ignored} about other sites' pages or extensions, {dropped} that were too many");
    let _ = writeln!(out, "\nThis would allow it. Anybody can send reports, so read it before you take it:\n");
    let _ = writeln!(out, "[protection.headers.csp.directives]");
    for (name, sources) in told["directives"].as_object().into_iter().flatten() {
        match sources.as_str().unwrap_or_default() {
            "" => _ = writeln!(out, "{name} = true"),
            sources => _ = writeln!(out, "{name} = \"{sources}\""),
        }
    }
    let left = list("left_out");
    if !left.is_empty() {
        let _ = writeln!(out, "\nStill forbidden:");
        for one in left {
            let _ = writeln!(out, "  {} {}: {}", word(&one, "directive"), word(&one, "blocked"), word(&one, "why"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_sees_what_came_and_what_to_write() {
        let shown = text(&json!({
            "policy": "default-src 'self'", "report_only": true, "reports_to": "/r",
            "seen": [{ "directive": "img-src", "blocked": "data:", "reports": 7, "clients": 3, "pages": ["/a"] }],
            "directives": { "default-src": "'self'", "img-src": "'self' data:", "upgrade-insecure-requests": "" },
            "left_out": [{ "directive": "script-src", "blocked": "eval", "why": "change the code" }],
        }));
        for line in
            ["img-src = \"'self' data:\"", "upgrade-insecure-requests = true", "script-src eval: change the code"]
        {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
        assert!(text(&json!({ "policy": "x", "reports_to": null })).contains("report_only = true"));
        assert!(text(&json!({ "policy": "x", "reports_to": "/r", "seen": [] })).contains("open the app's pages"));
    }
}
