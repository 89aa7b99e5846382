//! Boxes in all the ways that people write them, and where their marks are in the user's bytes.

use std::{ops::Range, sync::LazyLock};

use regex::{Regex, bytes};

/// A box at the start of a piece of text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub ticked: bool,
    /// Neither open nor done: `[~]`, `[-]`, `[/]`.
    pub partly: bool,
    /// What stands after it.
    pub text: &'a str,
}

/// Where the mark of a box is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarkPlace {
    /// Its bytes, without brackets; empty for `[]`.
    pub range: Range<usize>,
    /// True for a sign of its own (`☐`), which has no brackets.
    pub bare: bool,
}

/// The shape of a box: what is between brackets, or a sign. `{}` is what may stand before it.
macro_rules! shape {
    () => {
        r"(?:\[[ \t]{0,2}?([xX✓✔~/\- \t\x{a0}]?)[ \t]{0,2}\]|([☐☑☒□■▢✓]))"
    };
}
/// In a list (with a bullet, which may touch it), or at the start of a line.
macro_rules! before {
    () => {
        r"^[\s>]*(?:(?:[-*+•]|\d{1,3}[.)])\s*)?"
    };
}

static BOX: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(concat!("^", shape!(), r"(.*)$")).expect("the pattern is valid")
});
static MARK: LazyLock<bytes::Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    bytes::Regex::new(concat!(before!(), shape!())).expect("the pattern is valid")
});

/// The box that a text begins with. `listed` is whether a bullet stands before it, which makes its meaning sure.
pub(super) fn at_start(text: &str, listed: bool) -> Option<Found<'_>> {
    let found = BOX.captures(text)?;
    let rest = found.get(3).map_or("", |rest| rest.as_str());
    let sign = found.get(2).map(|sign| sign.as_str());
    let next = rest.chars().next();
    // `[x](address)`, `[x][name]` and `[x]: address` are links.
    let separate = match next {
        None => listed,
        Some(character) if listed && sign.is_none() => !matches!(character, '(' | '[' | ':'),
        Some(character) => character.is_whitespace(),
    };
    let mark = found.get(1).map_or("", |mark| mark.as_str());
    // Without a bullet, `[]` and `[-]` are more often something else.
    let plain = matches!(mark, " " | "x" | "X" | "✓" | "✔") || sign.is_some();
    if !separate || !(listed || plain) {
        return None;
    }
    let partly = matches!(mark, "~" | "/" | "-");
    let ticked = match sign {
        Some(sign) => is_ticked(sign),
        None => !partly && !mark.trim().is_empty(),
    };
    Some(Found { ticked, partly, text: rest.trim() })
}

fn is_ticked(sign: &str) -> bool {
    matches!(sign, "☑" | "☒" | "■" | "✓")
}

/// Where the mark of the box is that a line (or a cell) begins with; `start` is the place of the raw bytes in the file.
pub(super) fn mark(raw: &[u8], start: usize) -> Option<MarkPlace> {
    let found = MARK.captures(raw)?;
    let (place, bare) = match (found.get(1), found.get(2)) {
        (Some(mark), _) => (mark, false),
        (None, sign) => (sign?, true),
    };
    Some(MarkPlace { range: start + place.start()..start + place.end(), bare })
}

impl MarkPlace {
    /// The mark as it should be; a tick that stands keeps its own sign.
    pub(crate) fn marked<'a>(&self, now: &'a [u8], closes: bool) -> &'a [u8] {
        let text = str::from_utf8(now).unwrap_or_default();
        if self.bare {
            return match (closes, text) {
                (true, "□") => "■".as_bytes(),
                (true, "☐" | "▢") => "☑".as_bytes(),
                (false, "■") => "□".as_bytes(),
                (false, "☑" | "☒" | "✓") => "☐".as_bytes(),
                _ => now,
            };
        }
        match (closes, text) {
            (true, "x" | "X" | "✓" | "✔") | (false, "" | " " | "\t" | "\u{a0}" | "~" | "/" | "-") => now,
            (true, _) => b"x",
            (false, _) => b" ",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_known_in_every_spelling_and_links_are_none() {
        let listed = |text| at_start(text, true).map(|found| (found.ticked, found.text));
        assert_eq!(listed("[ ] a"), Some((false, "a")));
        assert_eq!(listed("[ x ] a"), Some((true, "a")));
        assert_eq!(listed("[X]a"), Some((true, "a")));
        assert_eq!(listed("[] a"), Some((false, "a")));
        assert_eq!(listed("[~] a"), Some((false, "a")));
        assert_eq!(listed("☑ a"), Some((true, "a")));
        assert_eq!(listed("[x](a)"), None);
        assert_eq!(listed("[1] a"), None);
        let bare = |text| at_start(text, false).map(|found| (found.ticked, found.text));
        assert_eq!(bare("[x] a"), Some((true, "a")));
        assert_eq!(bare("☐ a"), Some((false, "a")));
        assert_eq!((bare("[x]a"), bare("[] a"), bare("[ ]")), (None, None, None));
    }

    #[test]
    fn marks_are_found_and_set() {
        let set = |line: &str, closes: bool| {
            let place = mark(line.as_bytes(), 0).unwrap();
            let new = place.marked(&line.as_bytes()[place.range.clone()], closes);
            let (before, after) = (&line[..place.range.start], &line[place.range.end..]);
            format!("{before}{}{after}", str::from_utf8(new).unwrap())
        };
        assert_eq!(set("> - [ ] a", true), "> - [x] a");
        assert_eq!(set("-[X] a", false), "-[ ] a");
        assert_eq!(set("* [ x ] a", false), "* [   ] a");
        assert_eq!(set("* [   ] a", true), "* [x  ] a");
        assert_eq!(set("- [] a", true), "- [x] a");
        assert_eq!(set("- [] a", false), "- [] a");
        assert_eq!(set("☒ a", true), "☒ a");
        assert_eq!(set("☒ a", false), "☐ a");
        assert_eq!(set("■ a", false), "□ a");
    }
}
