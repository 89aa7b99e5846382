//! `docs.runbooks`: every alert leads to a page that says what to do.

use seaworthy_repository::{Cases, Sample, yaml};

use super::written::{Look, Written, always};

pub(super) const RUNBOOKS: Written = Written {
    control: "docs.runbooks",
    person: true,
    beside_the_point: always,
    check: alerts,
    present: || {
        Sample::of(&[
            ("docs/runbooks/high-error-rate.md", PAGE),
            ("ops/alerts.yml", RULES),
            ("scripts/status.sh", "#!/bin/sh\n"),
        ])
    },
    absent: || {
        let rules = format!("{RULES}      - alert: DiskFull\n        expr: free < 1\n");
        Sample::of(&[
            ("docs/runbooks/high-error-rate.md", PAGE),
            ("ops/alerts.yml", &rules),
            ("scripts/status.sh", "#!/bin/sh\n"),
        ])
    },
};

const PAGE: &str = "# High error rate\nMore than one answer in a hundred is a 5xx. Look first at what was released in the last hour, then at the database: when it refuses connections, the pool is too small or a \
                    migration holds a lock.\n```sh\n./scripts/status.sh\n```\nIf a release is the cause, roll it back before anything else is tried.\n";
const RULES: &str = "groups:\n  - name: orders\n    rules:\n      - alert: HighErrorRate\n        expr: errors > 1\n        annotations:\n          runbook_url: https://git.invalid/us/orders/blob/main/docs/runbooks/high-error-rate.md\n";

/// An alert: its name, its link, and where it is.
struct Alert {
    name: String,
    link: Option<String>,
    place: String,
}

fn alerts(look: &Look<'_>, cases: &mut Cases) {
    let all = rules(look);
    let titles =
        look.documents.own().flat_map(|document| document.sections.iter().map(|section| letters(&section.title)));
    let stems = look.documents.own().filter_map(|document| Some(letters(document.path.file_stem()?.to_str()?)));
    let known: Vec<String> = titles.chain(stems).filter(|name| !name.is_empty()).collect();
    for alert in &all {
        cases.plan_more(1);
        let own_page = known.contains(&letters(&alert.name));
        match (&alert.link, own_page) {
            (_, true) => cases.tried(true, format!("{} has a page", alert.name)),
            (None, false) => cases.tried(
                false,
                format!("the alert {} ({}) links no runbook, and none is named after it", alert.name, alert.place),
            ),
            (Some(link), false) => match inside(look, link) {
                Some(true) => cases.tried(true, format!("{} links {link}", alert.name)),
                Some(false) => cases.tried(
                    false,
                    format!("the alert {} ({}) links {link}, which is not there", alert.name, alert.place),
                ),
                None => cases.told_nothing(format!("the alert {} links {link}, which is not read here", alert.name)),
            },
        }
    }
    cases.note(format!("{} alerts in rule files", all.len()));
}

fn rules(look: &Look<'_>) -> Vec<Alert> {
    let mut found = Vec::new();
    for path in look.repository.ending(&["yml", "yaml", "rules"]) {
        let Some(text) = look.repository.text(path).filter(|text| text.contains("alert:") && text.len() < 1 << 20)
        else {
            continue;
        };
        for document in yaml(&text).unwrap_or_default() {
            let groups = document["groups"].as_array().or(document["spec"]["groups"].as_array());
            for rule in groups.into_iter().flatten().filter_map(|group| group["rules"].as_array()).flatten() {
                let Some(name) = rule["alert"].as_str() else { continue };
                let link =
                    ["runbook_url", "runbook", "runbookUrl"].iter().find_map(|key| rule["annotations"][*key].as_str());
                let line =
                    text.lines().position(|line| line.contains("alert:") && line.contains(name)).map_or(1, |at| at + 1);
                found.push(Alert {
                    name: name.to_owned(),
                    link: link.map(String::from),
                    place: format!("{}:{line}", path.display()),
                });
            }
        }
    }
    found
}

/// Whether a link leads to a file of this repository; nothing when it leads out of it.
fn inside(look: &Look<'_>, link: &str) -> Option<bool> {
    let path = link.split(['#', '?']).next().unwrap_or(link);
    if !path.contains("://") {
        return Some(look.repository.has(path.trim_start_matches('/')));
    }
    let after = ["/blob/", "/-/blob/", "/tree/", "/src/branch/"].iter().find_map(|mark| path.split_once(mark));
    let (_, rest) = after?;
    let file = rest.split_once('/').map_or(rest, |(_, file)| file);
    look.repository.has(file).then_some(true)
}

fn letters(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
