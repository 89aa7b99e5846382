//! From a line of a checklist to the words that carry its meaning.

use std::{collections::HashMap, collections::HashSet, sync::LazyLock};

use regex::{Regex, RegexSet};
use rust_stemmers::{Algorithm, Stemmer};

/// Words that say nothing about *what* is asked for.
const FILLER: &str = "a an the of for to in on at by with from and or as is are be been it its this that these those all any each every our \
    your we you i their they add added adding set setup up implement implemented implementing implementation configure \
    configured configuring ensure ensured enable enabled enabling verify verified make sure create created use used using \
    have has had do does done not no none missing need needs needed must should shall can cannot can't don't doesn't lack \
    lacks lacking without properly proper correct correctly appropriate e.g eg etc i.e ie via per when where if then than so \
    only also more most other another into out over todo tbd completed complete critical important priority optional \
    recommended nice high medium low basic full consider review check checks introduce provide support improve improved \
    improving currently exist exists existing before after must-have new first";

/// Different spellings and short forms of one word.
const SAME: &[(&str, &str)] = &[
    ("db", "database"),
    ("auth", "authentication"),
    ("authn", "authentication"),
    ("authz", "authorization"),
    ("docs", "documentation"),
    ("doc", "documentation"),
    ("document", "documentation"),
    ("documented", "documentation"),
    ("env", "environment"),
    ("envs", "environment"),
    ("config", "configuration"),
    ("configs", "configuration"),
    ("deps", "dependencies"),
    ("perf", "performance"),
    ("postgresql", "postgres"),
    ("k8s", "kubernetes"),
    ("repo", "repository"),
    ("sec", "security"),
    ("e2e", "endtoend"),
    ("ssl", "tls"),
    ("vars", "variables"),
    ("var", "variables"),
    ("prod", "production"),
    ("msg", "message"),
    ("logs", "logging"),
    ("log", "logging"),
    ("backups", "backup"),
    ("tests", "test"),
    ("testing", "test"),
    ("tested", "test"),
    ("auto", "automatic"),
    ("automated", "automatic"),
    ("automate", "automatic"),
    ("automation", "automatic"),
    ("automatically", "automatic"),
];

/// Terms of several words, or with signs, brought to one spelling before the line is cut into words.
const TERMS: &[(&str, &str)] = &[
    (r"\bend[- ]to[- ]end\b", "e2e"),
    (r"\bci\s*/\s*cd\b", "cicd"),
    (r"\.env\b", " dotenv "),
    (r"\bfront[- ]end\b", "frontend"),
    (r"\bback[- ]end\b", "backend"),
    (r"\bpre[- ]commit\b", "precommit"),
    (r"\bblue[-/ ]green\b", "bluegreen"),
    (r"\bback[- ]?up", "backup"),
    (r"\broll(?:ed)?[- ]?back", "rollback"),
    (r"\bmulti[- ]", "multi"),
    (r"\bon[- ]call\b", "oncall"),
    (r"\bauto[- ]scal", "autoscal"),
    (r"\brate[- ]limit", "rate limit"),
    (r"\bload[- ]balanc", "load balanc"),
    (r"\bread[- ]replica", "read replica"),
    (r"\bfail[- ]?over", "failover"),
    (r"\bhealth[- ]?check", "health check"),
    (r"\bdata ?base", "database"),
    (r"\brun ?book", "runbook"),
    (r"\bhard[- ]?cod", "hardcod"),
];

static REPLACEMENTS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
    TERMS.iter().map(|(term, plain)| (Regex::new(term).expect("the pattern is valid"), *plain)).collect()
});
/// Which of them are in a text at all, in one look.
static PRESENT: LazyLock<RegexSet> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
    RegexSet::new(TERMS.iter().map(|(term, _)| term)).expect("the patterns are valid")
});
static FILLER_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| FILLER.split_whitespace().collect());
static SAME_WORDS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| SAME.iter().copied().collect());
static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// Stems of the words that carry meaning, in their order, repeats included.
pub(super) fn stems(text: &str) -> Vec<String> {
    words(text).iter().map(|word| stem(word)).collect()
}

/// The words that carry meaning, not yet stemmed.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut text = text.to_lowercase().replace('’', "'");
    for index in PRESENT.matches(&text) {
        let (term, plain) = &REPLACEMENTS[index];
        text = term.replace_all(&text, *plain).into_owned();
    }
    let in_word = |character: char| character.is_ascii_alphanumeric() || character == '\'' || character == '_';
    text.split(|character| !in_word(character))
        .map(|word| word.trim_matches(['\'', '_']))
        .flat_map(|word| word.split('_'))
        .filter(|word| !word.is_empty() && !word.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|word| !FILLER_WORDS.contains(word))
        .map(str::to_owned)
        .collect()
}

/// One word's stem, the same for all its spellings.
pub(super) fn stem(word: &str) -> String {
    STEMMER.stem(SAME_WORDS.get(word).unwrap_or(&word)).into_owned()
}

/// How many letters of a word are its beginning: enough to tell most words apart, and few enough for what a stemmer takes
/// for different words (*containerised* and *container*, *anonymise* and *anonymous*).
const BEGINNING: usize = 4;

/// The beginning of a word, or the whole of a short one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Beginning {
    letters: [u8; BEGINNING],
    whole: bool,
}

/// Beginnings of all words in their order. Those that only hold a sentence together are among them, and numbers: together
/// they tell what a line is like (`no`, `429`). `camelCase` is two words.
pub(super) fn beginnings(text: &str) -> Vec<Beginning> {
    let (mut all, mut word, mut length, mut was_small) = (Vec::new(), [0_u8; BEGINNING], 0_usize, false);
    for byte in text.bytes().chain([b' ']) {
        if length > 0 && (!byte.is_ascii_alphanumeric() || (was_small && byte.is_ascii_uppercase())) {
            all.push(Beginning { letters: word, whole: length <= BEGINNING });
            (word, length) = ([0; BEGINNING], 0);
        }
        if byte.is_ascii_alphanumeric() {
            if let Some(letter) = word.get_mut(length) {
                *letter = byte.to_ascii_lowercase();
            }
            length += 1;
        }
        was_small = byte.is_ascii_lowercase() || byte.is_ascii_digit();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_thing_are_one_word() {
        assert_eq!(stems("Set up CI/CD"), stems("cicd"));
        assert_eq!(stems("End-to-end tests"), stems("E2E testing"));
        assert_eq!(stems("No rate-limiting!"), stems("**Rate limiting**"));
        assert_eq!(stems("`pool_size=20`"), stems("pool size"));
        assert_eq!(stems("Automated DB back-ups"), stems("automatic database backup"));
        assert!(stems("Add a new one (1)").len() == 1);
    }

    #[test]
    fn words_of_one_family_begin_alike() {
        assert_eq!(beginnings("Containerised database"), beginnings("container databases"));
        assert_eq!(beginnings("bodyLimit = 429"), beginnings("body LIMIT: 429"));
        assert_ne!(beginnings("cont"), beginnings("container"), "a short word is not the beginning of a long one");
        assert_eq!(beginnings("  "), []);
    }
}
