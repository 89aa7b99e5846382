//! A config file with anything in it, and the masking of any text: findings, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_config::{Document, mask};

fuzz_target!(|text: &str| {
    mask(text);
    if let Ok(document) = Document::parse("fuzz.toml", text.to_owned(), std::iter::empty()) {
        // No section is known: every one is a finding, with its place in the text.
        let _ = document.finish();
    }
});
