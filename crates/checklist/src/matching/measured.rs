//! How good matching is on lines that were not learnt: the labelled ones, and the catalogue's own phrases in ten folds, each
//! judged by a matcher without it and without those of its control that resemble it.
//! `cargo test -p seaworthy-checklist measured -- --ignored --nocapture` prints the curves; a change shows a smaller wrong
//! share at an equal right one, or is none.
//!
//! It also prints which controls draw their neighbours' phrases. What is written by hand against the pairs printed there
//! cannot be measured on the same phrases: lists of words that speak against a control, written so, met 52% of the wrong
//! answers that had been read and 6% of those that had not (3% of the right ones). So: two fifths of the folds are only
//! counted, never printed, and a list has to show there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{
    scores::{Scorers, nothing},
    words::stems,
};
use crate::catalogue::{Catalogue, Control};

const FOLDS: usize = 10;
/// Share of stems from which on two phrases resemble each other.
const ALIKE: f64 = 0.75;

/// Folds from this one on are only counted: pairs of theirs are not printed.
const UNREAD: usize = 6;
/// As sure as an answer has to be to be given, about.
const GIVEN: f64 = 0.66;
/// Shares of right answers, in percent, at which wrong ones are compared.
const EQUAL: [f64; 8] = [95.0, 92.5, 90.0, 85.0, 70.0, 65.0, 60.0, 50.0];

/// For each line whether it was answered rightly, and how sure that was (0: not at all).
#[derive(Default)]
struct Answers {
    all: Vec<(bool, f64)>,
    /// By answer: how often it was right, and instead of what it was given wrongly.
    by_answer: BTreeMap<String, (usize, BTreeMap<String, usize>)>,
}

impl Answers {
    fn add(&mut self, scorers: &Scorers, ids: &[String], right: &[&str], section: &str, text: &str) {
        let best = scorers.best(text, section, "");
        let is_right = |control: usize| right.contains(&ids[control].as_str());
        self.all.push(best.map_or((false, 0.0), |best| (is_right(best.control), best.probability)));
        let Some(best) = best.filter(|best| best.probability >= GIVEN) else { return };
        let (rightly, instead) = self.by_answer.entry(ids[best.control].clone()).or_default();
        match is_right(best.control) {
            true => *rightly += 1,
            false => *instead.entry(right[0].to_owned()).or_default() += 1,
        }
    }

    fn print(&self, name: &str) {
        println!("{name}: {} lines", self.all.len());
        for threshold in [0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9] {
            let share = |wanted: bool| {
                let count = self.all.iter().filter(|(right, sure)| *right == wanted && *sure >= threshold).count();
                100.0 * count as f64 / self.all.len() as f64
            };
            let (right, wrong) = (share(true), share(false));
            println!("  from {threshold:.2}: right {right:.1} wrong {wrong:.2} unmatched {:.1}", 100.0 - right - wrong);
        }
        let wrong = |right: &f64| self.wrong_at(*right).map(|wrong| format!("{right}: {wrong:.2}"));
        println!("  wrong where right is {}", EQUAL.iter().filter_map(wrong).collect::<Vec<_>>().join(", "));
    }

    /// The share of wrong answers at the threshold that gives this share of right ones; `None` when none does.
    fn wrong_at(&self, right: f64) -> Option<f64> {
        let percent = self.all.len() as f64 / 100.0;
        let mut sure: Vec<f64> =
            self.all.iter().filter(|(right, sure)| *right && *sure > 0.0).map(|all| all.1).collect();
        sure.sort_by(|left, right| right.total_cmp(left));
        let threshold = sure.get(((right * percent).round() as usize).saturating_sub(1))?;
        Some(self.all.iter().filter(|(right, sure)| !right && sure >= threshold).count() as f64 / percent)
    }

    /// The answers that are most often wrong, and what would have been right.
    fn print_attractors(&self) {
        let mut worst: Vec<_> = self.by_answer.iter().map(|(id, (right, instead))| (id, right, instead)).collect();
        worst.sort_by_key(|(.., instead)| std::cmp::Reverse(instead.values().sum::<usize>()));
        for (id, right, instead) in worst.into_iter().take(60) {
            let mut pairs: Vec<_> = instead.iter().collect();
            pairs.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let pairs: Vec<String> = pairs.iter().map(|(id, count)| format!("{id} {count}")).collect();
            println!("  {id}: right {right}, wrong for {}", pairs.join(", "));
        }
    }
}

fn alike(left: &BTreeSet<String>, right: &BTreeSet<String>) -> bool {
    let both = left.intersection(right).count() as f64;
    both > 0.0 && both / (left.len() + right.len()) as f64 >= ALIKE / (1.0 + ALIKE)
}

/// The catalogue without the phrases of a fold and their like, and those phrases.
fn without(controls: &[Control], fold: usize) -> (Vec<Control>, Vec<(&str, &str)>) {
    let (mut kept, mut held) = (controls.to_vec(), Vec::new());
    for (index, (control, kept)) in controls.iter().zip(&mut kept).enumerate() {
        let is_held = |number: usize| (number * 7 + index) % FOLDS == fold;
        let cut: Vec<BTreeSet<String>> = control.phrases.iter().map(|text| stems(text).into_iter().collect()).collect();
        let resembles = |number: usize| (0..cut.len()).any(|other| is_held(other) && alike(&cut[number], &cut[other]));
        kept.phrases.clear();
        for (number, phrase) in control.phrases.iter().enumerate() {
            match is_held(number) {
                true => held.push((control.id.as_str(), phrase.as_str())),
                false if resembles(number) => {}
                false => kept.phrases.push(phrase.clone()),
            }
        }
    }
    (kept, held)
}

#[test]
#[ignore = "prints figures; it holds nothing"]
fn measured() {
    let controls = Catalogue::built_in().with([nothing()]).controls().to_vec();
    let ids: Vec<String> = controls.iter().map(|control| control.id.clone()).collect();
    let scorers = Scorers::of(&Catalogue::of(controls.clone()));
    for file in ["x-1", "x-2", "x-3", "x-4", "x-5"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/lines/{file}.tsv"));
        let mut answers = Answers::default();
        for line in fs::read_to_string(path).unwrap().lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let right: Vec<&str> = std::iter::once(fields[0]).chain(fields[1].split([';', ',', ' '])).collect();
            if fields[0].contains('.') {
                answers.add(&scorers, &ids, &right, fields[2], fields[3]);
            }
        }
        answers.print(file);
    }
    let (mut read, mut unread) = (Answers::default(), Answers::default());
    for fold in 0..FOLDS {
        let (kept, held) = without(&controls, fold);
        let scorers = Scorers::of(&Catalogue::of(kept));
        let answers = if fold < UNREAD { &mut read } else { &mut unread };
        for (id, phrase) in held.into_iter().filter(|(id, _)| id.contains('.')) {
            answers.add(&scorers, &ids, &[id], "", phrase);
        }
    }
    read.print("phrases");
    unread.print("phrases that are only counted");
    read.print_attractors();
}
