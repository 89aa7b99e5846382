//! The catalogue as an index, and the score of a line.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use regex::Regex;

use super::words::stems;
use crate::{
    catalogue::Catalogue,
    list::{Checklist, Damage, Form, Item},
};

/// What a line means.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The control; `None` when nothing fits well enough.
    pub control: Option<String>,
    /// Further controls that a composite line asks for.
    pub also: Vec<String>,
    /// From 0 to 1.
    pub confidence: f64,
    /// Parts of it (items below it) that no control explains: it cannot be closed while there are any.
    pub not_understood: Vec<String>,
}

/// Finds controls for lines. Building it takes a few milliseconds; keep it.
#[derive(Debug)]
pub struct Matcher {
    ids: Vec<String>,
    /// Controls that have a probe.
    provable: Vec<String>,
    phrases: Vec<Phrase>,
    /// Phrases by stem.
    postings: HashMap<String, Vec<usize>>,
    rarity: HashMap<String, f64>,
    unknown: f64,
    /// All words of each control, as a unit vector.
    vectors: Vec<HashMap<String, f64>>,
}

#[derive(Debug)]
struct Phrase {
    control: usize,
    stems: Vec<String>,
}

/// Weights, chosen on lines that the phrases were not made from (each line judged without the phrases that resemble it).
mod weight {
    /// Of what explains a line, against what names it.
    pub const EXPLANATION: f64 = 0.7;
    /// Of a word that stands only in the section or the parent.
    pub const CONTEXT: f64 = 0.2;
    /// Of a word that no control knows.
    pub const UNKNOWN: f64 = 0.5;
    /// Exponent of how much of the line the phrase explains.
    pub const COVERAGE: f64 = 0.8;
    /// Of all the control's words, against its best phrase.
    pub const VOCABULARY: f64 = 0.45;
    /// Brings the similarity of vocabularies to the scale of phrases.
    pub const VOCABULARY_SCALE: f64 = 2.0;
}

/// Less is unmatched.
const THRESHOLD: f64 = 0.42;
/// The same for a control that has a probe.
const PROVABLE_THRESHOLD: f64 = 0.5;
/// The next control must be this much worse.
const MARGIN: f64 = 0.008;
/// A part of a line names a further control from here on.
const COMPOSITE: f64 = 0.65;
/// A line that says that the thing is not wanted asks for nothing.
static REFUSED: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(r"(?i)\b(?:not (?:needed|required|applicable|necessary)|n/a)\b|^~~.*~~$").expect("the pattern is valid")
});
/// The control of lines whose text is damaged.
const DAMAGED: &str = "process.damaged-item";

