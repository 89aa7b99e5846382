//! A request's path: whatever comes out is a place below the root, or a spelling that comes to the same place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_edge::fuzzing::{file_path, is_hashed};

fuzz_target!(|text: &str| {
    let _ = is_hashed(text);
    for strip in ["", "/assets"] {
        match file_path(text, strip) {
            None => {}
            Some(Ok(relative)) => assert_below(&relative),
            Some(Err(respelled)) => {
                assert!(respelled.starts_with('/') && !respelled.starts_with("//"), "{respelled}");
                // Sent back once, never in a circle.
                let Some(Ok(relative)) = file_path(&respelled, strip) else { panic!("{text} -> {respelled}") };
                assert_below(&relative);
            }
        }
    }
});

fn assert_below(relative: &str) {
    assert!(!relative.contains(['\\', '\0', '\n', '\r']), "{relative:?}");
    if relative.is_empty() {
        return;
    }
    for (index, segment) in relative.split('/').enumerate() {
        let hidden = segment.starts_with('.') && !(index == 0 && segment == ".well-known");
        assert!(!segment.is_empty() && !hidden, "{relative:?}");
    }
}
