//! Whether a text that stands where a secret would stand is one: no word for one, no reference to one, no example.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use regex::Regex;

use super::words::WORDS;

/// How much a value looks like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// A placeholder, a reference, a word.
    None,
    /// What a person may have thought up.
    Human,
    /// Long and mixed, but with words in it.
    Mixed,
    /// What only a generator makes.
    Random,
}

static IDENTIFIER_PATH: LazyLock<Regex> =
    LazyLock::new(|| constant(r"^[A-Za-z_$][A-Za-z_0-9$]*(?:(?:\.|::|->|\?\.)[A-Za-z_$][A-Za-z_0-9$]*)+;?$"));
/// `scrypt_sha256_str_verify`.
static SNAKE: LazyLock<Regex> = LazyLock::new(|| constant(r"^[a-z][a-z0-9]+(?:_[a-z][a-z0-9]*){2,}$"));
static UUID: LazyLock<Regex> =
    LazyLock::new(|| constant(r"(?i)^[A-Z_]{0,8}\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?$"));
static DATE_OR_VERSION: LazyLock<Regex> =
    LazyLock::new(|| constant(r"^[vV^~><=]*\d+(?:[.:/-]\d+)+[a-zA-Z0-9.+-]{0,12}$|^[\d._,:-]+[a-zA-Z%]{0,3}$"));

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
pub(in crate::secrets) fn constant(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is valid")
}

/// Bits for each character.
pub(super) fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    value.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = value.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / length);
    shares.map(|share| -share * share.log2()).sum()
}

/// What a value looks like.
pub(super) fn strength(value: &str) -> Strength {
    let length = value.chars().count();
    if !(6..=4096).contains(&length) || is_no_value(value) || is_obvious(value) || is_published(value) {
        return Strength::None;
    }
    let bits = entropy(value.as_bytes());
    let (lower, upper, digit, special) = kinds(value);
    let kinds = [lower, upper, digit, special].iter().filter(|count| **count > 0).count();
    let hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let worded = share_of_words(value);
    if hex {
        return match length {
            16.. if digit > 0 && lower + upper > 1 && bits > 2.8 => Strength::Random,
            8..16 if digit > 0 && lower + upper > 0 && bits > 2.5 => Strength::Human,
            _ => Strength::None,
        };
    }
    let random_letters = upper > 2 && lower > 2 && worded < 0.35 && switches(value) * 3 > length;
    if length >= 16 && bits > 3.3 && worded < 0.6 && ((digit > 0 && kinds > 1) || random_letters) {
        return Strength::Random;
    }
    // Lower case and digits alone read like names of things: `http2-client`, `utf8mb4_general`.
    if length >= 12 && bits > 3.0 && worded < 0.7 && digit > 0 && lower + upper > 0 && !is_named_thing(value) {
        return Strength::Mixed;
    }
    let thought_up = length >= 8 && bits > 2.5 && digit > 0 && kinds >= 2 && lower + upper > 1;
    let with_sign = length >= 8 && bits > 2.7 && special > 0 && kinds >= 3;
    if length >= 10 && random_letters {
        return Strength::Human;
    }
    let unlike_a_name = digit > 1 && upper > 0 && lower > 0 && special > 0;
    match (thought_up || with_sign) && (unlike_a_name || !is_named_thing(value)) {
        true => Strength::Human,
        false => Strength::None,
    }
}

/// How many lower-case and upper-case letters, digits, and others.
fn kinds(value: &str) -> (usize, usize, usize, usize) {
    let count = |fits: fn(&char) -> bool| value.chars().filter(fits).count();
    let (lower, upper) = (count(char::is_ascii_lowercase), count(char::is_ascii_uppercase));
    let digit = count(char::is_ascii_digit);
    (lower, upper, digit, value.chars().count() - lower - upper - digit)
}

/// How often the kind of character changes.
fn switches(value: &str) -> usize {
    let kind = |byte: u8| (byte.is_ascii_lowercase(), byte.is_ascii_uppercase(), byte.is_ascii_digit());
    value.as_bytes().windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count()
}

