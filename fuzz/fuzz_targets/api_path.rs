//! Paths that are rewritten: what passes means the same after every step that an app may take with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_api::fuzzing::is_plain;

fuzz_target!(|path: &str| {
    if !is_plain(path) {
        return;
    }
    // Taking escapes off makes no new segments, and none that leads elsewhere.
    let decoded = decode(path.as_bytes());
    let count = |bytes: &[u8]| bytes.split(|byte| matches!(byte, b'/' | b'\\')).count();
    assert_eq!(count(path.as_bytes()), count(&decoded), "{path}");
    for segment in decoded[1..].split(|byte| *byte == b'/') {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        assert!(name != b"." && name != b"..", "{path}");
    }
    assert!(!decoded.windows(2).any(|two| two == b"//"), "{path}");
    // Below any prefix it is plain again.
    if let Some(at) = path[1..].find('/') {
        assert!(is_plain(&path[1 + at..]), "{path}");
    }
});

fn decode(bytes: &[u8]) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::new(), bytes);
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.filter(|_| *byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => (decoded.push(byte), rest = &after[2..]).1,
            None => (decoded.push(*byte), rest = after).1,
        }
    }
    decoded
}
