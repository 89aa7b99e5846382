//! A linear classifier of words and pairs of words, learnt from the catalogue's texts at start-up: what tells a control from
//! its neighbours, where the other scorers only ask what fits it.
//!
//! Multi-class passive-aggressive learning with averaged weights (Crammer et al., 2006). Only weights that something
//! touched exist. The order of the texts is fixed, so the same catalogue always gives the same weights.

use std::collections::HashMap;

use super::{
    line::Line,
    texts::{Text, Texts},
};

/// How often every text is looked at.
const ROUNDS: usize = 2;
/// The longest step for a single text.
const AGGRESSIVENESS: f32 = 1.0;
/// How far the right control should be ahead.
const MARGIN: f32 = 1.0;

/// From this many texts on, a feature is so common that it has a weight for nearly every control.
const COMMON: usize = 32;

/// The weights.
#[derive(Debug)]
pub(super) struct Linear {
    /// How many stems there are: they are the first features; then come the beginnings of words, then pairs of stems.
    stems: usize,
    pairs: HashMap<(usize, usize), usize>,
    rarity: Vec<f32>,
    /// By feature: controls and their weights.
    weights: Vec<Vec<(usize, f32)>>,
    controls: usize,
}

/// A weight while it is learnt.
struct Learnt {
    control: usize,
    now: f32,
    /// Over all steps; what is used in the end.
    average: f32,
}

/// The weights of one feature while they are learnt.
enum Weights {
    /// Of the controls that something touched.
    Few(Vec<Learnt>),
    /// Of all controls, for a common feature: to go through a few hundred weights one by one would cost most of the time.
    All { now: Vec<f32>, average: Vec<f32> },
}

/// Features with their values, a vector of length 1.
type Features = Vec<(usize, f32)>;

impl Linear {
    pub(super) fn new(texts: &Texts) -> Self {
        let first = texts.vocabulary() + texts.beginnings();
        let pairs: HashMap<(usize, usize), usize> =
            repeated_pairs(texts).into_iter().enumerate().map(|(index, pair)| (pair, first + index)).collect();
        let size = texts.vocabulary() + texts.beginnings() + pairs.len();
        let (rarity, weights) = (vec![1.0; size], Vec::new());
        let mut linear = Self { stems: texts.vocabulary(), pairs, rarity, weights, controls: texts.controls };
        let counts = |text: &Text| {
            let stems: Vec<Option<usize>> = text.stems.iter().copied().map(Some).collect();
            linear.counts(&stems, &text.beginnings)
        };
        let counts: Vec<Vec<(usize, usize)>> = texts.all.iter().map(counts).collect();
        let mut texts_with = vec![0_usize; size];
        counts.iter().flatten().for_each(|(feature, _)| texts_with[*feature] += 1);
        let total = counts.len() as f32;
        linear.rarity = texts_with.iter().map(|with| ((1.0 + total) / (1.0 + *with as f32)).ln() + 1.0).collect();
        let examples: Vec<(Features, usize, f32)> = texts
            .all
            .iter()
            .zip(counts)
            .map(|(text, counts)| (linear.features(counts), text.control, text.weight as f32))
            .collect();
        linear.weights = learn(&examples, size, texts.controls);
        linear
    }

    /// By control; above 0 speaks for it.
    pub(super) fn line(&self, line: &Line) -> Vec<f64> {
        let mut scores = vec![0.0; self.controls];
        for (feature, value) in self.features(self.counts(&line.sequence, &line.begun)) {
            for (control, weight) in &self.weights[feature] {
                scores[*control] += f64::from(weight * value);
            }
        }
        scores
    }

    /// Features by number, and how often each is there.
    fn counts(&self, sequence: &[Option<usize>], begun: &[usize]) -> Vec<(usize, usize)> {
        let pairs = sequence.windows(2).filter_map(|pair| self.pairs.get(&(pair[0]?, pair[1]?))).copied();
        let begun = begun.iter().map(|beginning| self.stems + beginning);
        let mut features: Vec<usize> = sequence.iter().flatten().copied().chain(begun).chain(pairs).collect();
        features.sort_unstable();
        features.chunk_by(|left, right| left == right).map(|same| (same[0], same.len())).collect()
    }

    fn features(&self, counts: Vec<(usize, usize)>) -> Features {
        let mut features: Features = counts
            .into_iter()
            .map(|(feature, count)| (feature, self.rarity[feature] * (1.0 + (count as f32).ln())))
            .collect();
        let length = features.iter().map(|(_, value)| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        features.iter_mut().for_each(|(_, value)| *value /= length);
        features
    }
}

/// Pairs of stems that are there more than once, in a fixed order: what stands in one place is learnt by heart, and says
/// little about other lines.
fn repeated_pairs(texts: &Texts) -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> =
        texts.all.iter().flat_map(|text| text.stems.windows(2)).map(|pair| (pair[0], pair[1])).collect();
    all.sort_unstable();
    all.chunk_by(|left, right| left == right).filter(|same| same.len() > 1).map(|same| same[0]).collect()
}

