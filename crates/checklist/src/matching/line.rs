//! A line of a list, cut up to be held against the catalogue: what names the thing, what explains it, what stands around it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    texts::Texts,
    words::{beginnings, stems},
};

/// Of a word of what explains a line, against one of what names it.
const EXPLANATION: f64 = 0.7;
/// More of a line is not looked at: no team writes such a line, and it must not hold up the others.
const LONGEST: usize = 2000;

/// What is said, and how strongly.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Strength by number, of what the catalogue knows.
    pub known: BTreeMap<usize, f64>,
    /// Sum of the strengths of everything else.
    pub unknown: f64,
}

impl Words {
    /// The strongest of what is said more than once counts.
    fn new(said: impl IntoIterator<Item = (Option<usize>, f64)>) -> Self {
        let mut words = Self::default();
        for (number, strength) in said {
            match number {
                Some(number) => {
                    let known = words.known.entry(number).or_insert(strength);
                    *known = known.max(strength);
                }
                None => words.unknown += strength,
            }
        }
        words
    }
}

/// A line, ready to be scored.
#[derive(Debug)]
pub(super) struct Line {
    /// Its stems.
    pub own: Words,
    /// Its words' beginnings.
    pub beginnings: Words,
    /// Stems of the section and the parent.
    pub context: Words,
    /// How many different stems it has.
    pub size: usize,
    /// Known and unknown (`None`) stems of the line in their order.
    pub sequence: Vec<Option<usize>>,
    /// Known beginnings of the line in their order.
    pub begun: Vec<usize>,
}

impl Line {
    pub(super) fn new(texts: &Texts, text: &str, section: &str, parent: &str) -> Self {
        let (text, parent) = (head(text), head(parent));
        let (name, explanation) = split_name(text);
        let (name, in_brackets) = split_brackets(&name);
        let (explanation, more_brackets) = split_brackets(&explanation);
        let pieces =
            [(&explanation, EXPLANATION), (&in_brackets, EXPLANATION), (&more_brackets, EXPLANATION), (&name, 1.0)];
        let mut strengths = BTreeMap::new();
        for (piece, strength) in pieces {
            strengths.extend(stems(piece).into_iter().map(|stem| (stem, strength)));
        }
        let size = strengths.len();
        let own = Words::new(strengths.iter().map(|(stem, strength)| (texts.number(stem), *strength)));
        let begun = |(piece, strength): (&String, f64)| {
            beginnings(piece).into_iter().map(move |beginning| (texts.begun(beginning), strength))
        };
        let beginnings_said = Words::new(pieces.into_iter().flat_map(begun));
        let around: BTreeSet<String> = stems(section).into_iter().chain(stems(parent)).collect();
        let context = Words::new(around.iter().map(|stem| (texts.number(stem), 1.0)));
        let sequence = stems(text).iter().map(|stem| texts.number(stem)).collect();
        let begun = beginnings(text).into_iter().filter_map(|beginning| texts.begun(beginning)).collect();
        Self { own, beginnings: beginnings_said, context, size, sequence, begun }
    }
}

fn head(text: &str) -> &str {
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end])
}

/// `**Name** - what it is about` or `Name: what it is about`.
fn split_name(text: &str) -> (String, String) {
    let plain = text.replace(['*', '`'], "");
    let cut = [" - ", " – ", " — ", ": "].iter().filter_map(|mark| plain.find(mark).map(|at| (at, mark.len()))).min();
    match cut {
        Some((at, length)) => (plain[..at].to_owned(), plain[at + length..].to_owned()),
        None => (plain, String::new()),
    }
}

/// The text without what is in brackets, and that.
fn split_brackets(text: &str) -> (String, String) {
    let (mut outside, mut inside, mut depth) = (String::new(), String::new(), 0_usize);
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(character),
            _ => inside.push(character),
        }
        if matches!(character, '(' | ')') {
            outside.push(' ');
            inside.push(' ');
        }
    }
    (outside, inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_line_is_told_from_its_explanation() {
        assert_eq!(split_name("**CORS** - an allow-list"), ("CORS".into(), "an allow-list".into()));
        assert_eq!(split_name("no explanation"), ("no explanation".into(), String::new()));
        assert_eq!(split_brackets("tracing (Jaeger) on"), ("tracing    on".into(), " Jaeger ".into()));
        assert_eq!(head(&"é".repeat(3000)).chars().count(), LONGEST);
    }
}
