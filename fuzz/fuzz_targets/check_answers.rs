//! Answers of a Redis and of a DNS server: whatever they send, they are read within bounds, and a half answer is none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_check::fuzzing::{dns_addresses, redis_reply};

fuzz_target!(|input: &[u8]| {
    if let Some(length) = redis_reply(input) {
        assert!(length <= input.len());
        // What comes behind it changes nothing, and without its last byte it is not whole.
        assert_eq!(redis_reply(&input[..length]), Some(length));
        assert_eq!(redis_reply(&input[..length - 1]), None);
    }
    // The first bytes are the question, so that answers to it come up at all.
    let asked = input.len().min(33);
    let _ = dns_addresses(&input[..asked], &input[asked..]);
    let mut answer = input.to_vec();
    if let Some(flags) = answer.get_mut(2) {
        *flags |= 0x80;
    }
    if let Some(count) = dns_addresses(&input[..asked], &answer) {
        assert!(count <= answer.len() / 4);
    }
});
