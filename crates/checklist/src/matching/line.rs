//! A line of a list, cut up to be held against the catalogue: what names the thing, what explains it, what stands around it.

use std::collections::{BTreeMap, BTreeSet};

use super::{texts::Texts, words::stems};

/// Of a word of what explains a line, against one of what names it.
const EXPLANATION: f64 = 0.7;
/// More of a line is not looked at: no team writes such a line, and it must not hold up the others.
const LONGEST: usize = 2000;

/// A line, ready to be scored.
#[derive(Debug)]
pub(super) struct Line {
    /// Strength by stem, of those that the catalogue knows.
    pub own: BTreeMap<usize, f64>,
    /// Sum of the strengths of the other stems.
    pub unknown: f64,
    /// Known stems of the section and the parent.
    pub context: BTreeSet<usize>,
    /// How many others there are.
    pub context_unknown: f64,
    /// How many different stems it has.
    pub size: usize,
    /// Known and unknown (`None`) stems of the line in their order.
    pub sequence: Vec<Option<usize>>,
}

impl Line {
    pub(super) fn new(texts: &Texts, text: &str, section: &str, parent: &str) -> Self {
        let (text, parent) = (head(text), head(parent));
        let (name, explanation) = split_name(text);
        let (name, in_brackets) = split_brackets(&name);
        let (explanation, more_brackets) = split_brackets(&explanation);
        let mut strengths = BTreeMap::new();
        for stem in [explanation, in_brackets, more_brackets].iter().flat_map(|text| stems(text)) {
            strengths.insert(stem, EXPLANATION);
        }
        for stem in stems(&name) {
            strengths.insert(stem, 1.0);
        }
        let size = strengths.len();
        let (mut own, mut unknown) = (BTreeMap::new(), 0.0);
        for (stem, strength) in strengths {
            match texts.number(&stem) {
                Some(number) => drop(own.insert(number, strength)),
                None => unknown += strength,
            }
        }
        let around: BTreeSet<String> = stems(section).into_iter().chain(stems(parent)).collect();
        let context: BTreeSet<usize> = around.iter().filter_map(|stem| texts.number(stem)).collect();
        let context_unknown = (around.len() - context.len()) as f64;
        let sequence = stems(text).iter().map(|stem| texts.number(stem)).collect();
        Self { own, unknown, context, context_unknown, size, sequence }
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
