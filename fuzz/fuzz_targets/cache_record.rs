//! Answers as a disk or another node gives them back, and removals that another node tells: torn, hostile, of another release.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_cache::fuzzing::record_and_removal;

fuzz_target!(|input: &[u8]| {
    let (_, same) = record_and_removal(input);
    assert!(same, "a removal is the same when it is told on");
});