impl Matcher {
    /// An index of the catalogue; `provable` are the controls that have a probe.
    pub fn new(catalogue: &Catalogue, provable: &[&str]) -> Self {
        let mut phrases = Vec::new();
        let mut counts: Vec<BTreeMap<String, usize>> = Vec::new();
        let mut controls_with: HashMap<String, HashSet<usize>> = HashMap::new();
        for (index, control) in catalogue.controls().iter().enumerate() {
            let mut count = BTreeMap::new();
            for text in control.phrases.iter().chain([&control.title]) {
                let mut stems = stems(text);
                stems.sort_unstable();
                stems.dedup();
                for stem in &stems {
                    *count.entry(stem.clone()).or_insert(0) += 1;
                    controls_with.entry(stem.clone()).or_default().insert(index);
                }
                if !stems.is_empty() {
                    phrases.push(Phrase { control: index, stems });
                }
            }
            counts.push(count);
        }
        let total = catalogue.controls().len() as f64;
        let rarity: HashMap<String, f64> =
            controls_with.into_iter().map(|(stem, with)| (stem, (1.0 + total / with.len() as f64).ln())).collect();
        let mut postings: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, phrase) in phrases.iter().enumerate() {
            for stem in &phrase.stems {
                postings.entry(stem.clone()).or_default().push(index);
            }
        }
        let vectors = counts.iter().map(|count| unit_vector(count, &rarity)).collect();
        let ids = catalogue.controls().iter().map(|control| control.id.clone()).collect();
        let provable = provable.iter().map(|id| (*id).to_owned()).collect();
        Self { ids, provable, phrases, postings, rarity, unknown: (1.0 + total).ln() * weight::UNKNOWN, vectors }
    }

    /// What each item of a checklist means, in their order.
    pub fn checklist(&self, checklist: &Checklist) -> Vec<Match> {
        checklist.items.iter().map(|item| self.item(item, &checklist.items)).collect()
    }

    fn item(&self, item: &Item, all: &[Item]) -> Match {
        if item.damage == Some(Damage::CutOff) && item.form == Form::Checkbox {
            return Match {
                control: Some(DAMAGED.into()),
                also: Vec::new(),
                confidence: 1.0,
                not_understood: Vec::new(),
            };
        }
        if REFUSED.is_match(&item.text) {
            return Match { control: None, also: Vec::new(), confidence: 0.0, not_understood: Vec::new() };
        }
        let section = item.section.last().map(String::as_str).unwrap_or_default();
        let parent =
            item.parent.and_then(|index| all.get(index)).map(|parent| parent.text.as_str()).unwrap_or_default();
        let ranked = self.rank(&Query::new(self, &item.text, section, parent));
        let (best, second) = (ranked.first(), ranked.get(1).map_or(0.0, |(score, _)| *score));
        match best {
            Some((score, control)) if *score >= self.threshold(*control) && score - second >= MARGIN => {
                let id = self.ids[*control].clone();
                Match {
                    also: self.further(&item.text, section, &id),
                    control: Some(id),
                    confidence: round(*score),
                    not_understood: Vec::new(),
                }
            }
            best => Match {
                control: None,
                also: Vec::new(),
                confidence: round(best.map_or(0.0, |(score, _)| *score)),
                not_understood: Vec::new(),
            },
        }
    }

    /// A control that can be proven needs a surer match: a wrong tick costs more than a line that stays open.
    fn threshold(&self, control: usize) -> f64 {
        if self.provable.contains(&self.ids[control]) { PROVABLE_THRESHOLD } else { THRESHOLD }
    }

    /// Controls that single parts of a composite line name on their own.
    fn further(&self, text: &str, section: &str, first: &str) -> Vec<String> {
        static JOINT: LazyLock<Regex> = LazyLock::new(|| {
            #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
            Regex::new(r"\s+(?:&|and|\+|plus)\s+|[,;/()]|\s[-–—]\s").expect("the pattern is valid")
        });
        let parts: Vec<&str> = JOINT.split(text).filter(|part| !stems(part).is_empty()).collect();
        if parts.len() < 2 {
            return Vec::new();
        }
        let mut also = Vec::new();
        for part in parts {
            let ranked = self.rank(&Query::new(self, part, section, ""));
            if let Some((score, control)) = ranked.first()
                && *score >= COMPOSITE
                && self.ids[*control] != first
                && !also.contains(&self.ids[*control])
            {
                also.push(self.ids[*control].clone());
            }
        }
        also
    }

    /// Controls by score, best first.
    fn rank(&self, query: &Query) -> Vec<(f64, usize)> {
        let mut phrase_scores: HashMap<usize, f64> = HashMap::new();
        let candidates: HashSet<usize> =
            query.own.keys().filter_map(|stem| self.postings.get(stem)).flatten().copied().collect();
        for phrase in candidates.into_iter().map(|index| &self.phrases[index]) {
            let score = self.phrase_score(phrase, query);
            let best = phrase_scores.entry(phrase.control).or_insert(0.0);
            *best = best.max(score);
        }
        let mut ranked: Vec<(f64, usize)> = (0..self.ids.len())
            .filter_map(|control| {
                let vocabulary: f64 = query
                    .vector
                    .iter()
                    .map(|(stem, value)| value * self.vectors[control].get(stem).unwrap_or(&0.0))
                    .sum();
                let vocabulary = (vocabulary * weight::VOCABULARY_SCALE).min(1.0);
                let phrase = phrase_scores.get(&control).copied().unwrap_or(0.0);
                let score = phrase * (1.0 - weight::VOCABULARY) + vocabulary * weight::VOCABULARY;
                (score > 0.0).then_some((score, control))
            })
            .collect();
        ranked.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        ranked
    }

    /// How completely the phrase is in the line, times how much of the line it explains.
    fn phrase_score(&self, phrase: &Phrase, query: &Query) -> f64 {
        let (mut whole, mut found, mut explained) = (0.0, 0.0, 0.0);
        for stem in &phrase.stems {
            let rarity = self.rarity.get(stem).copied().unwrap_or_default();
            whole += rarity;
            if let Some(strength) = query.own.get(stem) {
                // A word that only explains the line is nearly as good a sign as one that names it.
                found += if *strength >= 1.0 { rarity } else { rarity * 0.9 };
                explained += rarity * strength;
            } else if query.context.contains(stem) {
                found += rarity * weight::CONTEXT;
            }
        }
        (found / whole) * (explained / query.total).min(1.0).powf(weight::COVERAGE)
    }
}

