//! The user's own list with its ticks set right: no byte differs but the marks, and one short comment an item.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::bytes::Regex;

use super::ReportItem;
use crate::checklist::Checklist;

/// What we append to a line, so that a later run finds and replaces it.
static OURS: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(r"(?-u) ?<!-- seaworthy: [a-z0-9 :.,-]*? -->").expect("the pattern is valid")
});

/// The list's bytes with a tick exactly where an item is proven or attested.
pub fn ticked(list: &Checklist, items: &[ReportItem], date: &str) -> Vec<u8> {
    let verdicts: BTreeMap<usize, &ReportItem> =
        items.iter().filter(|item| item.file == list.name).map(|item| (item.line, item)).collect();
    let marks: BTreeMap<usize, usize> = list.items.iter().filter_map(|item| Some((item.line, item.mark?))).collect();
    let mut output = Vec::with_capacity(list.bytes.len() + items.len() * 40);
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
        changed[mark - start] = match (item.verdict.closes(), claimed) {
            (true, b' ') => b'x',
            (true, letter) => letter,
            (false, _) => b' ',
        };
        output.extend_from_slice(&OURS.replace_all(&changed, &b""[..]));
        output.extend_from_slice(format!(" <!-- seaworthy: {} {date} -->", item.verdict).as_bytes());
        output.extend_from_slice(ending);
        start += line.len();
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{matching::Match, runner::Finding, verdict::Verdict};

    fn run(text: &[u8], verdicts: &[Verdict]) -> Vec<u8> {
        let list = Checklist::parse("l.md".into(), text.to_vec(), false);
        let items: Vec<ReportItem> = list
            .items
            .iter()
            .zip(verdicts)
            .map(|(item, verdict)| {
                let finding = Finding { verdict: *verdict, ..Finding::not_run("c", "") };
                let findings = BTreeMap::from([("c".to_owned(), finding)]);
                let found =
                    Match { control: Some("c".into()), also: Vec::new(), confidence: 1.0, not_understood: Vec::new() };
                ReportItem::new(&list, item, &found, &findings)
            })
            .collect();
        ticked(&list, &items, "2026-01-01")
    }

    #[test]
    fn only_ticks_and_comments_change_and_a_second_run_changes_nothing() {
        let text = b"# L\xe9\r\n\r\n- [ ] one\r\n- [X] two \xff\r\n  text\r\n- [x] three";
        let verdicts = [Verdict::Pass, Verdict::Pass, Verdict::Fail];
        let once = run(text, &verdicts);
        let expected = b"# L\xe9\r\n\r\n- [x] one <!-- seaworthy: pass 2026-01-01 -->\r\n- [X] two \xff <!-- seaworthy: pass 2026-01-01 -->\r\n  text\r\n- [ ] three <!-- seaworthy: fail 2026-01-01 -->";
        assert_eq!(String::from_utf8_lossy(&once), String::from_utf8_lossy(expected));
        assert_eq!(once, expected);
        assert_eq!(run(&once, &verdicts), once);
    }
}
