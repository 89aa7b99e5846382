//! What somebody should do about an item that is open.

use seaworthy_checklist::{Catalogue, ControlKind};
use seaworthy_evidence::{ReportItem, Verdict};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The control that it closes; `None` when the item has none.
    pub(crate) control: Option<String>,
    /// In a sentence or two.
    pub(crate) text: String,
}

/// What closes this item; empty when it is closed.
pub(crate) fn next_steps(item: &ReportItem) -> Vec<Step> {
    if item.verdict.closes() {
        return Vec::new();
    }
    if item.control.is_none() {
        let text = "No control fits this line well enough. Word it closer to what it asks, or pin its control.";
        return vec![Step { control: None, text: text.into() }];
    }
    let open = item.controls.iter().filter(|control| !control.verdict.closes());
    let mut steps: Vec<Step> = open
        .map(|open| Step {
            control: Some(open.control.clone()),
            text: step(open.verdict, &open.control, open.advice.as_deref().unwrap_or_default().trim()),
        })
        .collect();
    if steps.is_empty() {
        let text =
            "Every control that was found holds, but a part of this line fits none. Split it, or pin its controls.";
        steps.push(Step { control: None, text: text.into() });
    }
    steps
}

/// The steps as one text, each with its control where there are several.
pub(crate) fn next_steps_text(item: &ReportItem) -> String {
    let steps = next_steps(item);
    let several = steps.len() > 1;
    let told = steps.iter().map(|step| match &step.control {
        Some(control) if several => format!("{control}: {}", step.text),
        _ => step.text.clone(),
    });
    told.collect::<Vec<_>>().join("\n")
}

fn step(verdict: Verdict, control: &str, advice: &str) -> String {
    let kind = Catalogue::built_in().find(control).map(|control| control.kind);
    let text = match verdict {
        Verdict::Pass | Verdict::Attested => String::new(),
        Verdict::Fail if advice.is_empty() => "Mend what the reason names, then check again.".into(),
        Verdict::Fail => advice.to_owned(),
        Verdict::NotRun if kind == Some(ControlKind::Attest) => {
            format!("Only a person can say: `seaworthy attest {control}`. {advice}")
        }
        Verdict::NotRun => format!("Give the check what the reason names, and run it again. {advice}"),
        Verdict::Inconclusive => format!("Remove what kept it undecided, and check again. If it is missing: {advice}"),
        Verdict::Error => "The probe itself failed: check again; if it stays, its transcript shows where.".into(),
        Verdict::Expired => "Check again: this evidence is too old, or of another release.".into(),
        Verdict::NotApplicable => "Nothing here needs it: take the line out, or say in the list why it stays.".into(),
    };
    text.trim_end().trim_end_matches("If it is missing:").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_open_item_says_what_to_do_and_no_closed_one_does() {
        for item in sample::report().items {
            let steps = next_steps(&item);
            assert_eq!(steps.is_empty(), item.verdict.closes(), "{item:?}");
            assert!(steps.iter().all(|step| step.text.len() > 20), "{steps:?}");
        }
    }

    #[test]
    fn a_part_that_fits_no_control_is_something_to_do() {
        let mut items = sample::report().items;
        let item = items.iter_mut().find(|item| item.verdict == Verdict::Pass).unwrap();
        // As `ReportItem::new` judges an item with a part that is not understood.
        item.verdict = Verdict::NotRun;
        assert!(next_steps(item)[0].text.contains("a part of this line fits none"));
    }

    #[test]
    fn what_only_a_person_can_say_names_the_command() {
        assert!(
            step(Verdict::NotRun, "process.security-audit", "").contains("seaworthy attest process.security-audit")
        );
        assert_eq!(step(Verdict::Fail, "edge.cors", "List them."), "List them.");
        assert!(step(Verdict::Inconclusive, "own.control", "").ends_with("check again."));
    }
}
