//! Forms and zip files from strangers: the same parts however the body is cut, apart from each other, and no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_uploads::fuzzing::{cleaned, form, zip};

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let body = [b"--XY\r\nContent-Disposition: form-data; name=\"f\"; filename=\"", bytes].concat();
    let whole = form(&body, body.len());
    assert_eq!(whole, form(&body, usize::from(step)));
    for parts in whole.iter().flat_map(|parts| parts.windows(2)) {
        assert!(parts[0].start <= parts[0].end && parts[0].end < parts[1].start);
    }
    let _ = zip(&[b"PK\x03\x04", bytes].concat());
    let (name, safe) = cleaned(&String::from_utf8_lossy(bytes));
    assert!(safe, "{name:?}");
});
