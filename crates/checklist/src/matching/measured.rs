//! How good matching is on lines that were not learnt: the labelled ones, and the catalogue's own phrases in ten folds, each
//! judged by a matcher without it and without those of its control that resemble it.
//! `cargo test -p seaworthy-checklist measured -- --ignored --nocapture` prints the curves; a change shows a smaller wrong
//! share at an equal right one, or is none.

use std::{collections::BTreeSet, fs, path::Path};

use super::{
    scores::{Scorers, nothing},
    words::stems,
};
use crate::catalogue::{Catalogue, Control};

const FOLDS: usize = 10;
/// Share of stems from which on two phrases resemble each other.
const ALIKE: f64 = 0.75;

/// For each line whether it was answered rightly, and how sure that was (0: not at all).
#[derive(Default)]
struct Answers(Vec<(bool, f64)>);

impl Answers {
    fn add(&mut self, scorers: &Scorers, ids: &[String], right: &[&str], section: &str, text: &str) {
        let best = scorers.best(text, section, "");
        self.0.push(best.map_or((false, 0.0), |best| (right.contains(&ids[best.control].as_str()), best.probability)));
    }

    fn print(&self, name: &str) {
        println!("{name}: {} lines", self.0.len());
        for threshold in [0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9] {
            let share = |wanted: bool| {
                let count = self.0.iter().filter(|(right, sure)| *right == wanted && *sure >= threshold).count();
                100.0 * count as f64 / self.0.len() as f64
            };
            let (right, wrong) = (share(true), share(false));
            println!("  from {threshold:.2}: right {right:.1} wrong {wrong:.2} unmatched {:.1}", 100.0 - right - wrong);
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
    let mut answers = Answers::default();
    for fold in 0..FOLDS {
        let (kept, held) = without(&controls, fold);
        let scorers = Scorers::of(&Catalogue::of(kept));
        for (id, phrase) in held.into_iter().filter(|(id, _)| id.contains('.')) {
            answers.add(&scorers, &ids, &[id], "", phrase);
        }
    }
    answers.print("phrases");
}
