//! A checklist of any bytes: read without a panic; ticking it twice is the same as once, and ticking nothing changes nothing.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use seaworthy_checklist::{Checklist, Mark, ticked};

fuzz_target!(|bytes: &[u8]| {
    let list = Checklist::parse("fuzz.md".into(), bytes.to_vec(), true);
    assert_eq!(ticked(&list, &BTreeMap::new()), bytes);
    let mark = |closes| Mark { closes, word: "pass 2026-01-01".into() };
    let verdicts: BTreeMap<usize, Mark> = list.items.iter().map(|item| (item.line, mark(item.line % 2 == 0))).collect();
    let once = ticked(&list, &verdicts);
    let again = Checklist::parse("fuzz.md".into(), once.clone(), true);
    assert_eq!(ticked(&again, &verdicts), once);
});
