//! JSON of clients, within limits: what is let through is what `serde_json` reads, and nothing deeper or larger.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_validation::fuzzing::json_limits;

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let plain = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    if let Some(read) = json_limits(bytes, 8, 100) {
        assert!(depth(&read) <= 8);
        assert_eq!(Some(&read), plain.as_ref());
    }
    if plain.is_none() {
        assert!(json_limits(bytes, 100, u32::MAX).is_none());
    }
});
