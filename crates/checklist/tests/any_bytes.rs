//! Whatever a file holds: reading it never panics, and ticking changes no byte but marks and our own comments.

use std::collections::BTreeMap;

use seaworthy_checklist::{Checklist, Mark, ticked};

/// Pieces that mean something to the parser, put together at random.
const PIECES: &[&[u8]] = &[
    b"- [ ] ",
    b"- [x] ",
    b"* [ x ] ",
    b"-[ ] ",
    b"- [] ",
    b"[ ] ",
    b"- [~] ",
    "☐ ".as_bytes(),
    "☑ ".as_bytes(),
    "✓ ".as_bytes(),
    "✅ ".as_bytes(),
    "❌ ".as_bytes(),
    b"1. ",
    b"# 1. Head",
    b"> ",
    b"    ",
    b"\t",
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"|",
    b"| [ ] | a |",
    b"|--|--|",
    b"--|--",
    b"\\|",
    b"```",
    b"```sh",
    b"<!--",
    b"-->",
    b"<!-- seaworthy: pass 2026-01-01 -->",
    b"<!-- seaworthy: control=edge.cors -->",
    b"CORS",
    b" and ",
    b"(done)",
    b"**",
    b"`",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"caf\xc3\xa9",
    "â€”".as_bytes(),
    b"~~~",
    b"[x](y)",
    b"Status",
    b"text ",
];

/// A repeatable stream of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

fn verdicts(list: &Checklist, numbers: &mut Numbers) -> BTreeMap<usize, Mark> {
    let mark = |numbers: &mut Numbers| Mark { closes: numbers.below(2) == 0, word: "pass 2026-01-01".into() };
    list.items.iter().map(|item| (item.line, mark(numbers))).collect()
}

/// The bytes without marks and our comments, which is what must never change.
fn rest(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace(" <!-- seaworthy: pass 2026-01-01 -->", "");
    let text = text.replace("<!-- seaworthy: pass 2026-01-01 -->", "");
    text.chars().filter(|character| !" xX~✓✔☐☑☒□■▢".contains(*character)).collect()
}

#[test]
fn ticking_changes_only_marks_and_comments_and_twice_is_as_once() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..3000 {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..numbers.below(40) {
            bytes.extend_from_slice(PIECES[numbers.below(PIECES.len())]);
        }
        if round % 10 == 0 {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            bytes = units.flat_map(u16::to_le_bytes).collect();
        }
        let list = Checklist::parse("l.md".into(), bytes.clone(), true);
        let verdicts = verdicts(&list, &mut numbers);
        assert_eq!(ticked(&list, &BTreeMap::new()), bytes, "nothing to tick changes nothing");
        let once = ticked(&list, &verdicts);
        if round % 10 != 0 {
            assert_eq!(rest(&once), rest(&bytes), "{:?}", String::from_utf8_lossy(&bytes));
        }
        let again = Checklist::parse("l.md".into(), once.clone(), true);
        let lines = |list: &Checklist| -> Vec<usize> { list.items.iter().map(|item| item.line).collect() };
        assert_eq!(lines(&again), lines(&list), "{:?}", String::from_utf8_lossy(&bytes));
        assert_eq!(ticked(&again, &verdicts), once, "{:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_big_file_is_read_quickly() {
    let mut text = String::new();
    for number in 0..40_000 {
        text.push_str(&format!("- [ ] item number {number} of a list\n  that wraps\n| a | b |\n\n"));
    }
    text.push_str(&"[".repeat(100_000));
    let started = std::time::Instant::now();
    let list = Checklist::parse("big.md".into(), text.into_bytes(), true);
    assert_eq!(list.items.len(), 40_000);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
