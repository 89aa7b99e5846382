//! The trace context of a request: W3C Trace Context, version 00 (`traceparent`).

use http::HeaderValue;

use crate::hexadecimal::hexadecimal;

/// Length of `00-<trace id>-<parent id>-<flags>`.
const LENGTH: usize = 55;

/// Names one request in a trace: whose trace it belongs to, and which step of it is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext([u8; LENGTH]);

impl TraceContext {
    /// A new trace, marked as sampled. Ids of zero are not allowed by the standard, so a zero becomes one.
    pub fn start(trace: u128, span: u64) -> Self {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        let trace = trace.max(1);
        text[3..19].copy_from_slice(&hexadecimal((trace >> 64) as u64));
        text[19..35].copy_from_slice(&hexadecimal(trace as u64));
        text[36..52].copy_from_slice(&hexadecimal(span.max(1)));
        Self(text)
    }

    /// Reads a header that a client sent; `None` when it is malformed. A later version is read as far as this one goes.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let text: [u8; LENGTH] = bytes.get(..LENGTH)?.try_into().ok()?;
        let lower = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let dashes = [2, 35, 52].iter().all(|position| text[*position] == b'-');
        let digits = [0..2, 3..35, 36..52, 53..55].into_iter().all(|range| text[range].iter().all(lower));
        let named = text[3..35].iter().any(|byte| *byte != b'0') && text[36..52].iter().any(|byte| *byte != b'0');
        let version = match &text[..2] {
            b"ff" => false,
            b"00" => bytes.len() == LENGTH,
            _ => bytes.len() == LENGTH || bytes[LENGTH] == b'-',
        };
        (dashes && digits && named && version).then_some(Self(text))
    }

    /// The same trace with our own step in it.
    #[must_use]
    pub fn step(mut self, span: u64) -> Self {
        self.0[..2].copy_from_slice(b"00");
        // Bits that this version does not know are not passed on.
        let sampled = (self.0[54] as char).to_digit(16).unwrap_or_default() & 1 == 1;
        self.0[53..].copy_from_slice(if sampled { b"01" } else { b"00" });
        self.0[36..52].copy_from_slice(&hexadecimal(span.max(1)));
        self
    }

    /// The trace's id: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        // Hexadecimal digits, whichever way it was made.
        std::str::from_utf8(&self.0[3..35]).unwrap_or_default()
    }

    /// As the header `traceparent`.
    pub fn header(&self) -> HeaderValue {
        // Hexadecimal digits and dashes are always a header value.
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<TraceContext> {
        TraceContext::parse(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn goes_on_with_a_valid_one_and_with_no_other() {
        let given = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(given.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(given.step(0xab).header(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-01");
        assert!(parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
        let unknown_bits = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe").unwrap();
        assert!(unknown_bits.step(1).header().as_bytes().ends_with(b"-00"));
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(TraceContext::start(0, 0x1f).header(), "00-00000000000000000000000000000001-000000000000001f-01");
    }
}
