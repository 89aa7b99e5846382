//! The headers that choose what is sent of a file: parts lie within it and never overlap, codings are ours and named once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_edge::fuzzing::{byte_ranges, content_codings, entity_tags};

fuzz_target!(|input: (u64, &[u8])| {
    let (length, value) = input;
    if let Some(mut parts) = byte_ranges(value, length) {
        assert!(length > 0 && parts.len() <= 16);
        assert!(parts.iter().all(|(first, last)| first <= last && *last < length), "{parts:?} of {length}");
        parts.sort_unstable();
        assert!(parts.windows(2).all(|pair| pair[0].1 < pair[1].0), "{parts:?} overlap");
    }
    let mut codings = content_codings(value);
    codings.sort_unstable();
    assert!(codings.len() <= 3 && codings.windows(2).all(|pair| pair[0] != pair[1]), "{codings:?}");
    // Each tag has at least its two quotes.
    assert!(entity_tags(value) <= value.len() / 2);
});
