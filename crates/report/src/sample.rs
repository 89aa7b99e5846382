//! A report with everything that a format has to bear: every verdict, two files, hostile text, 60 items and more.

use std::collections::BTreeMap;

use seaworthy_checklist::{Catalogue, Checklist, Match};
use seaworthy_evidence::{Experiment, Finding, ProbeKind, Report, ReportItem, SafetyClass, Target, Verdict};

/// What an app could answer to harm whoever reads the report.
pub const HOSTILE: &str = "<script>alert(1)</script> \"quoted\" 'single' & </pre></details> ]]> --> {0} [click](javascript:alert(1)) \
     \\ ` ${x} {{ 7*7 }} \u{1b}[31mred\u{1b}[0m \0\u{8}\u{b}\u{7f}\u{9b}2J \u{fffe}\u{ffff} \u{202e}txt.exe \r\nsecond line\t# HELP x";

const LAUNCH: &str = "LAUNCH.md";
const REVIEW: &str = "docs/security review.md";

/// The same each time.
pub fn report() -> Report {
    let mut findings = BTreeMap::new();
    let launch = launch_lines();
    let review = review_lines();
    let mut items = read(LAUNCH, &launch, &mut findings);
    items.extend(read(REVIEW, &review, &mut findings));
    let target = Target {
        url: Some("https://operator:hunter2@shop.example.com".into()),
        admin: Some("http://127.0.0.1:9180".into()),
        repo: Some("/srv/shop".into()),
        commit: Some("9fceb02d0ae598e95dc970b74767f19372d61af8".into()),
        release: Some("2026.3".into()),
        environment: Some("production".into()),
        config: None,
        vantage: "this machine, over loopback".into(),
        seaworthy: "0.1.0".into(),
        time: "2026-03-14T09:26:53Z".into(),
    };
    Report { items, findings, target }
}

/// A line of a list: a heading, or a text with whether it is ticked, its controls and what became of them.
enum Line {
    Heading(String),
    Item(String, bool, Vec<(String, Verdict, String)>),
}

fn item(text: &str, ticked: bool, controls: &[(&str, Verdict, &str)]) -> Line {
    let owned = |(control, verdict, seen): &(&str, Verdict, &str)| ((*control).into(), *verdict, (*seen).into());
    Line::Item(text.into(), ticked, controls.iter().map(owned).collect())
}

fn one(text: &str, ticked: bool, control: &str, verdict: Verdict, seen: &str) -> Line {
    item(text, ticked, &[(control, verdict, seen)])
}

fn launch_lines() -> Vec<Line> {
    let mut lines = vec![item("Somebody has read this list", true, &[]), Line::Heading("Edge".into())];
    lines.extend(technical_lines());
    lines.push(Line::Heading("People".into()));
    lines.extend(people_lines());
    lines.push(Line::Heading(format!("Hostile {HOSTILE}")));
    lines.extend(hostile_lines());
    lines.extend(many(&["observability", "data", "deploy"]));
    lines
}

fn technical_lines() -> Vec<Line> {
    use Verdict::{Fail, Inconclusive, NotApplicable, NotRun, Pass};
    let redirects = "12 plain requests: each got 308 to https; HSTS 31536000 s";
    let star = "GET /api/orders with Origin: https://evil.example got Access-Control-Allow-Origin: * (src/app.py:41)";
    let outside = "nothing was reachable from outside: connection refused after 3 tries";
    let headers = "8 routes: Content-Security-Policy, nosniff and Referrer-Policy on each";
    let whole = "a body of 64 MiB to POST /upload was taken whole (api/upload.ts:118)";
    let waits = "waits for a feature that is not there yet";
    vec![
        one("HTTPS everywhere, HSTS", true, "edge.https-only", Pass, redirects),
        one("**Restrict CORS** to our domains", true, "edge.cors", Fail, star),
        one("Certificate that renews itself", false, "edge.tls-certificate", Inconclusive, outside),
        Line::Heading("Protection".into()),
        item(
            "Security headers and body limits",
            true,
            &[("edge.security-headers", Pass, headers), ("edge.request-size-limit", Fail, whole)],
        ),
        one("Rate limiting per user", false, "protection.rate-limit", NotRun, waits),
        one("Uploads are bounded", false, "protection.upload-size-limit", NotApplicable, "no route takes a file"),
    ]
}

fn people_lines() -> Vec<Line> {
    use Verdict::{Attested, Error, Expired, NotRun};
    let vouched = "vouched for by Ada Lovelace until 2026-09-30: report of Example Audits";
    vec![
        one("Security audit completed", false, "process.security-audit", Attested, vouched),
        one("On-call rota agreed", false, "process.oncall-rotation", NotRun, "only a person can say"),
        one("Backups restore", true, "data.restore-test", Expired, "proven 2025-11-02, on an earlier release"),
        one("Secrets are stored well", false, "config.secret-store", Error, "the probe ended after 60 s, its budget"),
        item("Make it `pop` 🎉", false, &[]),
    ]
}

