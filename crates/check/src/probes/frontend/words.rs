//! What texts on pages are about, in the languages of `words.toml`, and what must not stand in them.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use serde::Deserialize;

use crate::probes::error_handler;

#[derive(Debug, Default, Deserialize)]
struct Words {
    trouble: ByLanguage,
    delete: ByLanguage,
    cancel: ByLanguage,
    confirm: ByLanguage,
}

type ByLanguage = BTreeMap<String, Vec<String>>;

#[derive(Debug, Default, Deserialize)]
struct Hosts {
    reporters: Vec<String>,
    trackers: Vec<String>,
}

#[expect(clippy::expect_used, reason = "constant texts, read in every test")]
static WORDS: LazyLock<Words> =
    LazyLock::new(|| toml::from_str(include_str!("words.toml")).expect("the words are TOML"));

#[expect(clippy::expect_used, reason = "constant texts, read in every test")]
static HOSTS: LazyLock<Hosts> =
    LazyLock::new(|| toml::from_str(include_str!("hosts.toml")).expect("the hosts are TOML"));

/// It says that something did not work.
pub(super) fn tells_of_trouble(text: &str) -> bool {
    any(&WORDS.trouble, text)
}

/// It names what deletes something.
pub(super) fn deletes(text: &str) -> bool {
    any(&WORDS.delete, text)
}

/// It names what leaves everything as it was.
pub(super) fn cancels(text: &str) -> bool {
    any(&WORDS.cancel, text) && !deletes(text)
}

/// It names what goes on with it.
pub(super) fn confirms(text: &str) -> bool {
    any(&WORDS.confirm, text) || deletes(text)
}

/// Whether words of this language are known. Without one, all of them are tried.
pub(super) fn knows(language: &str) -> bool {
    let language = language.split(['-', '_']).next().unwrap_or_default().to_lowercase();
    language.is_empty() || WORDS.trouble.contains_key(&language)
}

/// A request to where errors of browsers are sent.
pub(super) fn is_reporter(url: &str) -> bool {
    part_of(&HOSTS.reporters, url)
}

/// A request that only counts, or reports: a person need not learn that it failed.
pub(super) fn is_aside(url: &str) -> bool {
    part_of(&HOSTS.trackers, url) || is_reporter(url)
}

/// What of the inside a text shows: a stack, SQL, raw JSON, a name that only programmers know.
pub(super) fn inside(text: &str) -> Option<String> {
    static RAW: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(concat!(
            r#"\{\s*"[\w$-]+"\s*:|\[object Object\]|\b(?:Axios|Type|Syntax|Reference|Range|Fetch|Http|HTTP|Network|Apollo|Abort)Error\b"#,
            r"|Unexpected token|is not valid JSON|Unexpected end of JSON|Request failed with status code|NetworkError when",
            r"|Cannot read propert|is not a function|is not iterable|undefined is not",
        ))
        .expect("the pattern is valid")
    });
    let raw = || RAW.find(text).map(|found| found.as_str().to_owned());
    // On a page, "select one from the list" is a sentence.
    let leak = error_handler::leak(text).filter(|(what, said)| {
        *what != "SQL" || said.split(' ').next().is_some_and(|verb| verb == verb.to_uppercase())
    });
    leak.map(|(what, said)| format!("{what} ({})", super::shortened(&said, 60))).or_else(raw)
}

fn part_of(parts: &[String], url: &str) -> bool {
    let url = url.to_lowercase();
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    parts.iter().any(|part| {
        url.match_indices(part.as_str()).any(|(place, found)| {
            let (before, after) = (url[..place].chars().next_back(), url[place + found.len()..].chars().next());
            !is_letter(before) && !is_letter(after) || !part.starts_with(char::is_alphanumeric)
        })
    })
}

fn any(words: &ByLanguage, text: &str) -> bool {
    let text = text.to_lowercase();
    words.values().flatten().any(|word| stands_in(word, &text))
}

/// At the beginning of a word; short ones only as a whole, and where words are not parted anywhere.
fn stands_in(word: &str, text: &str) -> bool {
    if !word.is_ascii() && word.chars().all(|letter| letter as u32 > 0x2e80) {
        return text.contains(word);
    }
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(place, found)| {
        let (before, after) = (text[..place].chars().next_back(), text[place + found.len()..].chars().next());
        !is_letter(before) && (word.chars().count() > 3 || !is_letter(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_from_other_texts_in_any_language() {
        for text in [
            "Something went wrong, please try again",
            "Failed to load projects",
            "Die Daten konnten nicht geladen werden",
            "Impossible de charger",
            "読み込みに失敗しました",
            "加载失败",
            "You're offline",
        ] {
            assert!(tells_of_trouble(text), "{text}");
        }
        for text in ["Your projects", "Nothing here yet", "Loading…", "Terrorists' archive", "42 items"] {
            assert!(!tells_of_trouble(text), "{text}");
        }
        assert!(knows("de-CH") && knows("") && !knows("hu"));
    }

    #[test]
    fn controls_are_told_by_their_names() {
        assert!(
            deletes("Delete project") && deletes("Löschen") && deletes("Remove item 3") && !deletes("Undeleted items")
        );
        assert!(
            cancels("Cancel") && cancels("No") && cancels("No, keep it") && !cancels("Notes") && !cancels("No, delete")
        );
        assert!(confirms("Yes, delete") && confirms("OK") && !confirms("Okra"));
    }

    #[test]
    fn what_programmers_read_is_not_for_people() {
        for text in [
            "TypeError: Cannot read properties of undefined",
            "{\"detail\": \"no\"}",
            "[object Object]",
            "Request failed with status code 500",
            "Traceback (most recent call last):",
            "SELECT * FROM users",
        ] {
            assert!(inside(text).is_some(), "{text}");
        }
        for text in ["Please select a colour from the list below", "Something went wrong", "Update your settings"] {
            assert!(inside(text).is_none(), "{text} {:?}", inside(text));
        }
    }

    #[test]
    fn every_table_knows_the_same_languages() {
        let languages = |table: &ByLanguage| table.keys().cloned().collect::<Vec<_>>();
        for table in [&WORDS.delete, &WORDS.cancel, &WORDS.confirm] {
            assert_eq!(languages(table), languages(&WORDS.trouble));
        }
        assert!(
            is_reporter("https://o1.ingest.sentry.io/api/1/envelope/")
                && is_aside("https://www.google-analytics.com/g")
        );
        assert!(!is_aside("https://example.test/api/items") && !is_aside("https://example.test/api/collections"));
    }
}
