//! Counts for Prometheus (text exposition 0.0.4), for the textfile collector of a node exporter.

use std::fmt::Write as _;

use seaworthy_evidence::{Report, Verdict};

use crate::{
    text,
    validity::{collected, next_expiry},
};

/// The report as gauges. Whoever alerts on them should also alert on `seaworthy_check_last_run_timestamp_seconds`
/// growing old.
pub fn prometheus(report: &Report) -> String {
    let mut output = String::new();
    let summary = report.summary();
    let items = Verdict::ALL.map(|verdict| (vec![("verdict", verdict.word())], summary[verdict.word()] as i64));
    gauge(&mut output, "items", "Items of the checklists by verdict.", &items);
    let unproven = report.items.iter().filter(|item| item.ticked && !item.verdict.closes()).count();
    gauge(&mut output, "unproven_claims", "Items ticked in their file and not proven.", &[(vec![], unproven as i64)]);
    let status = i64::from(report.exit_status());
    gauge(&mut output, "exit_status", "0 proven or attested, 1 failed, 2 open, 3 error.", &[(vec![], status)]);
    let run = collected(report).as_second();
    gauge(&mut output, "last_run_timestamp_seconds", "When the last run began.", &[(vec![], run)]);
    let expiry: Vec<(Vec<(&str, &str)>, i64)> =
        next_expiry(report).map(|time| (vec![], time.as_second())).into_iter().collect();
    gauge(&mut output, "next_expiry_timestamp_seconds", "When the first evidence of a closed box runs out.", &expiry);
    let left: Vec<_> = expiry.iter().map(|(labels, time)| (labels.clone(), time - run)).collect();
    gauge(&mut output, "next_expiry_seconds", "From the last run to the first such expiry.", &left);
    let controls: Vec<_> = report
        .findings
        .values()
        .map(|finding| (vec![("control", finding.control.as_str()), ("verdict", finding.verdict.word())], 1))
        .collect();
    gauge(&mut output, "control_state", "1 for the verdict that each control has.", &controls);
    let target = &report.target;
    let url = text::address(target.url.as_deref().unwrap_or_default());
    let labels = vec![
        ("url", url.as_str()),
        ("commit", target.commit.as_deref().unwrap_or_default()),
        ("vantage", &target.vantage),
        ("version", &target.seaworthy),
    ];
    gauge(&mut output, "target_info", "What was looked at, and by which version.", &[(labels, 1)]);
    output
}

/// A family without samples is left out.
fn gauge(output: &mut String, name: &str, help: &str, samples: &[(Vec<(&str, &str)>, i64)]) {
    if samples.is_empty() {
        return;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(output, "# HELP seaworthy_check_{name} {help}\n# TYPE seaworthy_check_{name} gauge");
    for (labels, value) in samples {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(output, "seaworthy_check_{name}{labels} {value}");
    }
}

/// Label values are one line, with backslash and quote escaped.
fn escape(value: &str) -> String {
    text::line(value).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seaworthy_evidence::{Finding, Target};

    use super::*;
    use crate::sample;

    #[test]
    fn every_verdict_is_counted_also_the_ones_that_nothing_has() {
        let text = prometheus(&Report { items: Vec::new(), findings: BTreeMap::new(), target: Target::default() });
        for verdict in Verdict::ALL {
            assert!(text.contains(&format!("\nseaworthy_check_items{{verdict=\"{verdict}\"}} 0\n")), "{text}");
        }
        assert!(text.contains("seaworthy_check_exit_status 3\n") && !text.contains("next_expiry"));
    }

    #[test]
    fn times_are_those_of_the_run() {
        let text = prometheus(&sample::report());
        assert!(text.contains("\nseaworthy_check_last_run_timestamp_seconds 1773480413\n"), "{text}");
        assert!(text.contains("\nseaworthy_check_next_expiry_timestamp_seconds 1781256413\n"), "{text}");
        assert!(text.contains("\nseaworthy_check_next_expiry_seconds 7776000\n"));
        assert!(text.contains("control_state{control=\"edge.cors\",verdict=\"fail\"} 1\n"));
    }

    #[test]
    fn hostile_labels_stay_in_their_quotes() {
        let mut report = sample::report();
        report.target.vantage = sample::HOSTILE.into();
        report.findings.insert("x".into(), Finding::not_run("a\"} 9\nb\\", ""));
        let text = prometheus(&report);
        assert!(text.contains("{control=\"a\\\"} 9 b\\\\\",verdict=\"not-run\"} 1\n"), "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with("seaworthy_check_")));
        assert!(!text.contains("hunter2"));
    }
}
