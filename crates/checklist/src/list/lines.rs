//! The file line by line, and what each line is: heading, list item, code, text.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    boxes::{self, Found, MarkPlace},
    encoding::repair,
};

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    /// From 1.
    pub number: usize,
    /// Repaired, without its line break.
    pub text: String,
    /// Byte of the file where the line starts.
    pub start: usize,
    /// The user's bytes of the line.
    pub raw: Vec<u8>,
}

/// What a line is, looked at alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Blank,
    Heading {
        level: usize,
        text: &'a str,
    },
    /// `checked` is `None` for an item without a box; `usual` is a box that Markdown knows.
    Item {
        indent: usize,
        numbered: bool,
        checked: Option<bool>,
        partly: bool,
        usual: bool,
        text: &'a str,
    },
    Fence {
        info: &'a str,
    },
    Text {
        indent: usize,
        text: &'a str,
    },
}

static HEADING: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$"));
/// A bullet or a number, and whether white space follows it.
static ITEM: LazyLock<Regex> = LazyLock::new(|| pattern(r"^((?:\s|>)*)([-*+•]|\d{1,3}[.)])(\s*)(.*)$"));
/// The boxes of GitHub's Markdown (5.3).
static USUAL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\[[ xX]\](?:\s|$)"));
static FENCE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:```+|~~~+)\s*([^`]*)$"));
static RULE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:-\s*){3,}$|^\s*(?:\*\s*){3,}$|^\s*(?:_\s*){3,}$"));
fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
    Regex::new(text).expect("the pattern is valid")
}

/// Splits at `\n`, `\r\n` and `\r` alone (CommonMark 2.1).
pub(crate) fn split(bytes: &[u8]) -> Vec<Line> {
    let (mut start, mut lines) = (0, Vec::new());
    loop {
        let end = bytes[start..].iter().position(|byte| matches!(byte, b'\n' | b'\r')).map(|length| start + length);
        // A byte order mark belongs to the file, not to its first line.
        let mark = if start == 0 && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let raw = &bytes[start + mark..end.unwrap_or(bytes.len())];
        lines.push(Line { number: lines.len() + 1, text: repair(raw), start: start + mark, raw: raw.to_vec() });
        let Some(end) = end else { return lines };
        start = end + if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
    }
}

impl Line {
    pub(super) fn kind(&self) -> Kind<'_> {
        let text = self.text.as_str();
        if text.trim().is_empty() || RULE.is_match(text) {
            return Kind::Blank;
        }
        if let Some(found) = HEADING.captures(text) {
            let level = found.get(1).map_or(1, |hashes| hashes.len());
            return Kind::Heading { level, text: found.get(2).map_or("", |text| text.as_str()) };
        }
        if let Some(found) = FENCE.captures(text) {
            return Kind::Fence { info: found.get(1).map_or("", |info| info.as_str().trim()) };
        }
        if let Some(item) = item(text) {
            return item;
        }
        let plain = text.trim_start_matches(|character: char| character.is_whitespace() || character == '>');
        if let Some(Found { ticked, partly, text: rest }) = boxes::at_start(plain, false) {
            let (indent, checked) = (width(text), Some(ticked));
            return Kind::Item { indent, numbered: false, checked, partly, usual: false, text: rest };
        }
        Kind::Text { indent: width(text), text: text.trim() }
    }

    /// Where the box's mark is in the file.
    pub(super) fn mark(&self) -> Option<MarkPlace> {
        boxes::mark(&self.raw, self.start)
    }
}

/// A bullet or a number with its text, and the box before it.
fn item(text: &str) -> Option<Kind<'_>> {
    let found = ITEM.captures(text)?;
    let part = |index: usize| found.get(index).map_or("", |part| part.as_str());
    let (indent, numbered) = (width(part(1)), part(2).starts_with(|first: char| first.is_ascii_digit()));
    let (spaced, rest) = (!part(3).is_empty(), part(4));
    if let Some(Found { ticked, partly, text }) = boxes::at_start(rest, true) {
        let usual = spaced && USUAL.is_match(rest) && part(2) != "•";
        return Some(Kind::Item { indent, numbered, checked: Some(ticked), partly, usual, text });
    }
    let text = rest.trim();
    // A dash that touches its word is no bullet, and neither is `**bold**`.
    (spaced || part(2) == "•").then_some(Kind::Item {
        indent,
        numbered,
        checked: None,
        partly: false,
        usual: false,
        text,
    })
}

/// Columns of the white space at the start; a tab goes to the next multiple of four.
fn width(text: &str) -> usize {
    let mut width = 0;
    for character in text.chars() {
        match character {
            ' ' | '>' => width += 1,
            '\t' => width += 4 - width % 4,
            _ => break,
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_lines_apart() {
        let line = |text: &str| Line { number: 1, text: text.into(), start: 10, raw: text.as_bytes().to_vec() };
        assert_eq!(line("## A b ##").kind(), Kind::Heading { level: 2, text: "A b" });
        assert_eq!(line("```sh").kind(), Kind::Fence { info: "sh" });
        assert_eq!(line("---").kind(), Kind::Blank);
        let item = |indent, numbered, checked, usual, text| Kind::Item {
            indent,
            numbered,
            checked,
            partly: false,
            usual,
            text,
        };
        assert_eq!(line("  - a").kind(), item(2, false, None, false, "a"));
        assert_eq!(line("12) [x] a").kind(), item(0, true, Some(true), true, "a"));
        assert_eq!(line("-[x] a").kind(), item(0, false, Some(true), false, "a"));
        assert_eq!(line("[ ] a").kind(), item(0, false, Some(false), false, "a"));
        assert_eq!(line("- [link](x)").kind(), item(0, false, None, false, "[link](x)"));
        assert_eq!(line("-5 degrees").kind(), Kind::Text { indent: 0, text: "-5 degrees" });
        assert_eq!(line("**bold** text").kind(), Kind::Text { indent: 0, text: "**bold** text" });
        assert_eq!(line("  - [ ] a").mark().unwrap().range, 15..16);
    }

    #[test]
    fn every_line_break_ends_a_line() {
        let lines = split(b"\xef\xbb\xbfa\rb\r\nc\n\nd");
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "", "d"]);
        assert_eq!(lines.iter().map(|line| line.start).collect::<Vec<_>>(), [3, 5, 8, 10, 11]);
        assert_eq!(split(b"a\r\n").len(), 2);
    }
}
