//! Text that was read in the wrong encoding once, put right for matching and display.
//!
//! `â€”` is a dash whose UTF-8 bytes somebody read as windows-1252. Characters that were lost on the way stay lost; the
//! user's bytes are never touched. Files in UTF-16 are read through a copy in UTF-8, which is written back the same way.

use encoding_rs::{Encoding, MACINTOSH, WINDOWS_1252, WINDOWS_1254};

/// What editors and mail programs take UTF-8 for.
const SUSPECTS: [&Encoding; 3] = [WINDOWS_1252, WINDOWS_1254, MACINTOSH];

/// The line as it was probably meant.
pub(super) fn repair(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    if text.is_ascii() {
        return text.replace('\0', "");
    }
    let mut repaired = String::with_capacity(text.len());
    let mut foreign = String::new();
    for character in text.chars() {
        if character == '\0' {
            continue;
        }
        if character.is_ascii() {
            flush(&mut foreign, &mut repaired);
            repaired.push(character);
        } else {
            foreign.push(character);
        }
    }
    flush(&mut foreign, &mut repaired);
    repaired
}

/// The byte order of a file in UTF-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wide {
    LittleEndian,
    BigEndian,
}

impl Wide {
    /// The byte order that a file's mark tells.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xfe, ..] => Some(Self::LittleEndian),
            [0xfe, 0xff, ..] => Some(Self::BigEndian),
            _ => None,
        }
    }

    /// The file in UTF-8, its byte order mark included; what is no character is replaced.
    pub(super) fn read(self, bytes: &[u8]) -> Vec<u8> {
        let unit = |pair: &[u8]| match self {
            Self::LittleEndian => u16::from_le_bytes([pair[0], pair[1]]),
            Self::BigEndian => u16::from_be_bytes([pair[0], pair[1]]),
        };
        let units: Vec<u16> = bytes.chunks_exact(2).map(unit).collect();
        String::from_utf16_lossy(&units).into_bytes()
    }

    /// The reverse of [`Wide::read`].
    pub(crate) fn write(self, text: &[u8]) -> Vec<u8> {
        let pair = |unit: u16| match self {
            Self::LittleEndian => unit.to_le_bytes(),
            Self::BigEndian => unit.to_be_bytes(),
        };
        String::from_utf8_lossy(text).encode_utf16().flat_map(pair).collect()
    }
}

/// Ends a run of characters beyond ASCII: read again as UTF-8 where its bytes are valid UTF-8, else kept.
fn flush(foreign: &mut String, repaired: &mut String) {
    if !foreign.is_empty() {
        let meant = SUSPECTS.iter().find_map(|encoding| {
            let (bytes, _, unmappable) = encoding.encode(foreign);
            let text = (!unmappable).then(|| String::from_utf8(bytes.into_owned()).ok())??;
            (text.chars().count() < foreign.chars().count()).then_some(text)
        });
        repaired.push_str(meant.as_deref().unwrap_or(foreign));
        foreign.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_what_was_misread_and_leaves_the_rest() {
        for encoding in SUSPECTS {
            let (misread, _) = encoding.decode_without_bom_handling("ok \u{2014} \u{2705} \u{274c}".as_bytes());
            assert_eq!(repair(misread.as_bytes()), "ok \u{2014} \u{2705} \u{274c}", "{}", encoding.name());
        }
        assert_eq!(repair("schön — ✅".as_bytes()), "schön — ✅");
        assert_eq!(repair(b"plain"), "plain");
        assert!(repair(b"caf\xe9").starts_with("caf"));
    }
}
