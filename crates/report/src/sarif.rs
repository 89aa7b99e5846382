//! SARIF 2.1.0: what failed or stays undecided, each at its line of the checklist. Errors and expired evidence are
//! notifications: the tool could not tell, and no line of a file is to blame.

use std::collections::{BTreeMap, HashMap};

use seaworthy_checklist::Catalogue;
use seaworthy_evidence::{ControlReport, Report, ReportItem, Verdict};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    next_step::next_steps,
    place::{places, uri},
    sign, text,
    validity::collected,
};

/// Viewers show messages in a list.
const MESSAGE: usize = 4_000;

/// The report as a log with one run.
pub fn sarif(report: &Report) -> Value {
    let rules: BTreeMap<&str, usize> =
        report.findings.keys().enumerate().map(|(index, control)| (control.as_str(), index)).collect();
    let mut results = Vec::new();
    let mut notifications = vec![summary(report)];
    let mut seen = HashMap::new();
    for item in &report.items {
        for control in &item.controls {
            match control.verdict {
                Verdict::Fail | Verdict::Inconclusive => results.push(result(item, control, &rules, &mut seen)),
                Verdict::Error | Verdict::Expired => notifications.push(notification(item, control, &rules)),
                Verdict::Pass | Verdict::Attested | Verdict::NotApplicable | Verdict::NotRun => {}
            }
        }
    }
    let status = report.exit_status();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Seaworthy",
                "version": text::line(&report.target.seaworthy),
                "informationUri": "https://seaworthy.dev",
                "rules": rules.keys().map(|control| rule(control)).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": "seaworthy/readiness/" },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": status < 3,
                "exitCode": status,
                "exitCodeDescription": sign::outcome(report),
                "startTimeUtc": collected(report).to_string(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    })
}

/// Nothing is hidden, also not what SARIF has no place for.
fn summary(report: &Report) -> Value {
    let counts: Vec<String> = report.summary().iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    json!({
        "level": "note",
        "message": { "text": format!("{} items: {}", report.items.len(), counts.join(", ")) },
    })
}

fn rule(id: &str) -> Value {
    let Some(control) = Catalogue::built_in().find(id) else {
        return json!({
            "id": text::line(id),
            "shortDescription": { "text": message(id) },
            "help": { "text": "A control of this team's own; its config says what it tries." },
        });
    };
    let (means, proved, advice) = (control.means.trim(), control.proved.trim(), control.advice.trim());
    json!({
        "id": control.id,
        "shortDescription": { "text": message(&control.title) },
        "fullDescription": { "text": message(means) },
        "help": {
            "text": message(&format!("{means}\n\nHow it is proved: {proved}\n\nWhat closes it: {advice}")),
            "markdown": format!("{means}\n\n**How it is proved:** {proved}\n\n**What closes it:** {advice}"),
        },
        "defaultConfiguration": { "level": "error" },
        "properties": { "tags": ["production-readiness", id.split('.').next()] },
    })
}

fn result<'a>(
    item: &'a ReportItem,
    control: &'a ControlReport,
    rules: &BTreeMap<&str, usize>,
    seen: &mut HashMap<(&'a str, &'a str, &'a str), usize>,
) -> Value {
    // The n-th of its kind, so that items worded alike keep apart wherever they move.
    let twin = seen.entry((&item.file, &item.text, &control.control)).and_modify(|count| *count += 1).or_insert(0);
    let identity = format!("{}\0{}\0{}\0{twin}", item.file, text::title(&item.text), control.control);
    let fingerprint: String = Sha256::digest(identity).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    // Whatever is not a failure may have no level of its own.
    let (kind, level) = if control.verdict == Verdict::Fail { ("fail", "error") } else { ("open", "none") };
    let step = next_steps(item).into_iter().find(|step| step.control.as_deref() == Some(&control.control));
    let told = format!(
        "{}: {} ({} of {} cases tried): {}{}",
        text::shorten(&text::title(&item.text), 200),
        sign::word(control.verdict),
        control.executed,
        control.planned,
        control.reason,
        step.map(|step| format!("\nNext step: {}", step.text)).unwrap_or_default(),
    );
    let related: Vec<Value> = places(&format!("{} {}", control.reason, control.observed))
        .into_iter()
        .enumerate()
        .map(|(index, place)| {
            let mut location = location(&place.path, place.line);
            location["id"] = json!(index + 1);
            location["message"] = json!({ "text": "seen here" });
            location
        })
        .collect();
    json!({
        "ruleId": text::line(&control.control),
        "ruleIndex": rules.get(control.control.as_str()).map_or(-1, |index| *index as i64),
        "kind": kind,
        "level": level,
        "message": { "text": message(&told) },
        "locations": [location(&item.file, item.line)],
        "relatedLocations": related,
        "partialFingerprints": { "seaworthyItem/v1": fingerprint },
        "properties": { "verdict": control.verdict.word(), "claimed": item.ticked },
    })
}

