//! OSCAL assessment results (1.1.3, JSON): an observation for each control, a finding for each item.

use seaworthy_checklist::Catalogue;
use seaworthy_evidence::{Finding, ProbeKind, Report, ReportItem, Verdict};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    next_step::next_steps_text,
    sign, text,
    validity::{collected, expires},
};

/// Of our properties, so that nobody takes them for OSCAL's own.
const NAMESPACE: &str = "https://seaworthy.dev/ns/oscal";
/// Longer texts are cut, and say so: the ledger has the whole.
const REMARK: usize = 8_000;

/// The report as one `assessment-results` document.
pub fn oscal(report: &Report) -> Value {
    let names = Names::new(report);
    let time = collected(report).to_string();
    let mut result = json!({
        "uuid": names.uuid("result", ""),
        "title": "seaworthy check",
        "description": markdown(sign::outcome(report)),
        "start": time,
        "props": summary(report),
        "local-definitions": local_definitions(report, &names),
        "reviewed-controls": { "control-selections": [selection(report)] },
    });
    // OSCAL has no empty lists.
    let observations: Vec<Value> =
        report.findings.values().map(|finding| observation(report, finding, &names)).collect();
    if !observations.is_empty() {
        result["observations"] = json!(observations);
    }
    let findings: Vec<Value> =
        report.items.iter().enumerate().map(|(index, item)| finding(index, item, &names)).collect();
    if !findings.is_empty() {
        result["findings"] = json!(findings);
    }
    let plan = names.uuid("plan", "");
    json!({ "assessment-results": {
        "uuid": names.uuid("document", ""),
        "metadata": {
            "title": "Production readiness",
            "last-modified": time,
            "version": time,
            "oscal-version": "1.1.3",
        },
        "import-ap": {
            "href": format!("#{plan}"),
            "remarks": "The plan is the team's checklist and the catalogue of this release of Seaworthy.",
        },
        "results": [result],
        "back-matter": { "resources": [{
            "uuid": plan,
            "title": "Checklist and catalogue",
            "description": markdown(&format!("{}; {} controls", files(report), Catalogue::built_in().controls().len())),
        }]},
    }})
}

/// Names of things: the same report gives the same UUIDs (version 5), another report others.
struct Names(Uuid);

impl Names {
    fn new(report: &Report) -> Self {
        let content = Sha256::digest(report.json().to_string());
        let own = Uuid::new_v5(&Uuid::NAMESPACE_URL, NAMESPACE.as_bytes());
        Self(Uuid::new_v5(&own, content.as_slice()))
    }

    fn uuid(&self, kind: &str, name: &str) -> String {
        Uuid::new_v5(&self.0, format!("{kind}\0{name}").as_bytes()).to_string()
    }
}

fn files(report: &Report) -> String {
    let mut files: Vec<&str> = report.items.iter().map(|item| item.file.as_str()).collect();
    files.dedup();
    if files.is_empty() { "no checklist".into() } else { files.join(", ") }
}

fn summary(report: &Report) -> Vec<Value> {
    report.summary().iter().map(|(verdict, count)| property(&format!("items-{verdict}"), &count.to_string())).collect()
}

fn local_definitions(report: &Report, names: &Names) -> Value {
    let target = &report.target;
    let mut properties = vec![property("vantage", &target.vantage)];
    let url = target.url.as_deref().map(text::address);
    for (name, value) in
        [("url", &url), ("commit", &target.commit), ("release", &target.release), ("repository", &target.repo)]
    {
        properties.extend(value.as_ref().map(|value| property(name, value)));
    }
    let tool = names.uuid("tool", "");
    json!({
        "components": [{
            "uuid": names.uuid("target", ""),
            "type": "software",
            "title": "The system that was looked at",
            "description": "The web app, with everything around it that answers at its address.",
            "props": properties,
            "status": { "state": "operational" },
        }],
        "assessment-assets": {
            "components": [{
                "uuid": tool,
                "type": "software",
                "title": "Seaworthy",
                "description": "Probes of controls, each with its control experiment.",
                "props": [property("version", &target.seaworthy)],
                "status": { "state": "operational" },
            }],
            "assessment-platforms": [{
                "uuid": names.uuid("platform", ""),
                "title": markdown(&text::line(&target.vantage)),
                "uses-components": [{ "component-uuid": tool }],
            }],
        },
    })
}

