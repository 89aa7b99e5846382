//! The header `Idempotency-Key`: a key is short and plain, and means the same with its quotes on.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use seaworthy_api::fuzzing::key;

fuzz_target!(|input: &[u8]| {
    let Some(read) = HeaderValue::from_bytes(input).ok().and_then(key) else { return };
    assert!((1..=255).contains(&read.len()));
    assert!(read.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"'));
    let quoted = [&b"\""[..], &read[..], b"\""].concat();
    assert_eq!(HeaderValue::from_bytes(&quoted).ok().and_then(key), Some(read));
});