/// A line, ready to be held against phrases.
struct Query {
    /// Strength by stem of the line itself.
    own: BTreeMap<String, f64>,
    context: HashSet<String>,
    /// Sum over the line of strength times rarity.
    total: f64,
    vector: BTreeMap<String, f64>,
}

impl Query {
    fn new(matcher: &Matcher, text: &str, section: &str, parent: &str) -> Self {
        let (name, explanation) = split_name(text);
        let (name, in_brackets) = split_brackets(&name);
        let (explanation, more_brackets) = split_brackets(&explanation);
        let mut own = BTreeMap::new();
        for stem in [explanation, in_brackets, more_brackets].iter().flat_map(|text| stems(text)) {
            own.insert(stem, weight::EXPLANATION);
        }
        for stem in stems(&name) {
            own.insert(stem, 1.0);
        }
        let context: HashSet<String> = stems(section).into_iter().chain(stems(parent)).collect();
        let rarity = |stem: &String| matcher.rarity.get(stem).copied();
        let total: f64 = own.iter().map(|(stem, strength)| rarity(stem).unwrap_or(matcher.unknown) * strength).sum();
        let mut vector: BTreeMap<String, f64> =
            own.iter().map(|(stem, strength)| (stem.clone(), rarity(stem).unwrap_or(0.0) * strength)).collect();
        // In the order of the words, so that the same line always has the same score to the last digit.
        let mut ordered: Vec<&String> = context.iter().collect();
        ordered.sort_unstable();
        for stem in ordered {
            vector.entry(stem.clone()).or_insert_with(|| rarity(stem).unwrap_or(0.0) * weight::CONTEXT);
        }
        let length = vector.values().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        vector.values_mut().for_each(|value| *value /= length);
        Self { own, context, total: total.max(f64::MIN_POSITIVE), vector }
    }
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

fn unit_vector(count: &BTreeMap<String, usize>, rarity: &HashMap<String, f64>) -> HashMap<String, f64> {
    let value = |(stem, count): (&String, &usize)| {
        let rarity = rarity.get(stem).copied().unwrap_or_default();
        (stem.clone(), (1.0 + (*count as f64).ln()) * rarity)
    };
    let values: BTreeMap<String, f64> = count.iter().map(value).collect();
    let length = values.values().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    values.into_iter().map(|(stem, value)| (stem, value / length)).collect()
}

fn round(score: f64) -> f64 {
    (score.min(1.0) * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str) -> Vec<Match> {
        let checklist = Checklist::parse("list.md".into(), text.as_bytes().to_vec(), true);
        Matcher::new(Catalogue::built_in(), &[]).checklist(&checklist)
    }

    fn control(text: &str) -> Option<String> {
        matches(&format!("- [ ] {text}\n"))[0].control.clone()
    }

    #[test]
    fn lines_in_other_words_find_their_control() {
        let expect = [
            ("Traffic is served over TLS only, plain HTTP redirects", "edge.https-only"),
            ("We throttle abusive callers (429)", "protection.rate-limit"),
            ("The /metrics endpoint is not public", "observability.metrics-secured"),
            ("On SIGTERM, in-flight requests finish", "deploy.graceful-shutdown"),
            ("Backups have been restored in a drill", "data.restore-test"),
            ("There is a LICENSE", "docs.license"),
            ("A global error handler hides stack traces", "edge.api-error-handler"),
        ];
        for (text, wanted) in expect {
            assert_eq!(control(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn nonsense_and_damaged_lines_are_not_guessed() {
        assert_eq!(control("Buy cake for the party"), None);
        assert_eq!(control("Ask Bob about the thing"), None);
        assert_eq!(control("**Database bac").as_deref(), Some(DAMAGED));
    }

    #[test]
    fn a_composite_line_names_all_its_controls() {
        let found = &matches("- [ ] Rate limiting and CORS and structured logging\n")[0];
        let all: Vec<&str> = found.control.iter().chain(&found.also).map(String::as_str).collect();
        for wanted in ["protection.rate-limit", "edge.cors", "observability.structured-logs"] {
            assert!(all.contains(&wanted), "{all:?}");
        }
    }
}
