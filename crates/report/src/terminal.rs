//! The report for a terminal: the user's list in its own order, each item with what was seen.

use std::{collections::BTreeSet, fmt::Write as _};

use seaworthy_evidence::{Report, ReportItem, Verdict};

use crate::sign::sign;

/// How it may look.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Colours, beside the signs and never in place of them.
    pub colours: bool,
    /// Columns.
    pub width: usize,
}

/// The report as text.
pub fn terminal(report: &Report, style: Style) -> String {
    let mut text = String::new();
    let mut advised = BTreeSet::new();
    let mut section = None;
    for (index, item) in report.items.iter().enumerate() {
        let place = (item.file.as_str(), item.section.as_str());
        if section != Some(place) {
            section = Some(place);
            let same =
                report.items[index..].iter().take_while(|other| (other.file.as_str(), other.section.as_str()) == place);
            heading(&mut text, item, &same.collect::<Vec<_>>(), style);
        }
        lines(&mut text, item, &mut advised, style);
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{}", totals(report));
    text
}

fn heading(text: &mut String, item: &ReportItem, items: &[&ReportItem], style: Style) {
    let name = if item.section.is_empty() { item.file.as_str() } else { item.section.as_str() };
    let count = |verdicts: &[Verdict]| items.iter().filter(|item| verdicts.contains(&item.verdict)).count();
    let (proven, failing) = (count(&[Verdict::Pass, Verdict::Attested]), count(&[Verdict::Fail, Verdict::Error]));
    let counts = format!("{proven} proven · {failing} failing · {} open", items.len() - proven - failing);
    let gap = style.width.saturating_sub(name.chars().count() + counts.chars().count()).max(2);
    let _ = writeln!(text, "\n{}{}{counts}", paint(name, "1", style), " ".repeat(gap));
}

fn lines(text: &mut String, item: &ReportItem, advised: &mut BTreeSet<String>, style: Style) {
    let claim = if item.ticked && !item.verdict.closes() { "  (ticked in the file: a claim)" } else { "" };
    let title = shorten(&plain(&item.text), style.width.saturating_sub(6 + claim.len()));
    let _ = writeln!(text, "  {} {title}{claim}", paint(sign(item.verdict), colour(item.verdict), style));
    let controls: Vec<&str> = item.control.iter().chain(&item.also).map(String::as_str).collect();
    if !controls.is_empty() {
        let _ = writeln!(text, "      {}", paint(&controls.join(" + "), "2", style));
    }
    let word = if item.verdict.closes() { String::new() } else { format!("{}: ", item.verdict) };
    wrap(text, &format!("{word}{}", item.reason), style);
    for note in &item.notes {
        wrap(text, &format!("note: {note}"), style);
    }
    for control in &item.controls {
        // The same advice once is enough, and only for what was seen to be missing.
        if control.verdict == Verdict::Fail
            && let Some(advice) = &control.advice
            && advised.insert(control.control.clone())
        {
            wrap(text, &format!("to close it: {}", advice.trim()), style);
        }
    }
}

/// Beside the sign, which alone is enough.
fn colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass | Verdict::Attested => "32",
        Verdict::Fail | Verdict::Error => "31;1",
        Verdict::Inconclusive | Verdict::Expired => "33",
        Verdict::NotApplicable | Verdict::NotRun => "2",
    }
}

fn totals(report: &Report) -> String {
    let summary = report.summary();
    let shown = Verdict::ALL.iter().filter(|verdict| summary[verdict.word()] > 0 || **verdict == Verdict::Pass);
    let counts: Vec<String> = shown.map(|verdict| format!("{} {verdict}", summary[verdict.word()])).collect();
    format!("{} items: {}", report.items.len(), counts.join(", "))
}

fn paint(text: &str, colour: &str, style: Style) -> String {
    if style.colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Without Markdown's marks, and without anything that a terminal would obey.
fn plain(text: &str) -> String {
    text.replace("**", "").replace('`', "").chars().filter(|character| !character.is_control()).collect()
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Adds a paragraph, indented and broken at the style's width, without anything that a terminal would obey.
pub fn wrap(text: &mut String, paragraph: &str, style: Style) {
    let room = style.width.saturating_sub(6).max(20);
    let mut line = String::new();
    let clean: String =
        paragraph.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    for word in clean.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            let _ = writeln!(text, "      {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "      {line}");
}
