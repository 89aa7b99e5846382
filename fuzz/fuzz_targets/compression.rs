//! `Accept-Encoding` of any bytes means the same after it was rewritten; a strong tag comes back from a client as the app
//! made it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_cache::fuzzing::{accepted_and_rewritten, tags_and_back};

fuzz_target!(|bytes: &[u8]| {
    if let Some((given, rewritten)) = accepted_and_rewritten(bytes) {
        assert_eq!(given, rewritten);
    }
    // What a tag may consist of (RFC 9110, 8.8.3); our mark in the app's own tags would be taken off.
    let inside: Vec<u8> = bytes.iter().copied().filter(|byte| *byte > b' ' && !matches!(byte, b'"' | b'~' | 0x7f)).collect();
    let tag = [b"\"", &inside[..], b"\""].concat();
    for back in tags_and_back(&tag).into_iter().flatten() {
        assert_eq!(back.as_bytes(), tag);
    }
});