fn selection(report: &Report) -> Value {
    let controls: Vec<Value> = report.findings.keys().map(|id| json!({ "control-id": token(id) })).collect();
    if controls.is_empty() { json!({ "include-all": {} }) } else { json!({ "include-controls": controls }) }
}

fn observation(report: &Report, finding: &Finding, names: &Names) -> Value {
    let title = Catalogue::built_in().find(&finding.control).map_or(&finding.control, |control| &control.title);
    let mut properties = vec![
        property("control-id", &finding.control),
        property("verdict", finding.verdict.word()),
        property("planned", &finding.planned.to_string()),
        property("executed", &finding.executed.to_string()),
        property("took-milliseconds", &finding.took_ms.to_string()),
    ];
    if let Some(experiment) = &finding.experiment {
        properties.push(property("experiment-right", if experiment.right { "yes" } else { "no" }));
        properties.push(property("experiment-present", &experiment.present));
        properties.push(property("experiment-absent", &experiment.absent));
    }
    let mut observation = json!({
        "uuid": names.uuid("observation", &finding.control),
        "title": markdown(&text::shorten(&text::line(title), 200)),
        "description": markdown(&format!("{}: {}", sign::word(finding.verdict), finding.reason)),
        "props": properties,
        "methods": [method(finding)],
        "types": ["control-objective"],
        "subjects": [{ "subject-uuid": names.uuid("target", ""), "type": "component" }],
        "collected": collected(report).to_string(),
    });
    if let Some(time) = expires(finding) {
        observation["expires"] = json!(time.to_string());
    }
    if !finding.transcript.is_empty() || !finding.observed.is_empty() {
        observation["relevant-evidence"] = json!([evidence(finding)]);
    }
    observation
}

fn method(finding: &Finding) -> &'static str {
    match (finding.verdict, finding.kind) {
        (Verdict::Attested, _) => "INTERVIEW",
        (_, Some(ProbeKind::Live | ProbeKind::Drill)) => "TEST",
        (_, Some(ProbeKind::Static)) => "EXAMINE",
        (_, None) => "UNKNOWN",
    }
}

fn evidence(finding: &Finding) -> Value {
    let transcript = finding.transcript.join("\n");
    let digest: String = Sha256::digest(&transcript).iter().map(|byte| format!("{byte:02x}")).collect();
    let seen = if finding.observed.is_empty() { "A transcript of what was sent and seen." } else { &finding.observed };
    let mut evidence = json!({
        "description": markdown(seen),
        "props": [property("transcript-sha256", &digest)],
    });
    if !transcript.is_empty() {
        evidence["remarks"] = json!(markdown(&transcript));
    }
    evidence
}

fn finding(index: usize, item: &ReportItem, names: &Names) -> Value {
    let (state, reason) = match item.verdict {
        Verdict::Pass | Verdict::Attested => ("satisfied", "pass"),
        Verdict::Fail => ("not-satisfied", "fail"),
        _ => ("not-satisfied", "other"),
    };
    let mut target = Map::new();
    target.insert("type".into(), json!("objective-id"));
    // What fits no control is its own objective: it must not be missing here.
    let unmatched = format!("unmatched-item-{}", index + 1);
    target.insert("target-id".into(), json!(token(item.control.as_deref().unwrap_or(&unmatched))));
    target.insert("status".into(), json!({ "state": state, "reason": reason, "remarks": sign::word(item.verdict) }));
    if item.verdict == Verdict::NotApplicable {
        target.insert("implementation-status".into(), json!({ "state": "not-applicable" }));
    }
    let mut finding = json!({
        "uuid": names.uuid("finding", &format!("{index}\0{}\0{}\0{}", item.file, item.line, item.text)),
        "title": markdown(&text::shorten(&text::title(&item.text), 200)),
        "description": markdown(&item.reason),
        "props": [
            property("verdict", item.verdict.word()),
            property("file", &item.file),
            property("line", &item.line.to_string()),
            property("ticked-in-file", if item.ticked { "yes" } else { "no" }),
        ],
        "target": target,
    });
    let seen: Vec<Value> = item
        .controls
        .iter()
        .map(|control| json!({ "observation-uuid": names.uuid("observation", &control.control) }))
        .collect();
    if !seen.is_empty() {
        finding["related-observations"] = json!(seen);
    }
    let step = next_steps_text(item);
    if !step.is_empty() {
        finding["remarks"] = json!(markdown(&step));
    }
    finding
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": token(name), "ns": NAMESPACE, "value": or_dash(&text::shorten(&text::line(value), 1_000)) })
}

