//! Texts that cannot be trusted as they stand: cut off, spliced, said twice, or against each other. Shown, never guessed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
};

use regex::Regex;
use serde::Serialize;

use super::{Form, Item, claims::Claim};
use crate::catalogue::Catalogue;

/// What happened to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// It ends in the middle of bold text.
    CutOff,
    /// Two texts were run together in the middle of a word.
    Spliced,
    /// It seems to end in the middle of a word; it may also be a name that we do not know.
    CutWord,
}

impl Damage {
    /// Whether nothing may be read into the text. A word that only seems to be cut does not hide what the others say.
    pub fn hides_the_meaning(self) -> bool {
        matches!(self, Self::CutOff | Self::Spliced)
    }
}

/// What is odd about an item beside others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// The same text stands in this line already.
    Duplicate(usize),
    /// The same text stands in this line with another tick.
    Contradicts(usize),
    /// The text says another state than the box.
    TextDisagrees,
}

/// `integratiLogging`: a capital inside a word.
static JOINED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([A-Z]?[a-z]{4,})([A-Z][a-z]{3,})$"));
static CODE: LazyLock<Regex> = LazyLock::new(|| pattern(r"`[^`]*`"));
/// What the catalogue's authors write, whole words in lower case.
static WORDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let of = |text: &str| -> Vec<String> { words(text).map(str::to_lowercase).collect() };
    let controls = Catalogue::built_in().controls().iter();
    controls
        .flat_map(|control| {
            control.phrases.iter().chain([&control.title, &control.means, &control.advice]).flat_map(|text| of(text))
        })
        .collect()
});

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
    Regex::new(text).expect("the pattern is valid")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// What is wrong with a single text.
pub(super) fn of_text(text: &str) -> Option<Damage> {
    // Bold text that opens and never closes was cut; code may hold anything.
    let bold = text.split('`').step_by(2).map(|piece| piece.matches("**").count()).sum::<usize>();
    if bold % 2 == 1 {
        return Some(Damage::CutOff);
    }
    let plain = CODE.replace_all(text, "");
    if words(&plain).any(is_spliced) {
        return Some(Damage::Spliced);
    }
    let name = plain.split('(').next().unwrap_or_default();
    let last = words(name).last().filter(|last| name.trim_end().ends_with(last))?;
    (words(name).count() <= 3 && is_cut(last)).then_some(Damage::CutWord)
}

/// Whether a word is one word's beginning and another one's whole.
fn is_spliced(word: &str) -> bool {
    let Some(found) = JOINED.captures(word) else { return false };
    let half = |index: usize| found.get(index).map_or(String::new(), |half| half.as_str().to_lowercase());
    !WORDS.contains(&word.to_lowercase()) && is_cut(&half(1)) && WORDS.contains(&half(2))
}

/// Whether a word is no word, but begins one that is at least two letters longer.
fn is_cut(word: &str) -> bool {
    let word = word.to_lowercase();
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) || WORDS.contains(&word) {
        return false;
    }
    let longer = WORDS.range(word.clone()..).take_while(|other| other.starts_with(&word));
    longer.map(String::len).any(|length| length >= word.len() + 2)
}

/// Marks items that say the same as an earlier one, or another state than their own text.
pub(super) fn compare(items: &mut [Item]) {
    let mut first: HashMap<(String, Option<String>), usize> = HashMap::new();
    for index in 0..items.len() {
        let item = &items[index];
        let mut notes = Vec::new();
        if item.form == Form::Checkbox
            && matches!((item.ticked, item.claim), (false, Some(Claim::Done)) | (true, Some(Claim::Open)))
        {
            notes.push(Note::TextDisagrees);
        }
        if let Some(key) = key(item, items) {
            match first.get(&key).map(|other| &items[*other]) {
                None => drop(first.insert(key, index)),
                Some(other) if other.ticked != item.ticked && other.form == item.form => {
                    notes.push(Note::Contradicts(other.line));
                }
                Some(other) => notes.push(Note::Duplicate(other.line)),
            }
        }
        items[index].notes = notes;
    }
}

/// What two items share that say the same: a long text alone, a short one with what it stands under.
fn key(item: &Item, items: &[Item]) -> Option<(String, Option<String>)> {
    let said: Vec<String> = words(&item.text).map(str::to_lowercase).collect();
    let parent = item.parent.and_then(|parent| items.get(parent)).map(|parent| parent.text.as_str());
    let place = || format!("{} {}", item.section.join("/"), parent.unwrap_or_default());
    (!said.is_empty()).then(|| (said.join(" "), (said.len() < 4).then(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_texts_are_known_and_names_are_not_taken_for_them() {
        assert_eq!(of_text("**Backups are"), Some(Damage::CutOff));
        assert_eq!(of_text("Add integratiLogging"), Some(Damage::Spliced));
        assert_eq!(of_text("Confi (optional)"), Some(Damage::CutWord));
        for text in [
            "Use OpenTelemetry",
            "CloudFront in front",
            "`integratiLogging`",
            "Add localStorage quota",
            "PagerDuty",
            "Configure Redis",
            "TypeScript",
            "JavaScript bundle",
            "Enable CORS",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }
}
