//! How well the best single phrase of a control fits a line: how completely the phrase is in the line, and how much of the
//! line it explains.

use std::collections::{BTreeSet, HashMap};

use super::{line::Line, texts::Texts, vocabulary::Vocabulary};

/// Of a word that stands only in the section or the parent.
const CONTEXT: f64 = 0.2;
/// Of a word that only explains the line: nearly as good a sign as one that names it.
const EXPLAINING: f64 = 0.9;
/// Exponent of how much of the line the phrase explains.
const COVERAGE: f64 = 0.8;
/// Less than this is a single word that many controls share: that a phrase is just that word tells nothing.
const TELLING: f64 = 3.3;

/// All phrases.
#[derive(Debug)]
pub(super) struct Phrases {
    all: Vec<Phrase>,
    /// Phrases by stem.
    postings: Vec<Vec<usize>>,
    /// The control of the phrases with just these stems; `None` when several controls have them.
    exact: HashMap<Vec<usize>, Option<usize>>,
    controls: usize,
}

#[derive(Debug)]
struct Phrase {
    control: usize,
    stems: Vec<usize>,
    /// Sum of the rarities of its stems.
    whole: f64,
}

impl Phrases {
    pub(super) fn new(texts: &Texts, vocabulary: &Vocabulary) -> Self {
        let mut all = Vec::new();
        let mut postings = vec![Vec::new(); texts.vocabulary()];
        let mut exact: HashMap<Vec<usize>, Option<usize>> = HashMap::new();
        for text in texts.all.iter().filter(|text| text.phrase) {
            let mut stems = text.stems.clone();
            stems.sort_unstable();
            stems.dedup();
            stems.iter().for_each(|stem| postings[*stem].push(all.len()));
            let only = exact.entry(stems.clone()).or_insert(Some(text.control));
            *only = only.filter(|control| *control == text.control);
            let whole = stems.iter().map(|stem| vocabulary.rarity(*stem)).sum();
            all.push(Phrase { control: text.control, stems, whole });
        }
        Self { all, postings, exact, controls: texts.controls }
    }

    /// The only control with a phrase of just the line's words.
    pub(super) fn exactly(&self, line: &Line, vocabulary: &Vocabulary) -> Option<usize> {
        let stems: Vec<usize> = line.own.known.keys().copied().collect();
        let telling = stems.iter().map(|stem| vocabulary.rarity(*stem)).sum::<f64>() >= TELLING;
        (stems.len() == line.size && telling).then(|| self.exact.get(&stems).copied().flatten())?
    }

    /// By control, how well its best phrase fits, from 0 to 1.
    pub(super) fn line(&self, line: &Line, vocabulary: &Vocabulary) -> Vec<f64> {
        let mut best = vec![0.0_f64; self.controls];
        let total = vocabulary.weight(&line.own);
        let candidates: BTreeSet<usize> =
            line.own.known.keys().flat_map(|stem| &self.postings[*stem]).copied().collect();
        for phrase in candidates.into_iter().map(|index| &self.all[index]) {
            let (mut found, mut explained) = (0.0, 0.0);
            for stem in &phrase.stems {
                let rarity = vocabulary.rarity(*stem);
                if let Some(strength) = line.own.known.get(stem) {
                    found += if *strength >= 1.0 { rarity } else { rarity * EXPLAINING };
                    explained += rarity * strength;
                } else if line.context.known.contains_key(stem) {
                    found += rarity * CONTEXT;
                }
            }
            let fit = (found / phrase.whole) * (explained / total).min(1.0).powf(COVERAGE);
            best[phrase.control] = best[phrase.control].max(fit);
        }
        best
    }
}
