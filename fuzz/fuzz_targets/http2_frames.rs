//! Bytes of an HTTP/2 client: the meter counts the same however they are cut, and cuts nobody off who asks for something.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seaworthy_edge::fuzzing::Http2Meter;

/// What a client sends before its first frame.
const PREFACE: usize = 24;
/// Frames that nobody is cut off for.
const HARMLESS: usize = 100;

fuzz_target!(|input: &[u8]| {
    // A flood is more than an input is long.
    let flood = input.repeat(16);
    let mut whole = Http2Meter::default();
    let endured = whole.advance(&flood);
    for piece in [1, 5, 24] {
        let mut pieces = Http2Meter::default();
        assert_eq!(flood.chunks(piece).all(|bytes| pieces.advance(bytes)), endured);
        assert_eq!(format!("{pieces:?}"), format!("{whole:?}"));
    }
    assert!(endured || idle_frames(&flood) > HARMLESS);
});

/// Frames that neither ask for anything nor carry anything.
fn idle_frames(bytes: &[u8]) -> usize {
    let (mut at, mut count) = (PREFACE, 0);
    while let Some([high, middle, low, kind, flags, ..]) = bytes.get(at..at + 9) {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        let carries = *kind == 0 && (length > 0 || flags & 1 != 0);
        count += usize::from(!carries && !matches!(kind, 1 | 8));
        at += 9 + length;
    }
    count
}
