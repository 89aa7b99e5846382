//! JUnit XML, as CI systems read it: a suite for each list, a case for each item. What is open is an error, never a skip.
//!
//! Written by hand: the format is five elements, and the crates for it bring a second clock library.

use std::fmt::Write as _;

use seaworthy_evidence::{Report, ReportItem, Verdict};

use crate::{next_step::next_steps_text, sign, text};

/// Attributes are shown in one line by every reader; the element's text has the whole.
const MESSAGE: usize = 500;

/// The report as one `testsuites` element.
pub fn junit(report: &Report) -> String {
    let suites: Vec<(&str, Vec<&ReportItem>)> = by_file(report);
    let all: Vec<&ReportItem> = report.items.iter().collect();
    let took = report.findings.values().map(|finding| finding.took_ms).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(xml, "<testsuites name=\"seaworthy check\" {} time=\"{}\">", counts(&all, false), seconds(took));
    for (file, items) in suites {
        suite(&mut xml, report, file, &items);
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// In the order in which files first appear.
fn by_file(report: &Report) -> Vec<(&str, Vec<&ReportItem>)> {
    let mut suites: Vec<(&str, Vec<&ReportItem>)> = Vec::new();
    for item in &report.items {
        match suites.iter_mut().find(|(file, _)| *file == item.file) {
            Some((_, items)) => items.push(item),
            None => suites.push((&item.file, vec![item])),
        }
    }
    suites
}

fn suite(xml: &mut String, report: &Report, file: &str, items: &[&ReportItem]) {
    let took = items.iter().map(|item| milliseconds(report, item)).sum();
    let (name, time, stamp) = (attribute(file), seconds(took), report.target.time.trim_end_matches('Z'));
    let counts = counts(items, true);
    let _ = writeln!(xml, "  <testsuite name=\"{name}\" {counts} time=\"{time}\" timestamp=\"{}\">", attribute(stamp));
    let target = &report.target;
    let known = [
        ("url", target.url.as_deref().map(text::address)),
        ("commit", target.commit.clone()),
        ("vantage", Some(target.vantage.clone())),
        ("seaworthy", Some(target.seaworthy.clone())),
        ("exit-status", Some(report.exit_status().to_string())),
    ];
    xml.push_str("    <properties>\n");
    for (name, value) in known.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{}\"/>", attribute(value));
    }
    xml.push_str("    </properties>\n");
    for item in items {
        case(xml, report, item, items);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, report: &Report, item: &ReportItem, items: &[&ReportItem]) {
    let twin =
        items.iter().any(|other| other.line != item.line && other.text == item.text && other.section == item.section);
    // Readers tell cases apart by class and name alone.
    let mut name = text::shorten(&text::title(&item.text), MESSAGE);
    if twin {
        let _ = write!(name, " (line {})", item.line);
    }
    let class = if item.section.is_empty() { &item.file } else { &item.section };
    let class = attribute(&text::shorten(&text::title(class), MESSAGE));
    let time = seconds(milliseconds(report, item));
    let _ = writeln!(xml, "    <testcase classname=\"{class}\" name=\"{}\" time=\"{time}\">", attribute(&name));
    if let Some(element) = element(item.verdict) {
        let message = attribute(&text::shorten(&text::line(&item.reason), MESSAGE));
        let body = content(&format!("{}\n\n{}", item.reason, next_steps_text(item)));
        let _ = writeln!(
            xml,
            "      <{element} type=\"{}\" message=\"{}: {message}\">{body}</{element}>",
            item.verdict,
            sign::word(item.verdict)
        );
    }
    let _ = writeln!(xml, "      <system-out>{}</system-out>", content(&seen(item)));
    xml.push_str("    </testcase>\n");
}

/// What a reader may count as done has none.
fn element(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Pass | Verdict::Attested => None,
        Verdict::Fail => Some("failure"),
        Verdict::NotApplicable => Some("skipped"),
        Verdict::Inconclusive | Verdict::Expired | Verdict::Error | Verdict::NotRun => Some("error"),
    }
}

fn seen(item: &ReportItem) -> String {
    let mut text = format!("{}:{} {}\n", item.file, item.line, item.verdict);
    if item.ticked && !item.verdict.closes() {
        text.push_str("ticked in the file: a claim that is not proven\n");
    }
    for control in &item.controls {
        let _ = writeln!(
            text,
            "{}: {}, {} of {} cases tried: {}",
            control.control, control.verdict, control.executed, control.planned, control.observed
        );
    }
    text
}

fn counts(items: &[&ReportItem], with_skipped: bool) -> String {
    let count = |name| items.iter().filter(|item| element(item.verdict) == Some(name)).count();
    let skipped = if with_skipped { format!(" skipped=\"{}\"", count("skipped")) } else { String::new() };
    format!("tests=\"{}\" failures=\"{}\" errors=\"{}\"{skipped}", items.len(), count("failure"), count("error"))
}

fn milliseconds(report: &Report, item: &ReportItem) -> u64 {
    item.controls
        .iter()
        .filter_map(|control| report.findings.get(&control.control))
        .map(|finding| finding.took_ms)
        .sum()
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}

fn attribute(value: &str) -> String {
    escape(&text::line(value))
}

fn content(value: &str) -> String {
    escape(&text::clean(value))
}

/// `>` too: `]]>` may not stand in content.
fn escape(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\t', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_is_open_is_an_error_and_never_a_skip() {
        let report = sample::report();
        let xml = junit(&report);
        let summary = report.summary();
        let count = |needle: &str| xml.matches(needle).count();
        assert_eq!(count("<testcase "), report.items.len());
        assert_eq!(count("<failure "), summary["fail"]);
        assert_eq!(count("<skipped "), summary["not-applicable"]);
        let open = summary["inconclusive"] + summary["expired"] + summary["error"] + summary["not-run"];
        assert_eq!(count("<error "), open);
        assert_eq!(count("<error type=\"not-run\""), summary["not-run"]);
        assert_eq!(count("<testsuite "), 2);
        assert!(xml.contains(&format!(
            "tests=\"{}\" failures=\"{}\" errors=\"{open}\"",
            report.items.len(),
            summary["fail"]
        )));
    }

    #[test]
    fn hostile_text_stays_text() {
        let xml = junit(&sample::report());
        assert!(
            !xml.contains("<script") && !xml.contains("]]>") && !xml.contains("\u{1b}") && !xml.contains('\u{fffe}')
        );
        assert!(xml.contains("&lt;script&gt;alert(1)&lt;/script&gt; &quot;quoted&quot;"));
        assert!(!xml.contains("hunter2"));
    }

    #[test]
    fn cases_that_are_worded_alike_keep_apart() {
        let xml = junit(&sample::report());
        assert_eq!(xml.matches("name=\"Written twice (line ").count(), 2);
    }
}
