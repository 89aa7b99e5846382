//! Answers of a Redis and of a DNS server: whatever they send, they are read within bounds, and a half answer is none.
//! The two readers stand alone, and are taken as files: with the whole prover every target here would build for minutes.
#![no_main]

#[path = "../../crates/check/src/probes/outside/message.rs"]
#[allow(dead_code)]
mod message;
#[path = "../../crates/check/src/redis/reply.rs"]
#[allow(dead_code)]
mod reply;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(Some((_, length))) = reply::read(input) {
        assert!(length <= input.len());
        // What comes behind it changes nothing, and without its last byte it is not whole.
        assert!(matches!(reply::read(&input[..length]), Ok(Some((_, same))) if same == length));
        assert!(matches!(reply::read(&input[..length - 1]), Ok(None)));
    }
    // The first bytes are the question, so that answers to it come up at all.
    let question = &input[..input.len().min(33)];
    let mut answer = input.to_vec();
    if let Some(flags) = answer.get_mut(2) {
        *flags |= 0x80;
    }
    if let Some(message::Answer::Addresses(found)) = message::answer(question, &answer) {
        assert!(found.len() <= answer.len() / 4);
    }
});
