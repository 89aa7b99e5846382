//! How well a control's words, all taken together, explain a line: BM25 (Robertson and Zaragoza, 2009), a control being
//! one document.

use std::collections::{BTreeMap, BTreeSet};

use super::{line::Line, texts::Texts};

/// How fast a repeated word stops counting.
const SATURATION: f64 = 1.2;
/// How much a control with many words has to give in.
const LENGTH: f64 = 0.75;
/// Of a word that no control knows, against the rarest known one.
const UNKNOWN: f64 = 0.5;

/// The words of all controls.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// By stem: the fewer controls have it, the more it says.
    rarity: Vec<f64>,
    unknown: f64,
    /// By stem: the controls that have it, and what it says for them, from 0 to 1 times its rarity.
    postings: Vec<Vec<(usize, f64)>>,
    controls: usize,
}

impl Vocabulary {
    pub(super) fn new(texts: &Texts) -> Self {
        let mut counts: Vec<BTreeMap<usize, f64>> = vec![BTreeMap::new(); texts.controls];
        for text in &texts.all {
            for stem in text.stems.iter().collect::<BTreeSet<_>>() {
                *counts[text.control].entry(*stem).or_insert(0.0) += text.weight;
            }
        }
        let mut controls_with = vec![0_usize; texts.vocabulary()];
        counts.iter().flat_map(BTreeMap::keys).for_each(|stem| controls_with[*stem] += 1);
        let total = texts.controls as f64;
        let rarity: Vec<f64> = controls_with.iter().map(|with| (1.0 + total / (*with).max(1) as f64).ln()).collect();
        let lengths: Vec<f64> = counts.iter().map(|count| count.values().sum()).collect();
        let average = (lengths.iter().sum::<f64>() / total.max(1.0)).max(f64::MIN_POSITIVE);
        let mut postings = vec![Vec::new(); texts.vocabulary()];
        for (control, (count, length)) in counts.iter().zip(&lengths).enumerate() {
            let long = SATURATION * (1.0 - LENGTH + LENGTH * length / average);
            for (stem, count) in count {
                postings[*stem].push((control, rarity[*stem] * count / (count + long)));
            }
        }
        Self { rarity, unknown: (1.0 + total).ln() * UNKNOWN, postings, controls: texts.controls }
    }

    pub(super) fn rarity(&self, stem: usize) -> f64 {
        self.rarity[stem]
    }

    /// What the line says in all: each word's strength times its rarity, the unknown words included.
    pub(super) fn weight(&self, line: &Line) -> f64 {
        let known: f64 = line.own.iter().map(|(stem, strength)| self.rarity[*stem] * strength).sum();
        (known + self.unknown * line.unknown).max(f64::MIN_POSITIVE)
    }

    /// By control, how much of the line its words explain, from 0 to 1.
    pub(super) fn line(&self, line: &Line) -> Vec<f64> {
        self.explained(line.own.iter().map(|(stem, strength)| (*stem, *strength)), self.weight(line))
    }

    /// The same for what stands around the line.
    pub(super) fn context(&self, line: &Line) -> Vec<f64> {
        let known: f64 = line.context.iter().map(|stem| self.rarity[*stem]).sum();
        let weight = (known + self.unknown * line.context_unknown).max(f64::MIN_POSITIVE);
        self.explained(line.context.iter().map(|stem| (*stem, 1.0)), weight)
    }

    fn explained(&self, words: impl Iterator<Item = (usize, f64)>, weight: f64) -> Vec<f64> {
        let mut explained = vec![0.0; self.controls];
        for (stem, strength) in words {
            for (control, says) in &self.postings[stem] {
                explained[*control] += strength * says / weight;
            }
        }
        explained
    }
}