/// OSCAL has no empty strings.
fn or_dash(value: &str) -> String {
    if value.is_empty() { "-".into() } else { value.to_owned() }
}

/// A letter or `_`, then letters, digits, `.`, `-` and `_`.
fn token(name: &str) -> String {
    let fits = |character: char| character.is_ascii_alphanumeric() || ".-_".contains(character);
    let token: String = name.chars().map(|character| if fits(character) { character } else { '_' }).collect();
    if token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        token
    } else {
        format!("_{token}")
    }
}

/// Descriptions and remarks are Markdown there: what came from outside must show as it is.
fn markdown(words: &str) -> String {
    let clean = text::clean(&text::shorten(words.trim(), REMARK));
    let mut output = String::with_capacity(clean.len());
    for character in clean.trim().chars() {
        if r"\`*_[]<>#{}$|!&".contains(character) {
            output.push('\\');
        }
        output.push(character);
    }
    or_dash(&output)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sample;

    fn result() -> Value {
        oscal(&sample::report())["assessment-results"]["results"][0].clone()
    }

    #[test]
    fn each_control_is_observed_by_its_method() {
        let result = result();
        let methods: BTreeSet<(&str, &str)> = result["observations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["props"][0]["value"].as_str().unwrap(), one["methods"][0].as_str().unwrap()))
            .collect();
        assert_eq!(methods.len(), sample::report().findings.len());
        for pair in [
            ("edge.cors", "TEST"),
            ("config.secret-store", "EXAMINE"),
            ("process.security-audit", "INTERVIEW"),
            ("protection.rate-limit", "UNKNOWN"),
        ] {
            assert!(methods.contains(&pair), "{pair:?}");
        }
    }

    #[test]
    fn only_what_is_closed_is_satisfied_and_every_item_is_there() {
        let (result, report) = (result(), sample::report());
        let findings = result["findings"].as_array().unwrap();
        assert_eq!(findings.len(), report.items.len());
        for (finding, item) in findings.iter().zip(&report.items) {
            let satisfied = finding["target"]["status"]["state"] == "satisfied";
            assert_eq!(satisfied, item.verdict.closes(), "{finding}");
        }
    }

    #[test]
    fn hostile_text_is_no_markup() {
        // In JSON the backslash of an escaped bracket is two.
        let text = oscal(&sample::report()).to_string().replace(r"\\](", "");
        assert!(!text.contains("](javascript") && !text.contains("\\u001b") && !text.contains("hunter2"));
        assert_eq!(markdown("<b> [a](b) `c` *d*"), r"\<b\> \[a\](b) \`c\` \*d\*");
        assert_eq!(
            (token("1 ä/b").as_str(), token("edge.cors").as_str(), markdown(" ").as_str()),
            ("_1___b", "edge.cors", "-")
        );
    }

    #[test]
    fn names_follow_from_the_content() {
        let mut other = sample::report();
        other.items[0].line += 1;
        let name = |report: &Report| oscal(report)["assessment-results"]["uuid"].clone();
        assert_eq!(name(&sample::report()), name(&sample::report()));
        assert_ne!(name(&sample::report()), name(&other));
    }
}
