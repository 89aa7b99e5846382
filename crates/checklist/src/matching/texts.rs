//! The texts that are known to mean a control, cut into stems: what every scorer learns from.

use std::collections::HashMap;

use super::words::{Beginning, beginnings, stem, words};
use crate::catalogue::Catalogue;

/// How much the sentences about a control count, against 1 for a phrase of it: they were not written as lines of a list.
const MEANS: f64 = 0.5;
const ADVICE: f64 = 0.3;
const PROVED: f64 = 0.2;

/// One text.
#[derive(Debug)]
pub(super) struct Text {
    pub control: usize,
    /// In their order, repeats included.
    pub stems: Vec<usize>,
    /// The same of the words' beginnings.
    pub beginnings: Vec<usize>,
    pub weight: f64,
    /// True for what is worded as a line of a list would be.
    pub phrase: bool,
}

/// All of them, and the number of each stem and each beginning.
#[derive(Debug)]
pub(super) struct Texts {
    numbers: HashMap<String, usize>,
    begun: HashMap<Beginning, usize>,
    pub all: Vec<Text>,
    pub controls: usize,
}

impl Texts {
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let controls = catalogue.controls().len();
        let mut texts = Self { numbers: HashMap::new(), begun: HashMap::new(), all: Vec::new(), controls };
        // Most words come often, and stemming is the dearest step.
        let mut known = HashMap::new();
        for (index, control) in catalogue.controls().iter().enumerate() {
            for phrase in control.phrases.iter().chain([&control.title]) {
                texts.add(&mut known, index, phrase, 1.0, true);
            }
            texts.add(&mut known, index, &control.means, MEANS, false);
            texts.add(&mut known, index, &control.advice, ADVICE, false);
            texts.add(&mut known, index, &control.proved, PROVED, false);
        }
        texts
    }

    fn add(&mut self, known: &mut HashMap<String, usize>, control: usize, text: &str, weight: f64, phrase: bool) {
        let number = |word: String| {
            if let Some(number) = known.get(&word) {
                return *number;
            }
            let next = self.numbers.len();
            let number = *self.numbers.entry(stem(&word)).or_insert(next);
            known.insert(word, number);
            number
        };
        let stems: Vec<usize> = words(text).into_iter().map(number).collect();
        if !stems.is_empty() {
            let number = |beginning: Beginning| {
                let next = self.begun.len();
                *self.begun.entry(beginning).or_insert(next)
            };
            let beginnings = beginnings(text).into_iter().map(number).collect();
            self.all.push(Text { control, stems, beginnings, weight, phrase });
        }
    }

    /// How many stems there are.
    pub(super) fn vocabulary(&self) -> usize {
        self.numbers.len()
    }

    /// The number of a stem; `None` when no text has it.
    pub(super) fn number(&self, stem: &str) -> Option<usize> {
        self.numbers.get(stem).copied()
    }

    /// How many beginnings there are.
    pub(super) fn beginnings(&self) -> usize {
        self.begun.len()
    }

    /// The number of a beginning; `None` when no text has it.
    pub(super) fn begun(&self, beginning: Beginning) -> Option<usize> {
        self.begun.get(&beginning).copied()
    }
}
