//! Two reports of one list, side by side.

use std::fmt::Write as _;

use seaworthy_evidence::{Report, Verdict};
use seaworthy_report::{Style, wrap};

/// How many items are proven.
pub fn proven(report: &Report) -> usize {
    report.items.iter().filter(|item| item.verdict.closes()).count()
}

/// A table of both, with what was seen behind Seaworthy, and what neither has.
pub fn side_by_side(bare: &Report, behind: &Report, colours: bool, width: usize) -> String {
    let mut text = String::new();
    // Two columns of 15 and 16 beside the items' names.
    let name_width = width.saturating_sub(36).clamp(16, 60);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(text, "\n{:<name$}{:<15}behind Seaworthy", "", "bare", name = name_width + 4);
    let mut section = "";
    for (left, right) in bare.items.iter().zip(&behind.items) {
        if right.section != section {
            section = &right.section;
            let _ =
                writeln!(text, "{}", if colours { format!("\u{1b}[1m{section}\u{1b}[0m") } else { section.to_owned() });
        }
        let name: String = right.text.replace("**", "").chars().take(name_width).collect();
        let cells = (cell(left.verdict, colours), cell(right.verdict, colours));
        let _ = writeln!(text, "  {name:<name_width$}  {}{}", cells.0, cells.1);
        let seen = if left.verdict == right.verdict { String::new() } else { format!("bare: {}", left.reason) };
        for line in [seen, right.reason.clone()].iter().filter(|line| !line.is_empty()) {
            wrap(&mut text, line, Style { colours, width });
        }
    }
    let count = |report: &Report, verdict: Verdict| report.items.iter().filter(|item| item.verdict == verdict).count();
    let total = bare.items.len();
    let _ = writeln!(
        text,
        "\nproven: {} of {total} bare, {} of {total} behind Seaworthy. Failing: {} and {}. The rest has no probe yet, needs a person, \
         or could not be told.",
        proven(bare),
        proven(behind),
        count(bare, Verdict::Fail),
        count(behind, Verdict::Fail),
    );
    let _ = write!(text, "What still fails behind Seaworthy is the app's own: only its team can change it.");
    text
}

fn cell(verdict: Verdict, colours: bool) -> String {
    let (sign, colour) = match verdict {
        Verdict::Pass | Verdict::Attested => ("✔", "32"),
        Verdict::Fail | Verdict::Error => ("✘", "31"),
        Verdict::Inconclusive | Verdict::Expired => ("?", "33"),
        Verdict::NotRun | Verdict::NotApplicable => ("◌", "2"),
    };
    let plain = format!("{sign} {:<13}", verdict.word());
    if colours { format!("\u{1b}[{colour}m{plain}\u{1b}[0m") } else { plain }
}
