//! What the page shows, as plain values: every text that goes into the template passes through here, and is clean.

use std::collections::BTreeSet;

use jiff::Timestamp;
use seaworthy_checklist::Catalogue;
use seaworthy_evidence::{ControlReport, Experiment, Finding, Report, ReportItem, Verdict};
use serde_json::json;

use crate::{
    next_step::next_steps,
    sign::{outcome, sign, word},
    text,
    validity::{expires, next_expiry},
};

/// Longer texts are cut, and say so: the ledger has the whole.
const LONGEST: usize = 4_000;
const LONGEST_LINE: usize = 1_000;
const LONGEST_TITLE: usize = 300;
const MOST_LINES: usize = 200;

/// From closed to broken: the order of the bar.
const BAR: [Verdict; 8] = [
    Verdict::Pass,
    Verdict::Attested,
    Verdict::NotApplicable,
    Verdict::NotRun,
    Verdict::Expired,
    Verdict::Inconclusive,
    Verdict::Error,
    Verdict::Fail,
];

pub(super) struct Page {
    pub(super) outcome: &'static str,
    pub(super) ready: bool,
    pub(super) closed: usize,
    pub(super) total: usize,
    pub(super) claims: usize,
    pub(super) counts: Vec<Count>,
    pub(super) bar: Vec<Segment>,
    pub(super) facts: Vec<Fact>,
    pub(super) files: Vec<File>,
}

/// A verdict and how many items have it, also when none has.
pub(super) struct Count {
    pub(super) badge: Badge,
    pub(super) count: usize,
}

/// Sign and word of a verdict; `key` is for links and colours.
pub(super) struct Badge {
    pub(super) key: &'static str,
    pub(super) sign: &'static str,
    pub(super) word: &'static str,
}

pub(super) struct Segment {
    pub(super) key: &'static str,
    pub(super) start: usize,
    pub(super) width: usize,
}

pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
}

pub(super) struct File {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) sections: Vec<Section>,
}

pub(super) struct Section {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) proven: usize,
    pub(super) failing: usize,
    pub(super) open: usize,
    pub(super) items: Vec<Item>,
}

pub(super) struct Item {
    pub(super) id: String,
    pub(super) badge: Badge,
    pub(super) title: String,
    pub(super) line: usize,
    pub(super) claim: bool,
    pub(super) reason: String,
    pub(super) several: bool,
    pub(super) controls: Vec<Control>,
    pub(super) steps: Vec<Step>,
}

pub(super) struct Control {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) badge: Badge,
    /// Empty when the item has said it already.
    pub(super) reason: String,
    pub(super) seen: String,
    pub(super) tried: String,
    pub(super) how: String,
    pub(super) experiment: Option<Tried>,
    pub(super) expires: String,
    pub(super) transcript: Transcript,
}

/// A control experiment, in both directions.
pub(super) struct Tried {
    pub(super) right: bool,
    pub(super) present: String,
    pub(super) absent: String,
}

pub(super) enum Transcript {
    None,
    Here {
        id: String,
        lines: usize,
        text: String,
    },
    /// A control of several items is told once.
    Elsewhere {
        id: String,
    },
}

pub(super) struct Step {
    pub(super) control: String,
    pub(super) text: String,
}

impl Page {
    pub(super) fn new(report: &Report) -> Self {
        let summary = report.summary();
        let count = |verdict: Verdict| summary[verdict.word()];
        let mut start = 0;
        let mut bar = Vec::new();
        for verdict in BAR.into_iter().filter(|verdict| count(*verdict) > 0) {
            bar.push(Segment { key: verdict.word(), start, width: count(verdict) });
            start += count(verdict);
        }
        Self {
            outcome: outcome(report),
            ready: report.exit_status() == 0,
            closed: count(Verdict::Pass) + count(Verdict::Attested),
            total: report.items.len(),
            claims: report.items.iter().filter(|item| claimed(item)).count(),
            counts: Verdict::ALL.map(|verdict| Count { badge: badge(verdict), count: count(verdict) }).into(),
            bar,
            facts: facts(report),
            files: files(report),
        }
    }
}

impl Control {
    /// A list of facts without any would be no list.
    pub(super) fn has_facts(&self) -> bool {
        let texts = [&self.tried, &self.seen, &self.expires];
        self.experiment.is_some() || texts.iter().any(|text| !text.is_empty())
    }
}

fn badge(verdict: Verdict) -> Badge {
    Badge { key: verdict.word(), sign: sign(verdict), word: word(verdict) }
}

fn claimed(item: &ReportItem) -> bool {
    item.ticked && !item.verdict.closes()
}

fn facts(report: &Report) -> Vec<Fact> {
    let target = &report.target;
    let known = [
        ("Address", target.url.as_deref().map(text::address)),
        ("Admin API", target.admin.as_deref().map(text::address)),
        ("Source", target.repo.as_deref().map(text::line)),
        ("Commit", target.commit.as_deref().map(text::line)),
        ("Live release", target.release.as_deref().map(text::line)),
        ("Seen from", Some(text::line(&target.vantage))),
        ("Began", target.time.parse().ok().map(moment)),
        ("First evidence runs out", next_expiry(report).map(moment)),
        ("Seaworthy", Some(text::line(&target.seaworthy))),
    ];
    let told = known.into_iter().filter_map(|(name, value)| Some(Fact { name, value: bounded(&value?) }));
    told.filter(|fact| !fact.value.is_empty()).collect()
}

