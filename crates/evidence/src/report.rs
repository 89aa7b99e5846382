//! What a run comes to, for people, for Markdown and for machines. The exit status depends on the verdicts alone.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use seaworthy_checklist::{Catalogue, Checklist, Form, Item, Mark, Match, Note, ticked};
use serde::Serialize;

use crate::{finding::Finding, target::Target, verdict::Verdict};

/// A whole run.
#[derive(Debug)]
pub struct Report {
    /// In the user's order.
    pub items: Vec<ReportItem>,
    /// By control.
    pub findings: BTreeMap<String, Finding>,
    /// What was looked at.
    pub target: Target,
}

/// One item of a checklist and its verdict.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReportItem {
    /// The file, as given.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
    /// How it is written.
    pub form: Form,
    /// The tick in the file: a claim.
    pub ticked: bool,
    /// The control; `null` when unmatched.
    pub control: Option<String>,
    /// Further controls that it needs.
    pub also: Vec<String>,
    /// How sure the match is.
    pub confidence: f64,
    /// The answer, over all its controls.
    pub verdict: Verdict,
    /// In one line.
    pub reason: String,
    /// What is odd about the line itself: it stands there twice, with two ticks, or says another state than its box.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What became of each control.
    pub controls: Vec<ControlReport>,
    /// Innermost heading.
    #[serde(skip)]
    pub section: String,
}

/// What became of one control of an item.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ControlReport {
    /// The control.
    pub control: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// In one line.
    pub reason: String,
    /// Cases that should have been tried.
    pub planned: usize,
    /// Cases that were.
    pub executed: usize,
    /// What was seen.
    pub observed: String,
    /// What closes it, when it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Report {
    /// Items by verdict; every verdict is there, so that nothing is hidden by being zero.
    pub fn summary(&self) -> BTreeMap<&'static str, usize> {
        let count = |verdict: Verdict| self.items.iter().filter(|item| item.verdict == verdict).count();
        Verdict::ALL.iter().map(|verdict| (verdict.word(), count(*verdict))).collect()
    }

    /// 0 all proven or attested, 1 a failure, 2 something open, 3 an error or nothing ran.
    pub fn exit_status(&self) -> u8 {
        let any = |verdict: Verdict| self.items.iter().any(|item| item.verdict == verdict);
        let ran = self.findings.values().any(|finding| finding.executed > 0 || finding.verdict.closes());
        match () {
            () if any(Verdict::Error) || !ran => 3,
            () if any(Verdict::Fail) => 1,
            () if self.items.iter().all(|item| item.verdict.closes() || item.verdict == Verdict::NotApplicable) => 0,
            () => 2,
        }
    }

    /// One of its lists, with a tick exactly where an item is proven or attested.
    pub fn ticked(&self, list: &Checklist) -> Vec<u8> {
        let date = self.target.time.get(..10).unwrap_or_default();
        let own = self.items.iter().filter(|item| item.file == list.name);
        let mark = |item: &ReportItem| Mark { closes: item.verdict.closes(), word: format!("{} {date}", item.verdict) };
        ticked(list, &own.map(|item| (item.line, mark(item))).collect())
    }

    /// The run as one JSON object: `items`, `summary`, `target`.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "items": self.items, "summary": self.summary(), "target": self.target })
    }
}

impl ReportItem {
    /// What the findings of its controls mean for an item.
    pub fn new(list: &Checklist, item: &Item, found: &Match, findings: &BTreeMap<String, Finding>) -> Self {
        let needed: Vec<&Finding> = found.control.iter().chain(&found.also).filter_map(|id| findings.get(id)).collect();
        let (verdict, reason) = judge(found, &needed);
        Self {
            file: list.name.clone(),
            line: item.line,
            text: item.text.clone(),
            form: item.form,
            ticked: item.ticked,
            control: found.control.clone(),
            also: found.also.clone(),
            confidence: found.confidence,
            verdict,
            reason,
            notes: item.notes.iter().map(note).chain(found.reads_like.as_deref().map(silenced)).collect(),
            controls: needed.into_iter().map(ControlReport::new).collect(),
            section: item.section.last().cloned().unwrap_or_default(),
        }
    }
}