fn notification(item: &ReportItem, control: &ControlReport, rules: &BTreeMap<&str, usize>) -> Value {
    let told = format!("{}: {}: {}", text::title(&item.text), sign::word(control.verdict), control.reason);
    json!({
        "level": if control.verdict == Verdict::Error { "error" } else { "warning" },
        "message": { "text": message(&told) },
        "associatedRule": {
            "id": text::line(&control.control),
            "index": rules.get(control.control.as_str()).map_or(-1, |index| *index as i64),
        },
        "locations": [location(&item.file, item.line)],
    })
}

fn location(path: &str, line: usize) -> Value {
    json!({ "physicalLocation": { "artifactLocation": { "uri": uri(path) }, "region": { "startLine": line } } })
}

/// In a SARIF message `[text](address)` is a link and `{0}` a placeholder: what came from outside may be neither.
fn message(words: &str) -> String {
    let clean = text::clean(&text::shorten(words, MESSAGE)).replace("](", "] (");
    let mut output = String::with_capacity(clean.len());
    for character in clean.chars() {
        if character.is_ascii_digit() && output.ends_with('{') {
            output.push(' ');
        }
        output.push(character);
    }
    output
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sample;

    fn run(report: &Report) -> Value {
        sarif(report)["runs"][0].clone()
    }

    #[test]
    fn only_failures_and_what_is_undecided_are_results_each_at_its_line() {
        let run = run(&sample::report());
        let results = run["results"].as_array().unwrap();
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        for result in results {
            let pair = (result["kind"].as_str().unwrap(), result["level"].as_str().unwrap());
            let verdict = result["properties"]["verdict"].as_str().unwrap();
            assert!(matches!((verdict, pair), ("fail", ("fail", "error")) | ("inconclusive", ("open", "none"))));
            let place = &result["locations"][0]["physicalLocation"];
            assert!(place["region"]["startLine"].as_u64().unwrap() > 2, "{place}");
            let index = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(rules[index]["id"], result["ruleId"]);
        }
        let cors = results.iter().find(|result| result["ruleId"] == "edge.cors").unwrap();
        assert_eq!(cors["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"], "src/app.py");
        assert_eq!(cors["relatedLocations"][0]["physicalLocation"]["region"]["startLine"], 41);
        let last = results.last().unwrap();
        assert_eq!(last["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "docs/security%20review.md");
    }

    #[test]
    fn errors_and_expired_evidence_are_notifications() {
        let invocation = run(&sample::report())["invocations"][0].clone();
        assert_eq!((&invocation["executionSuccessful"], &invocation["exitCode"]), (&json!(false), &json!(3)));
        let notifications = invocation["toolExecutionNotifications"].as_array().unwrap();
        let levels: Vec<&str> = notifications.iter().map(|one| one["level"].as_str().unwrap()).collect();
        assert_eq!(levels, ["note", "warning", "error"]);
        assert!(notifications[0]["message"]["text"].as_str().unwrap().contains("not-run"));
        assert_eq!(notifications[2]["associatedRule"]["id"], "config.secret-store");
    }

    #[test]
    fn fingerprints_are_stable_over_line_moves_and_tell_twins_apart() {
        let prints = |report: &Report| -> Vec<String> {
            let run = run(report);
            let results = run["results"].as_array().unwrap();
            results.iter().map(|one| one["partialFingerprints"]["seaworthyItem/v1"].to_string()).collect()
        };
        let report = sample::report();
        let mut moved = sample::report();
        moved.items.iter_mut().for_each(|item| item.line += 7);
        assert_eq!(prints(&report), prints(&moved));
        let all = prints(&report);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn hostile_text_is_neither_a_link_nor_a_placeholder() {
        let text = sarif(&sample::report()).to_string();
        assert!(!text.contains("](javascript") && !text.contains("{0}") && !text.contains("\\u001b"));
        assert!(text.contains("<script>alert(1)</script>"), "JSON needs no escape for it, and nothing is lost");
    }
}