fn hostile_lines() -> Vec<Line> {
    let long = "very-long-without-a-space".repeat(200);
    vec![
        one(HOSTILE, true, "own.hostile", Verdict::Fail, HOSTILE),
        one(&long, false, "own.long", Verdict::Inconclusive, &"x".repeat(30_000)),
        one("Written twice", false, "edge.cors", Verdict::Fail, ""),
        one("Written twice", false, "edge.cors", Verdict::Fail, ""),
    ]
}

fn review_lines() -> Vec<Line> {
    many(&["identity", "jobs", "cache", "frontend", "ci", "docs"])
}

/// Some controls of each area, with every verdict among them.
fn many(areas: &[&str]) -> Vec<Line> {
    use Verdict::{Fail, Inconclusive, NotRun, Pass};
    let turns = [Pass, NotRun, Pass, Fail, Pass, Inconclusive, NotRun];
    let mut lines = Vec::new();
    for area in areas {
        lines.push(Line::Heading(area.to_uppercase()));
        let controls =
            Catalogue::built_in().controls().iter().filter(|control| control.id.starts_with(&format!("{area}.")));
        for control in controls.take(6) {
            let verdict = turns[lines.len() % turns.len()];
            let seen = match verdict {
                Pass => "every case held, as the catalogue asks",
                Fail => "2 of 5 cases did not hold",
                Inconclusive => "other traffic came in the same second, and it does not tell",
                _ => "needs --start, a command that starts a copy",
            };
            lines.push(item(&control.title, lines.len() % 3 == 0, &[(&control.id, verdict, seen)]));
        }
    }
    lines
}

fn read(name: &str, lines: &[Line], findings: &mut BTreeMap<String, Finding>) -> Vec<ReportItem> {
    let mut text = String::from("# List\n\n");
    let mut found = Vec::new();
    for line in lines {
        match line {
            Line::Heading(heading) => text.push_str(&format!("\n## {}\n\n", heading.replace(['\r', '\n'], " "))),
            Line::Item(words, ticked, controls) => {
                let tick = if *ticked { 'x' } else { ' ' };
                text.push_str(&format!("- [{tick}] {}\n", words.replace(['\r', '\n'], " ")));
                let ids: Vec<String> = controls.iter().map(|(control, ..)| control.clone()).collect();
                for (control, verdict, seen) in controls {
                    findings.entry(control.clone()).or_insert_with(|| finding(control, *verdict, seen));
                }
                found.push(Match {
                    control: ids.first().cloned(),
                    also: ids.into_iter().skip(1).collect(),
                    confidence: 0.93,
                    not_understood: Vec::new(),
                    ..Match::default()
                });
            }
        }
    }
    let list = Checklist::parse(name.into(), text.into_bytes(), false);
    assert_eq!(list.items.len(), found.len(), "the sample has an item that is not read as one");
    list.items.iter().zip(&found).map(|(item, found)| ReportItem::new(&list, item, found, findings)).collect()
}

fn finding(control: &str, verdict: Verdict, seen: &str) -> Finding {
    let kind = match control.split('.').next() {
        Some("config" | "ci" | "docs" | "frontend") => ProbeKind::Static,
        Some("deploy" | "data" | "jobs") => ProbeKind::Drill,
        _ => ProbeKind::Live,
    };
    if matches!(verdict, Verdict::NotRun | Verdict::Attested | Verdict::NotApplicable | Verdict::Expired) {
        return Finding { verdict, observed: seen.into(), ..Finding::not_run(control, seen) };
    }
    let executed = if verdict == Verdict::Pass || verdict == Verdict::Fail { 5 } else { 2 };
    let sabotaged = control == "own.long";
    Finding {
        verdict,
        planned: 5,
        executed,
        observed: seen.into(),
        kind: Some(kind),
        class: Some(if kind == ProbeKind::Drill { SafetyClass::Scratch } else { SafetyClass::Active }),
        experiment: Some(Experiment {
            right: !sabotaged,
            present: "it holds".into(),
            absent: if sabotaged { "it holds".into() } else { format!("it does not hold: {control} is off here") },
        }),
        took_ms: 1_234,
        expires: verdict.closes().then(|| "2026-06-12T09:26:53Z".into()),
        transcript: transcript(seen),
        ..Finding::not_run(control, seen)
    }
}

fn transcript(seen: &str) -> Vec<String> {
    let mut lines = vec![
        "> GET /api/orders HTTP/1.1".into(),
        "> Origin: https://evil.example".into(),
        "< 200 OK, 412 bytes, in 3 ms".into(),
        "< Access-Control-Allow-Origin: *".into(),
    ];
    lines.push(seen.into());
    lines
}
