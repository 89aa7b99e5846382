//! The file line by line, and what each line is: heading, list item, code, text.

use std::sync::LazyLock;

use regex::Regex;

use super::encoding::repair;

/// One line.
#[derive(Debug)]
pub(super) struct Line {
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
    /// `checked` is `None` for an item without a box.
    Item {
        indent: usize,
        numbered: bool,
        checked: Option<bool>,
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
static ITEM: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^((?:\s|>)*)([-*+]|\d{1,3}[.)])\s+(?:\[([ xX])\](?:\s+|$))?(.*)$"));
static FENCE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:```+|~~~+)\s*([^`]*)$"));
static RULE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:-\s*){3,}$|^\s*(?:\*\s*){3,}$|^\s*(?:_\s*){3,}$"));
/// The byte between the brackets of a box, in the user's own bytes.
static MARK: LazyLock<regex::bytes::Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    regex::bytes::Regex::new(r"(?-u)^[\s>]*(?:[-*+]|\d{1,3}[.)])\s+\[([ xX])\]").expect("the pattern is valid")
});

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
    Regex::new(text).expect("the pattern is valid")
}

/// Splits at `\n`; a `\r` before it belongs to the line break.
pub(super) fn split(bytes: &[u8]) -> Vec<Line> {
    let mut start = 0;
    let mut lines = Vec::new();
    for (index, piece) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let raw = piece.strip_suffix(b"\r").unwrap_or(piece);
        // A byte order mark belongs to the file, not to its first line.
        let mark = if index == 0 && raw.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let raw = &raw[mark..];
        lines.push(Line { number: index + 1, text: repair(raw), start: start + mark, raw: raw.to_vec() });
        start += piece.len() + 1;
    }
    lines
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
        if let Some(found) = ITEM.captures(text) {
            return Kind::Item {
                indent: found.get(1).map_or(0, |space| width(space.as_str())),
                numbered: found
                    .get(2)
                    .is_some_and(|marker| marker.as_str().starts_with(|first: char| first.is_ascii_digit())),
                checked: found.get(3).map(|mark| mark.as_str() != " "),
                text: found.get(4).map_or("", |text| text.as_str().trim()),
            };
        }
        Kind::Text { indent: width(text), text: text.trim() }
    }

    /// Where the box's mark is in the file.
    pub(super) fn mark(&self) -> Option<usize> {
        let found = MARK.captures(&self.raw)?;
        found.get(1).map(|mark| self.start + mark.start())
    }
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
        assert_eq!(line("  - a").kind(), Kind::Item { indent: 2, numbered: false, checked: None, text: "a" });
        assert_eq!(line("12) [x] a").kind(), Kind::Item { indent: 0, numbered: true, checked: Some(true), text: "a" });
        assert_eq!(
            line("- [link](x)").kind(),
            Kind::Item { indent: 0, numbered: false, checked: None, text: "[link](x)" }
        );
        assert_eq!(line("  - [ ] a").mark(), Some(15));
    }
}