/// A reference, code, or a thing of another kind.
fn is_no_value(value: &str) -> bool {
    let lower = value.to_lowercase();
    WORDS.references.iter().any(|start| value.starts_with(start.as_str()))
        || WORDS.no_value.iter().any(|piece| lower.contains(piece.as_str()))
        || value.contains(char::is_whitespace)
        || (value.ends_with('=') && share_of_words(value) > 0.5)
        || value.contains("()")
        || value.ends_with([':', '(', '{', '['])
        || (value.contains('(') && value.ends_with(')'))
        || (value.contains('[') && value.ends_with(']'))
        || (IDENTIFIER_PATH.is_match(value) && (share_of_words(value) > 0.3 || switches(value) * 3 < value.len()))
        || SNAKE.is_match(value)
        || UUID.is_match(value)
        || DATE_OR_VERSION.is_match(value)
        || !value.is_ascii()
        || value.chars().any(char::is_control)
}

/// Pieces of keys that are printed in documentation.
static PUBLISHED: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("published.txt").lines().filter(|line| !line.starts_with('#')).collect());

/// Whether it is an example that everybody has.
pub(super) fn is_published(value: &str) -> bool {
    PUBLISHED.iter().any(|piece| value.contains(piece))
}

/// Whether what stands behind a vendor's letters is no random text: an example is written like one.
pub(super) fn is_made_up(value: &str) -> bool {
    let lower = value.to_lowercase();
    let apart = |word: &str| ["test", "your", "mock", "here", "demo", "todo"].contains(&word);
    is_regular(value.as_bytes())
        || WORDS.made_up.iter().any(|piece| lower.contains(piece.as_str()))
        || lower.split(['-', '_', '.']).any(apart)
        || (value.len() >= 20 && share_of_words(value) > 0.6)
}

/// What people write so that everybody sees that it is none: words for one, sequences, repetitions.
pub(super) fn is_obvious(value: &str) -> bool {
    if is_regular(value.as_bytes()) {
        return true;
    }
    let short = value.len() < 20;
    let is_word = |word: &str| WORDS.placeholders.contains(word) || (short && WORDS.short_placeholders.contains(word));
    // `P4ssw0rd` is written with digits, `superSecret` without a blank.
    let apart = |text: &str| {
        let parts = text.split(|character: char| !character.is_ascii_alphabetic()).map(str::to_lowercase);
        // In a long random value four letters come to make a word by chance.
        words(text).filter(|word| short || word.len() > 4).chain(parts).collect::<Vec<_>>()
    };
    apart(value).iter().chain(&apart(&without_leet(value))).any(|word| is_word(word))
        || [
            "password",
            "changeme",
            "example",
            "p4ssw",
            "passw0rd",
            "pa55w",
            "s3cr3t",
            "s3cret",
            "secr3t",
            "dummy",
            "placeholder",
        ]
        .iter()
        .any(|piece| value.to_lowercase().contains(piece))
}

/// A sequence, a repetition, or few characters.
fn is_regular(bytes: &[u8]) -> bool {
    let steps = |step: i16| longest_run(bytes, |one, next| i16::from(next) - i16::from(one) == step);
    let distinct = bytes.iter().collect::<std::collections::BTreeSet<_>>().len();
    let hex = bytes.iter().all(u8::is_ascii_hexdigit);
    if steps(1) >= 5 || steps(-1) >= 6 || steps(0) >= if hex { 6 } else { 5 } || distinct < 5 {
        return true;
    }
    (bytes.len() >= 16 && distinct < 8) || is_repeated(bytes)
}

/// `abcabcabc`.
fn is_repeated(bytes: &[u8]) -> bool {
    (1..=bytes.len() / 2)
        .filter(|size| *size <= 12 && bytes.len() >= size * 2)
        .any(|size| bytes.len() >= 8 && bytes.iter().zip(bytes.iter().skip(size)).all(|(one, next)| one == next))
}

