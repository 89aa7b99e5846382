//! How well a control's words, all taken together, explain a line: BM25 (Robertson and Zaragoza, 2009), a control being
//! one document.

use std::collections::{BTreeMap, BTreeSet};

use super::line::Words;

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
    /// `size` is how many words there are; each text is its control, its words and how much it counts.
    pub(super) fn new<'a>(
        size: usize,
        controls: usize,
        texts: impl Iterator<Item = (usize, &'a [usize], f64)>,
    ) -> Self {
        let mut counts: Vec<BTreeMap<usize, f64>> = vec![BTreeMap::new(); controls];
        for (control, words, weight) in texts {
            for word in words.iter().collect::<BTreeSet<_>>() {
                *counts[control].entry(*word).or_insert(0.0) += weight;
            }
        }
        let mut controls_with = vec![0_usize; size];
        counts.iter().flat_map(BTreeMap::keys).for_each(|stem| controls_with[*stem] += 1);
        let total = controls as f64;
        let rarity: Vec<f64> = controls_with.iter().map(|with| (1.0 + total / (*with).max(1) as f64).ln()).collect();
        let lengths: Vec<f64> = counts.iter().map(|count| count.values().sum()).collect();
        let average = (lengths.iter().sum::<f64>() / total.max(1.0)).max(f64::MIN_POSITIVE);
        let mut postings = vec![Vec::new(); size];
        for (control, (count, length)) in counts.iter().zip(&lengths).enumerate() {
            let long = SATURATION * (1.0 - LENGTH + LENGTH * length / average);
            for (stem, count) in count {
                postings[*stem].push((control, rarity[*stem] * count / (count + long)));
            }
        }
        Self { rarity, unknown: (1.0 + total).ln() * UNKNOWN, postings, controls }
    }

    pub(super) fn rarity(&self, stem: usize) -> f64 {
        self.rarity[stem]
    }

    /// What is said in all: each word's strength times its rarity, the unknown words included.
    pub(super) fn weight(&self, words: &Words) -> f64 {
        let known: f64 = words.known.iter().map(|(stem, strength)| self.rarity[*stem] * strength).sum();
        (known + self.unknown * words.unknown).max(f64::MIN_POSITIVE)
    }

    /// By control, how much of what is said its words explain, from 0 to 1.
    pub(super) fn explained(&self, words: &Words) -> Vec<f64> {
        let weight = self.weight(words);
        let mut explained = vec![0.0; self.controls];
        for (stem, strength) in &words.known {
            for (control, says) in &self.postings[*stem] {
                explained[*control] += strength * says / weight;
            }
        }
        explained
    }
}
