//! The user's own list with its ticks set right: no byte differs but the marks, and one short comment an item.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::bytes::Regex;

use crate::list::{Checklist, MarkPlace, split};

/// What becomes of an item's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whether the box is ticked.
    pub closes: bool,
    /// Lower-case letters, digits and ` :.,-` for the comment.
    pub word: String,
}

/// What we append to a line, so that a later run finds and replaces it. A user's pin has an `=` and is not ours.
static OURS: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(r"(?-u) ?<!-- seaworthy: [a-z0-9 :.,-]*? -->").expect("the pattern is valid")
});

/// The list's bytes with a tick exactly where the item of that line is closed; lines without a mark stay as they are.
pub fn ticked(list: &Checklist, verdicts: &BTreeMap<usize, Mark>) -> Vec<u8> {
    let marks: BTreeMap<usize, &MarkPlace> =
        list.items.iter().filter_map(|item| Some((item.line, item.mark.as_ref()?))).collect();
    let bytes = list.narrow.as_ref().map_or(&list.bytes, |(_, text)| text);
    let mut output = Vec::with_capacity(bytes.len() + verdicts.len() * 40);
    let mut copied = 0;
    for line in split(bytes) {
        let (Some(verdict), Some(mark)) = (verdicts.get(&line.number), marks.get(&line.number)) else { continue };
        let end = line.start + line.raw.len();
        output.extend_from_slice(&bytes[copied..line.start]);
        let mut changed = bytes[line.start..mark.range.start].to_vec();
        changed.extend_from_slice(mark.marked(&bytes[mark.range.clone()], verdict.closes));
        changed.extend_from_slice(&bytes[mark.range.end..end]);
        output.extend_from_slice(&without_ours(&changed));
        output.extend_from_slice(format!(" <!-- seaworthy: {} -->", verdict.word).as_bytes());
        copied = end;
    }
    if copied == 0 {
        return list.bytes.clone();
    }
    output.extend_from_slice(&bytes[copied..]);
    list.narrow.as_ref().map_or(output.clone(), |(wide, _)| wide.write(&output))
}

/// The line without our comments. The space before one in the middle stays: it may part two words.
fn without_ours(line: &[u8]) -> Vec<u8> {
    let (mut kept, mut copied) = (Vec::with_capacity(line.len()), 0);
    for found in OURS.find_iter(line) {
        let space = found.end() < line.len() && line[found.start()] == b' ';
        kept.extend_from_slice(&line[copied..found.start() + usize::from(space)]);
        copied = found.end();
    }
    kept.extend_from_slice(&line[copied..]);
    kept
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

    #[test]
    fn a_pin_stays_beside_our_comment() {
        let text = b"- [ ] one <!-- seaworthy: control=edge.cors --> <!-- seaworthy: fail 2025-01-01 -->\n";
        let once = run(text, &[(true, "pass")]);
        let expected = "- [x] one <!-- seaworthy: control=edge.cors --> <!-- seaworthy: pass 2026-01-01 -->\n";
        assert_eq!(String::from_utf8(once.clone()).unwrap(), expected);
        assert_eq!(run(&once, &[(true, "pass")]), once);
    }

    #[test]
    fn every_kind_of_box_and_file_is_ticked_in_its_own_way() {
        let comment = " <!-- seaworthy: pass 2026-01-01 -->";
        let tick = |text: &str| String::from_utf8(run(text.as_bytes(), &[(true, "pass")])).unwrap();
        assert_eq!(tick("a\r- [ ] b\rc"), format!("a\r- [x] b{comment}\rc"));
        assert_eq!(tick("☐ b\n"), format!("☑ b{comment}\n"));
        let table = "| Done | Item |\n|--|--|\n| [ ] | CORS |";
        assert_eq!(tick(table), format!("| Done | Item |\n|--|--|\n| [x] | CORS |{comment}"));
        let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let once = run(&wide("\u{feff}- [ ] b — ✅\n"), &[(true, "pass")]);
        assert_eq!(once, wide(&format!("\u{feff}- [x] b — ✅{comment}\n")));
        let mut odd = wide("\u{feff}- [ ] b\n");
        odd.push(7);
        assert_eq!(run(&odd, &[(true, "pass")]), odd, "what cannot be written back stays as it is");
    }
}
