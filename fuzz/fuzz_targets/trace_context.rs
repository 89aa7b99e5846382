//! A `traceparent`: what can be read is written back so that it reads the same, and goes on as version 00.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use seaworthy_core::TraceContext;

fuzz_target!(|input: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let Some(context) = TraceContext::parse(&value) else { return };
    let written = context.header();
    assert!(input.starts_with(written.as_bytes()) && written.len() == 55, "{written:?}");
    assert_eq!(TraceContext::parse(&written), Some(context));
    let id = context.trace_id();
    assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    for span in [0, 1, u64::MAX] {
        let step = context.step(span);
        assert_eq!(TraceContext::parse(&step.header()), Some(step));
        assert!(step.header().as_bytes().starts_with(b"00-") && step.trace_id() == id, "{step:?}");
    }
});