fn files(report: &Report) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    let mut told = BTreeSet::new();
    let mut section = None;
    for (index, item) in report.items.iter().enumerate() {
        if files.last().is_none_or(|_| index > 0 && report.items[index - 1].file != item.file) {
            let id = format!("file-{}", files.len() + 1);
            files.push(File { name: bounded(&text::line(&item.file)), id, sections: Vec::new() });
            section = None;
        }
        // There is one since the lines above.
        let Some(file) = files.last_mut() else { continue };
        if section != Some(item.section.as_str()) {
            section = Some(item.section.as_str());
            let name = text::shorten(&text::title(&item.section), LONGEST_TITLE);
            let name = if name.is_empty() { "No heading".into() } else { name };
            let id = format!("{}-{}", file.id, file.sections.len() + 1);
            file.sections.push(Section { name, id, proven: 0, failing: 0, open: 0, items: Vec::new() });
        }
        if let Some(section) = file.sections.last_mut() {
            match item.verdict {
                Verdict::Pass | Verdict::Attested => section.proven += 1,
                Verdict::Fail | Verdict::Error => section.failing += 1,
                _ => section.open += 1,
            }
            section.items.push(view(report, index, item, &mut told));
        }
    }
    files
}

fn view(report: &Report, index: usize, item: &ReportItem, told: &mut BTreeSet<String>) -> Item {
    let several = item.controls.len() > 1;
    let controls = item.controls.iter().map(|control| control_view(report, control, item, told)).collect();
    let steps = next_steps(item).into_iter().map(|step| Step {
        control: step.control.filter(|_| several).unwrap_or_default(),
        text: bounded(&text::line(&step.text.replace('`', ""))),
    });
    let title = text::shorten(&text::title(&item.text), LONGEST_TITLE);
    Item {
        id: format!("item-{}", index + 1),
        badge: badge(item.verdict),
        title: if title.is_empty() { "(no text)".into() } else { title },
        line: item.line,
        claim: claimed(item),
        reason: if several { String::new() } else { bounded(&text::clean(&item.reason)) },
        several,
        controls,
        steps: steps.collect(),
    }
}

fn control_view(report: &Report, control: &ControlReport, item: &ReportItem, told: &mut BTreeSet<String>) -> Control {
    let known = Catalogue::built_in().find(&control.control);
    let finding = report.findings.get(&control.control);
    let reason = if item.reason == control.reason { String::new() } else { bounded(&text::clean(&control.reason)) };
    // Evidence that closes nothing cannot run out.
    let closing = finding.filter(|finding| finding.verdict.closes());
    let seen = if control.observed == control.reason { "" } else { control.observed.as_str() };
    Control {
        id: bounded(&text::line(&control.control)),
        title: known.map(|control| control.title.clone()).unwrap_or_default(),
        badge: badge(control.verdict),
        reason,
        seen: bounded(&text::clean(seen)),
        tried: tried(control),
        how: finding.map(how).unwrap_or_default(),
        experiment: finding.and_then(|finding| finding.experiment.as_ref()).map(experiment),
        expires: closing.and_then(expires).map(day).unwrap_or_default(),
        transcript: finding.map_or(Transcript::None, |finding| transcript(report, finding, told)),
    }
}

/// Empty for a person's word: there are no cases to count.
fn tried(control: &ControlReport) -> String {
    match (control.verdict, control.executed, control.planned) {
        (Verdict::Attested, 0, 0) => String::new(),
        (_, 0, 0) => "nothing, in this run".into(),
        (_, executed, planned) => format!("{executed} of {planned} cases"),
    }
}

/// In the words of the catalogue and the JSON report: `live, active, 1.2 s`.
fn how(finding: &Finding) -> String {
    let words = [json!(finding.kind), json!(finding.class)];
    let time =
        (finding.executed > 0).then(|| format!("{}.{} s", finding.took_ms / 1_000, finding.took_ms % 1_000 / 100));
    words.iter().filter_map(|word| word.as_str().map(str::to_owned)).chain(time).collect::<Vec<_>>().join(", ")
}

fn experiment(experiment: &Experiment) -> Tried {
    Tried {
        right: experiment.right,
        present: bounded(&text::line(&experiment.present)),
        absent: bounded(&text::line(&experiment.absent)),
    }
}

fn transcript(report: &Report, finding: &Finding, told: &mut BTreeSet<String>) -> Transcript {
    if finding.transcript.is_empty() {
        return Transcript::None;
    }
    // By number: an id of a team's own control may hold anything.
    let number = report.findings.keys().position(|control| *control == finding.control).unwrap_or_default();
    let id = format!("transcript-{}", number + 1);
    if !told.insert(finding.control.clone()) {
        return Transcript::Elsewhere { id };
    }
    let lines = finding.transcript.len();
    let shown = finding.transcript.iter().take(MOST_LINES);
    let mut text: Vec<String> = shown.map(|line| text::clean(&text::shorten(line, LONGEST_LINE))).collect();
    if lines > MOST_LINES {
        text.push(format!("… ({} lines more)", lines - MOST_LINES));
    }
    Transcript::Here { id, lines, text: text.join("\n") }
}

fn bounded(words: &str) -> String {
    text::shorten(words, LONGEST)
}

fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}
