//! Bytes as a text that patterns can be tried on.

use std::borrow::Cow;

/// A file's text in UTF-8, without a byte order mark; nothing when it is no text.
pub(in crate::secrets) fn readable(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => return Some(Cow::Borrowed(rest)),
        [0xFF, 0xFE, rest @ ..] => return Some(wide(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => return Some(wide(rest, u16::from_be_bytes)),
        _ => {}
    }
    let start = &bytes[..bytes.len().min(8_000)];
    if !start.contains(&0) {
        return Some(Cow::Borrowed(bytes));
    }
    // UTF-16 that does not say so: every other byte of plain letters is zero.
    let zeros = |offset: usize| start.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let half = start.len() / 2;
    match (zeros(0), zeros(1)) {
        (0, odd) if odd * 10 > half * 9 => Some(wide(bytes, u16::from_le_bytes)),
        (even, 0) if even * 10 > half * 9 => Some(wide(bytes, u16::from_be_bytes)),
        _ => None,
    }
}

fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Cow<'_, [u8]> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Cow::Owned(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let marked = [&[0xFF, 0xFE][..], &wide("a = ü\n")].concat();
        assert_eq!(readable(&marked).as_deref(), Some("a = ü\n".as_bytes()));
        assert_eq!(readable(&wide("token = 1\n")).as_deref(), Some(&b"token = 1\n"[..]));
        assert_eq!(readable(b"\xEF\xBB\xBFa").as_deref(), Some(&b"a"[..]));
        assert_eq!(readable(b"\x89PNG\0\0\x1a"), None);
    }
}
