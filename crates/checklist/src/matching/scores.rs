//! What the scorers say together about a line, as a probability for each control.
//!
//! Each scorer is wrong in another way: single phrases miss rewordings, a control's whole vocabulary favours controls that
//! are spoken of in many words, beginnings of words mistake one word for another, the linear classifier is sure of what it
//! has not seen. The weights are rounded from a multinomial logit, and the calibration from a logistic regression, over two
//! kinds of lines: the catalogue's phrases, each scored without it and its like (`measured`), and those in `tests/lines`
//! but every second one of `x-5`, which was set aside.

use super::{
    line::Line,
    linear::Linear,
    phrases::Phrases,
    texts::{Text, Texts},
    vocabulary::Vocabulary,
};
use crate::catalogue::{Catalogue, Control, ControlKind};

/// Fitted weights.
mod weight {
    pub const PHRASE: f64 = 1.2;
    pub const VOCABULARY: f64 = 5.0;
    pub const BEGINNINGS: f64 = 4.5;
    pub const LINEAR: f64 = 7.0;
    pub const CONTEXT: f64 = 2.2;
}

/// From the scorers' odds to how often they are right: they are not independent, so together they are too sure, most of all
/// about a line of one or two words.
mod calibration {
    pub const SLOPE: f64 = 0.39;
    pub const LENGTH: f64 = 0.83;
    pub const OFFSET: f64 = -0.84;
    /// By how much more of the line the best control's words explain than any other's do. Where two controls are nearly the
    /// same, this is small although the odds may be good.
    pub const AHEAD: f64 = 2.33;
    /// When the line is one of the best control's phrases, and nobody else's.
    pub const EXACT: f64 = 0.7;
    /// For each scorer that alone would name another control.
    pub const DISSENT: f64 = -0.4;
}

/// All scorers, built from one catalogue.
#[derive(Debug)]
pub(super) struct Scorers {
    texts: Texts,
    vocabulary: Vocabulary,
    /// Of the beginnings of words.
    beginnings: Vocabulary,
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
pub(super) fn nothing() -> Control {
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
        Self::of(&catalogue.with([nothing()]))
    }

    /// The last control stands for lines that ask for nothing.
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        let texts = Texts::new(catalogue);
        let said =
            |words: fn(&Text) -> &[usize]| texts.all.iter().map(move |text| (text.control, words(text), text.weight));
        let vocabulary = Vocabulary::new(texts.vocabulary(), texts.controls, said(|text| &text.stems));
        let beginnings = Vocabulary::new(texts.beginnings(), texts.controls, said(|text| &text.beginnings));
        let phrases = Phrases::new(&texts, &vocabulary);
        let linear = Linear::new(&texts);
        let needs = catalogue.controls().iter().map(|control| control.needs.clone()).collect();
        Self { texts, vocabulary, beginnings, phrases, linear, needs }
    }

    /// `None` when no control knows a word of the line, or it is most like lines that ask for nothing.
    pub(super) fn best(&self, text: &str, section: &str, parent: &str) -> Option<Best> {
        let line = Line::new(&self.texts, text, section, parent);
        if line.own.known.is_empty() {
            return None;
        }
        let phrases = self.phrases.line(&line, &self.vocabulary);
        let explained = self.vocabulary.explained(&line.own);
        let begun = self.beginnings.explained(&line.beginnings);
        let around = self.vocabulary.explained(&line.context);
        let linear = self.linear.line(&line);
        let said = format!("{text} {section} {parent}").to_lowercase();
        let meant = |control: usize| {
            let needs: &[String] = &self.needs[control];
            needs.is_empty() || needs.iter().any(|piece| said.contains(piece.as_str()))
        };
        let meant: Vec<bool> = (0..phrases.len()).map(meant).collect();
        let score = |control: usize| {
            weight::PHRASE * phrases[control]
                + weight::VOCABULARY * explained[control]
                + weight::BEGINNINGS * begun[control]
                + weight::LINEAR * linear[control]
                + weight::CONTEXT * around[control]
        };
        let scores: Vec<f64> = meant
            .iter()
            .enumerate()
            .map(|(control, meant)| if *meant { score(control) } else { f64::NEG_INFINITY })
            .collect();
        let (control, highest) = scores.iter().copied().enumerate().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
        if control + 1 == scores.len() {
            return None;
        }
        let all: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
        // The best one's own share of `all` is 1.
        let odds = -(all - 1.0).max(1e-6).ln();
        let leads = [&explained, &begun, &linear].map(|scores| lead(scores, &meant, control));
        let dissents = leads.iter().filter(|lead| **lead < 0.0).count() as f64;
        let exact = self.phrases.exactly(&line, &self.vocabulary) == Some(control);
        let sure = calibration::SLOPE * odds
            + calibration::LENGTH * (line.size as f64).ln()
            + calibration::OFFSET
            + calibration::AHEAD * (leads[0].max(0.0) + leads[1].max(0.0))
            + calibration::DISSENT * dissents
            + if exact { calibration::EXACT } else { 0.0 };
        Some(Best { control, probability: 1.0 / (1.0 + (-sure).exp()), explained: explained[control] })
    }
}

/// How far a control is ahead of the best of the others that may be meant; below 0 when it is not.
fn lead(scores: &[f64], meant: &[bool], control: usize) -> f64 {
    let others = (0..scores.len()).filter(|other| *other != control && meant[*other]);
    scores[control] - others.map(|other| scores[other]).fold(0.0, f64::max)
}
