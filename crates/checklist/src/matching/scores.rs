//! What the scorers say together about a line, as a probability for each control.
//!
//! Each scorer is wrong in another way: single phrases miss rewordings, a control's whole vocabulary favours controls that
//! are spoken of in many words, the linear classifier is sure of what it has not seen. The weights are rounded from a
//! multinomial logit, and the calibration from a logistic regression, over three kinds of lines: real ones without the
//! phrases that resemble them, short names in three folds, and the long rewordings in `tests/lines`.

use super::{line::Line, linear::Linear, phrases::Phrases, texts::Texts, vocabulary::Vocabulary};
use crate::catalogue::{Catalogue, Control, ControlKind};

/// Fitted weights.
mod weight {
    pub const PHRASE: f64 = 2.5;
    pub const VOCABULARY: f64 = 12.0;
    pub const LINEAR: f64 = 4.5;
    pub const CONTEXT: f64 = 1.5;
}

/// From the scorers' odds to how often they are right: they are not independent, so together they are too sure, most of all
/// about a line of one or two words.
mod calibration {
    pub const SLOPE: f64 = 0.6;
    pub const LENGTH: f64 = 1.1;
    pub const OFFSET: f64 = -0.75;
    /// When the line is one of the best control's phrases, and nobody else's.
    pub const EXACT: f64 = 0.7;
    /// When the vocabulary or the linear classifier alone would name another control: then every sixth is wrong.
    pub const DISSENT: f64 = -0.8;
}

/// All scorers, built from one catalogue.
#[derive(Debug)]
pub(super) struct Scorers {
    texts: Texts,
    vocabulary: Vocabulary,
    phrases: Phrases,
    linear: Linear,
    /// By control; none is that it needs no certain word.
    needs: Vec<Vec<String>>,
}

/// The control that fits best.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    pub control: usize,
    /// From 0 to 1.
    pub probability: f64,
    /// How much of the line its words explain, from 0 to 1.
    pub explained: f64,
}

/// Stands for lines that ask for nothing: one that is most like those is like no control.
fn nothing() -> Control {
    let lines = include_str!("../../catalogue/nothing.txt").lines().filter(|line| !line.starts_with('#'));
    Control {
        id: "nothing".into(),
        kind: ControlKind::Attest,
        title: String::new(),
        means: String::new(),
        proved: String::new(),
        advice: String::new(),
        phrases: lines.map(str::to_owned).collect(),
        needs: Vec::new(),
    }
}

impl Scorers {
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let catalogue = &catalogue.with([nothing()]);
        let texts = Texts::new(catalogue);
        let vocabulary = Vocabulary::new(&texts);
        let phrases = Phrases::new(&texts, &vocabulary);
        let linear = Linear::new(&texts);
        let needs = catalogue.controls().iter().map(|control| control.needs.clone()).collect();
        Self { texts, vocabulary, phrases, linear, needs }
    }

    /// `None` when no control knows a word of the line, or it is most like lines that ask for nothing.
    pub(super) fn best(&self, text: &str, section: &str, parent: &str) -> Option<Best> {
        let line = Line::new(&self.texts, text, section, parent);
        if line.own.is_empty() {
            return None;
        }
        let phrases = self.phrases.line(&line, &self.vocabulary);
        let explained = self.vocabulary.line(&line);
        let around = self.vocabulary.context(&line);
        let linear = self.linear.line(&line);
        let said = format!("{text} {section} {parent}").to_lowercase();
        let meant = |control: usize| {
            let needs: &[String] = &self.needs[control];
            needs.is_empty() || needs.iter().any(|piece| said.contains(piece.as_str()))
        };
        let scores: Vec<f64> = (0..phrases.len())
            .map(|control| {
                if !meant(control) {
                    return f64::NEG_INFINITY;
                }
                weight::PHRASE * phrases[control]
                    + weight::VOCABULARY * explained[control]
                    + weight::LINEAR * f64::from(linear[control])
                    + weight::CONTEXT * around[control]
            })
            .collect();
        let (control, highest) = scores.iter().copied().enumerate().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
        if control + 1 == scores.len() {
            return None;
        }
        let all: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
        // The best one's own share of `all` is 1.
        let odds = -(all - 1.0).max(1e-6).ln();
        let length = (line.size as f64).ln();
        let odds = calibration::SLOPE * odds + calibration::LENGTH * length + calibration::OFFSET;
        let exact = self.phrases.exactly(&line, &self.vocabulary) == Some(control);
        let dissent = explained.iter().any(|other| *other > explained[control])
            || linear.iter().any(|other| *other > linear[control]);
        let exact = if exact { calibration::EXACT } else { 0.0 };
        let dissent = if dissent { calibration::DISSENT } else { 0.0 };
        let probability = 1.0 / (1.0 + (-(odds + exact + dissent)).exp());
        Some(Best { control, probability, explained: explained[control] })
    }
}
