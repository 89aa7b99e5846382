//! The user's own list with its ticks set right: no byte differs but the marks, and one short comment an item.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::bytes::Regex;

use crate::list::Checklist;

/// What becomes of an item's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whether the box is ticked.
    pub closes: bool,
    /// Lower-case letters, digits and ` :.,-` for the comment.
    pub word: String,
}

/// What we append to a line, so that a later run finds and replaces it.
static OURS: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(r"(?-u) ?<!-- seaworthy: [a-z0-9 :.,-]*? -->").expect("the pattern is valid")
});

/// The list's bytes with a tick exactly where the item of that line is closed; lines without a mark stay as they are.
pub fn ticked(list: &Checklist, verdicts: &BTreeMap<usize, Mark>) -> Vec<u8> {
    let marks: BTreeMap<usize, usize> = list.items.iter().filter_map(|item| Some((item.line, item.mark?))).collect();
    let mut output = Vec::with_capacity(list.bytes.len() + verdicts.len() * 40);
    let mut start = 0;
    for (index, line) in list.bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let place = (verdicts.get(&(index + 1)), marks.get(&(index + 1)));
        let (Some(item), Some(mark)) = place else {
            output.extend_from_slice(line);
            start += line.len();
            continue;
        };
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let ending = &line[content.len()..];
        let mut changed = content.to_vec();
        let claimed = changed[mark - start];
        // A tick that stands keeps its own letter.
        changed[mark - start] = match (item.closes, claimed) {
            (true, b' ') => b'x',
            (true, letter) => letter,
            (false, _) => b' ',
        };
        output.extend_from_slice(&OURS.replace_all(&changed, &b""[..]));
        output.extend_from_slice(format!(" <!-- seaworthy: {} -->", item.word).as_bytes());
        output.extend_from_slice(ending);
        start += line.len();
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &[u8], verdicts: &[(bool, &str)]) -> Vec<u8> {
        let list = Checklist::parse("l.md".into(), text.to_vec(), false);
        let mark = |(closes, word): &(bool, &str)| Mark { closes: *closes, word: format!("{word} 2026-01-01") };
        let marks = list.items.iter().map(|item| item.line).zip(verdicts.iter().map(mark)).collect();
        ticked(&list, &marks)
    }

    #[test]
    fn only_ticks_and_comments_change_and_a_second_run_changes_nothing() {
        let text = b"# L\xe9\r\n\r\n- [ ] one\r\n- [X] two \xff\r\n  text\r\n- [x] three";
        let verdicts = [(true, "pass"), (true, "pass"), (false, "fail")];
        let once = run(text, &verdicts);
        let expected = b"# L\xe9\r\n\r\n- [x] one <!-- seaworthy: pass 2026-01-01 -->\r\n- [X] two \xff <!-- seaworthy: pass 2026-01-01 -->\r\n  text\r\n- [ ] three <!-- seaworthy: fail 2026-01-01 -->";
        assert_eq!(String::from_utf8_lossy(&once), String::from_utf8_lossy(expected));
        assert_eq!(once, expected);
        assert_eq!(run(&once, &verdicts), once);
    }
}
