//! Durations and sizes as anybody may write them: what can be read is written back so that it reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_config::{ByteSize, HumanDuration};

fuzz_target!(|text: &str| {
    if let Ok(duration) = text.parse::<HumanDuration>() {
        assert_eq!(duration.to_string().parse(), Ok(duration));
    }
    if let Ok(size) = text.parse::<ByteSize>() {
        assert_eq!(size.to_string().parse(), Ok(size));
    }
});