impl ControlReport {
    fn new(finding: &Finding) -> Self {
        let open = !finding.verdict.closes();
        let advice =
            Catalogue::built_in().find(&finding.control).filter(|_| open).map(|control| control.advice.clone());
        Self {
            control: finding.control.clone(),
            verdict: finding.verdict,
            reason: finding.reason.clone(),
            planned: finding.planned,
            executed: finding.executed,
            observed: finding.observed.clone(),
            advice,
        }
    }
}

const UNMATCHED: &str = "unmatched: no control of the catalogue fits this text well enough; name one with a comment on the line, \
                         <!-- seaworthy: control=AREA.NAME --> (control=none when it asks for nothing), or in [check.map]";

/// In words.
fn note(note: &Note) -> String {
    match note {
        Note::Duplicate(line) => format!("the same text stands in line {line} already"),
        Note::Contradicts(line) => format!("line {line} says the same with another tick"),
        Note::TextDisagrees => "its text says another state than its box".to_owned(),
    }
}

/// A pin may not hide what it hides.
fn silenced(control: &str) -> String {
    format!("pinned to nothing, though it reads like {control}")
}

/// An item is as open as its most open control.
fn judge(found: &Match, needed: &[&Finding]) -> (Verdict, String) {
    if found.nothing {
        return (Verdict::NotApplicable, "pinned: it asks for nothing that could be tried".into());
    }
    if found.control.is_none() {
        return (Verdict::NotRun, UNMATCHED.into());
    }
    let verdict = Verdict::all_of(needed.iter().map(|finding| finding.verdict)).unwrap_or(Verdict::NotRun);
    if let Some(part) = found.not_understood.first()
        && verdict.closes()
    {
        return (Verdict::NotRun, format!("a part of it is unmatched: {part}"));
    }
    let deciding: Vec<&&Finding> = needed.iter().filter(|finding| finding.verdict == verdict).collect();
    let reason = match (deciding.as_slice(), needed.len()) {
        ([only], 1) => only.reason.clone(),
        (some, _) => {
            some.iter().map(|finding| format!("{}: {}", finding.control, finding.reason)).collect::<Vec<_>>().join("; ")
        }
    };
    (verdict, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(control: &str, verdict: Verdict) -> (String, Finding) {
        let executed = usize::from(verdict != Verdict::NotRun);
        let finding = Finding { verdict, executed, planned: executed, ..Finding::not_run(control, "why") };
        (control.into(), finding)
    }

    fn report(verdicts: &[Verdict]) -> Report {
        let findings: BTreeMap<_, _> =
            verdicts.iter().enumerate().map(|(index, verdict)| finding(&format!("c{index}"), *verdict)).collect();
        let text: String = verdicts.iter().map(|_| "- [ ] x\n").collect();
        let list = Checklist::parse("l.md".into(), text.into_bytes(), false);
        let found = |index: usize| Match { control: Some(format!("c{index}")), confidence: 1.0, ..Match::default() };
        let items =
            list.items.iter().enumerate().map(|(index, item)| ReportItem::new(&list, item, &found(index), &findings));
        Report { items: items.collect(), findings, target: Target::default() }
    }

    #[test]
    fn the_exit_status_follows_from_the_verdicts_alone() {
        use Verdict::{Error, Fail, Inconclusive, NotApplicable, NotRun, Pass};
        assert_eq!(report(&[Pass, Pass]).exit_status(), 0);
        assert_eq!(report(&[Pass, NotApplicable]).exit_status(), 0);
        assert_eq!(report(&[Pass, Fail]).exit_status(), 1);
        assert_eq!(report(&[Pass, Inconclusive]).exit_status(), 2);
        assert_eq!(report(&[Pass, NotRun]).exit_status(), 2);
        assert_eq!(report(&[Fail, Error]).exit_status(), 3);
        assert_eq!(report(&[NotRun]).exit_status(), 3);
        assert_eq!(report(&[]).exit_status(), 3);
    }

    #[test]
    fn the_summary_hides_nothing() {
        let summary = report(&[Verdict::Pass, Verdict::NotRun]).summary();
        assert_eq!(summary.len(), 8);
        assert_eq!((summary["pass"], summary["not-run"], summary["fail"]), (1, 1, 0));
    }
}