fn learn(examples: &[(Features, usize, f32)], size: usize, controls: usize) -> Vec<Vec<(usize, f32)>> {
    let mut weights = untouched(examples, size, controls);
    let mut scores = vec![0.0_f32; controls];
    let (stride, total) = (stride(examples.len()), (ROUNDS * examples.len()) as f32);
    for step in 0..ROUNDS * examples.len() {
        let (features, right, importance) = &examples[(step * stride) % examples.len()];
        scores.fill(0.0);
        features.iter().for_each(|(feature, value)| weights[*feature].speak(*value, &mut scores));
        let mut rival = usize::from(*right == 0);
        for control in 0..controls {
            if control != *right && scores[control] > scores[rival] {
                rival = control;
            }
        }
        let loss = MARGIN - scores[*right] + scores[rival];
        if loss > 0.0 {
            let change = (AGGRESSIVENESS * importance).min(loss / 2.0);
            let remaining = (total - step as f32) / total;
            for (feature, value) in features {
                weights[*feature].add(*right, change * value, remaining);
                weights[*feature].add(rival, -change * value, remaining);
            }
        }
    }
    weights.into_iter().map(Weights::averages).collect()
}

/// One for each feature.
fn untouched(examples: &[(Features, usize, f32)], size: usize, controls: usize) -> Vec<Weights> {
    let mut examples_with = vec![0_usize; size];
    let features = examples.iter().flat_map(|(features, ..)| features);
    features.for_each(|(feature, _)| examples_with[*feature] += 1);
    let zeros = || vec![0.0; controls];
    let weights = |with: usize| match with {
        COMMON.. => Weights::All { now: zeros(), average: zeros() },
        _ => Weights::Few(Vec::new()),
    };
    examples_with.into_iter().map(weights).collect()
}

impl Weights {
    /// Adds what a feature of this value says to each control's score.
    fn speak(&self, value: f32, scores: &mut [f32]) {
        match self {
            Self::Few(few) => few.iter().for_each(|weight| scores[weight.control] += weight.now * value),
            Self::All { now, .. } => scores.iter_mut().zip(now).for_each(|(score, weight)| *score += weight * value),
        }
    }

    fn add(&mut self, control: usize, change: f32, remaining: f32) {
        match self {
            Self::Few(few) => match few.iter_mut().find(|weight| weight.control == control) {
                Some(weight) => {
                    weight.now += change;
                    weight.average += change * remaining;
                }
                None => few.push(Learnt { control, now: change, average: change * remaining }),
            },
            Self::All { now, average } => {
                now[control] += change;
                average[control] += change * remaining;
            }
        }
    }

    fn averages(self) -> Vec<(usize, f32)> {
        match self {
            Self::Few(few) => few.into_iter().map(|weight| (weight.control, weight.average)).collect(),
            Self::All { average, .. } => average.into_iter().enumerate().filter(|(_, weight)| *weight != 0.0).collect(),
        }
    }
}

/// A step through the texts that meets each once and jumps between controls: about the golden section of their number.
fn stride(count: usize) -> usize {
    fn divisor(left: usize, right: usize) -> usize {
        if right == 0 { left } else { divisor(right, left % right) }
    }
    let wanted = (count as f64 * 0.618) as usize;
    (wanted.max(1)..=count.max(1)).find(|stride| divisor(*stride, count) == 1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_meets_every_text_once() {
        for count in [1, 2, 6, 30, 6500, 6510] {
            let met: std::collections::BTreeSet<usize> = (0..count).map(|step| step * stride(count) % count).collect();
            assert_eq!(met.len(), count);
        }
    }

    #[test]
    fn learns_what_tells_two_controls_apart() {
        let examples = vec![(vec![(0, 0.7), (1, 0.7)], 0, 1.0), (vec![(0, 0.7), (2, 0.7)], 1, 1.0)];
        let weights = learn(&examples, 3, 2);
        let of = |feature: usize, control: usize| {
            weights[feature].iter().find(|(other, _)| *other == control).map_or(0.0, |(_, weight)| *weight)
        };
        assert!(of(1, 0) > 0.2 && of(1, 1) < -0.2 && of(2, 1) > 0.2 && of(2, 0) < -0.2, "{weights:?}");
        assert!(of(0, 0).abs() < of(1, 0), "what both have says less: {weights:?}");
    }
}