fn longest_run(bytes: &[u8], follows: impl Fn(u8, u8) -> bool) -> usize {
    let (mut longest, mut run) = (1, 1);
    for pair in bytes.windows(2) {
        run = if pair[0].is_ascii_alphanumeric() && follows(pair[0], pair[1]) { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    longest
}

/// Words of a name or value: apart at everything that is no letter, and where small letters end.
pub(super) fn words(value: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    let characters: Vec<char> = value.chars().collect();
    for (at, character) in characters.iter().enumerate() {
        let starts = character.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || (before.is_ascii_uppercase() && characters.get(at + 1).is_some_and(char::is_ascii_lowercase)));
        if starts || !character.is_ascii_alphabetic() {
            words.push(String::new());
        }
        if character.is_ascii_alphabetic() {
            words.last_mut().into_iter().for_each(|word| word.push(character.to_ascii_lowercase()));
        }
        before = *character;
    }
    words.into_iter().filter(|word| !word.is_empty())
}

fn without_leet(value: &str) -> String {
    let plain = |character: char| match character {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other.to_ascii_lowercase(),
    };
    value.chars().map(plain).collect()
}

/// Which share of a value is made of runs that can be spoken: four letters or more of one case, with vowels at least every
/// third.
fn share_of_words(value: &str) -> f64 {
    let spoken = |word: &String| {
        let vowels = word.bytes().filter(|byte| b"aeiouy".contains(byte)).count();
        word.len() >= 4 && vowels * 4 >= word.len() && vowels < word.len()
    };
    let letters: usize = words(value).filter(spoken).map(|word| word.len()).sum();
    letters as f64 / value.len().max(1) as f64
}

/// `http2-client`, `oauth2_token`, `Sha256`, `md5sum`: words with a number in or behind them.
fn is_named_thing(value: &str) -> bool {
    let parts = value.split(|character: char| !character.is_ascii_alphanumeric());
    let is_word = |part: &str| {
        let letters = part.trim_end_matches(|character: char| character.is_ascii_digit());
        let number = part.len() - letters.len();
        let spoken = letters.bytes().any(|byte| b"aeiouyAEIOUY".contains(&byte));
        letters.bytes().all(|byte| byte.is_ascii_alphabetic())
            && number <= 3
            && (letters.len() >= 2 && (spoken || letters.len() <= 5) || part.len() < 4)
    };
    let signs = value.chars().all(|character| character.is_ascii_alphanumeric() || "-_.:/+ ".contains(character));
    let one_case =
        !value.bytes().any(|byte| byte.is_ascii_uppercase()) || !value.bytes().any(|byte| byte.is_ascii_lowercase());
    let several = value.contains(['-', '_', '.', ':', '/']);
    signs
        && (several || one_case)
        && parts.clone().all(is_word)
        && parts.clone().count() <= 12
        && (several || value.len() < 12)
}

/// What base64 hides, when it is a text.
pub(super) fn decoded(value: &str) -> Option<String> {
    let bytes = STANDARD_NO_PAD.decode(value.trim_end_matches('=')).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.chars().all(|character| !character.is_control() || character == '\n').then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret() {
        for value in [
            "changeme",
            "your-key-here",
            "${SECRET_KEY}",
            "aaaaaaaaaaaa",
            "P4ssw0rd!",
            "s3cr3tP@ss",
            "1234567890",
            "abcdefgh12",
            "hunter2hunter2",
            "config.get",
            "user_password_reset",
            "http2-client",
            "2024-01-02",
            "1.2.3-beta4",
            "550e8400-e29b-41d4-a716-446655440000",
            "sha256-abcdef0123",
            "$2b$10$abcdefghijklmnopqrstuv",
            "required|min:8",
            "test-token-91xk",
            "0123456789abcdef0123456789abcdef",
            "settings.SECRET_1",
            "self.token",
            "deadbeefdeadbeefdeadbeef",
            "/run/secrets/db1",
            "https://id.internal/token2",
            "[A-Za-z0-9]{8}",
            "CSRFToken",
            "refreshToken2",
            "X-Api-Key1",
        ] {
            assert_eq!(strength(value), Strength::None, "{value}");
        }
    }

    #[test]
    fn what_may_be_one() {
        for (value, least) in [
            ("Winter2024!kx", Strength::Human),
            ("kR7#vb2Lq", Strength::Human),
            ("9f86d081884c7d659a2feaa0c55ad015", Strength::Random),
            ("Zq81LmPxw0TrYvB6nKd3", Strength::Random),
            ("tX9!pL2@vQ7#mZ4$", Strength::Random),
            ("kdj38fh2mzp09x", Strength::Mixed),
        ] {
            assert!(strength(value) >= least, "{value}: {:?}", strength(value));
        }
    }
}
