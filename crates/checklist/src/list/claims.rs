//! What a text says about its own state: `✅ CORS`, `[TODO] backups`, `restore drill (done)`. A claim, never evidence.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

/// What the list says about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// `✅`, `DONE`, a ticked box.
    Done,
    /// `🟡`, `WIP`, `in progress`.
    Partly,
    /// `❌`, `TODO`, `missing`.
    Open,
}

const DONE_SIGNS: &[char] = &['✅', '✔', '✓', '☑', '🟢', '🎉'];
const PARTLY_SIGNS: &[char] = &['🟡', '🟠', '⚠', '🚧', '⏳', '🔄', '🟨', '🔶'];
const OPEN_SIGNS: &[char] = &['❌', '✗', '✘', '✖', '🔴', '⛔', '⬜', '🔲', '🟥', '⭕', '❎'];

/// `DONE: text`, `[TODO] text`, `(WIP) text`, or the same word at the end.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(concat!(
        r"^(?:\*\*)?(?:\[([A-Za-z -]{2,12})\]|\(([A-Za-z -]{2,12})\)|([A-Z][A-Z -]{1,11}):)",
        r"|[\[(]([A-Za-z -]{2,14})[\])](?:\*\*)?[.\s]*$|\s[-–—]\s+(?:\*\*)?([A-Z]{3,8}|done)(?:\*\*)?[.\s]*$"
    ))
    .expect("the pattern is valid")
});

/// The claim of a whole text, by its first sign or its first or last word.
pub(super) fn of_text(text: &str) -> Option<Claim> {
    let text = text.trim();
    of_sign(text.trim_start_matches(['*', '`', ' '])).or_else(|| {
        let found = WORD.captures(text)?;
        of_word(found.iter().skip(1).flatten().next()?.as_str())
    })
}

/// The claim of a cell of a status column.
pub(super) fn of_cell(cell: &str) -> Option<Claim> {
    let cell = cell.trim().trim_matches(['*', '`', '_']);
    of_sign(cell).or_else(|| of_word(cell))
}

/// The claim of the sign that a text begins with.
pub(super) fn of_sign(text: &str) -> Option<Claim> {
    let first = text.chars().next()?;
    let signs = [(DONE_SIGNS, Claim::Done), (PARTLY_SIGNS, Claim::Partly), (OPEN_SIGNS, Claim::Open)];
    signs.iter().find(|(signs, _)| signs.contains(&first)).map(|(_, claim)| *claim)
}

fn of_word(word: &str) -> Option<Claim> {
    match word.trim().to_lowercase().as_str() {
        "done" | "complete" | "completed" | "yes" | "y" | "ok" | "pass" | "passed" | "ready" | "implemented"
        | "live" | "finished" => Some(Claim::Done),
        "partial" | "partially" | "partially done" | "partly" | "partly done" | "in progress" | "wip" | "started"
        | "ongoing" => Some(Claim::Partly),
        "todo" | "to do" | "to-do" | "no" | "n" | "open" | "missing" | "not started" | "not done" | "fail"
        | "failed" | "pending" | "planned" | "none" | "blocked" => Some(Claim::Open),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_words_are_claims() {
        let expect = [
            ("✅ CORS", Some(Claim::Done)),
            ("⚠️ partly there", Some(Claim::Partly)),
            ("🔴 no backups", Some(Claim::Open)),
            ("[TODO] backups", Some(Claim::Open)),
            ("DONE: backups", Some(Claim::Done)),
            ("Restore drill (done)", Some(Claim::Done)),
            ("Retries (partially done)", Some(Claim::Partly)),
            ("Restore drill - DONE", Some(Claim::Done)),
            ("Restore drill", None),
            ("HTTPS: everywhere", None),
            ("Uptime (external)", None),
        ];
        for (text, claim) in expect {
            assert_eq!(of_text(text), claim, "{text}");
        }
        assert_eq!(of_cell(" In progress "), Some(Claim::Partly));
        assert_eq!(of_cell("Alice"), None);
    }
}
