//! Texts that look as if drawn by lot, and are always the same: values for planted secrets.

/// A generator that always gives the same.
pub(in crate::secrets) struct Dice(u64);

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const SMALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
pub(super) const ALL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ADDRESS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
const BECH32: &[u8] = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
const PASSWORD: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789!+=^.~";
/// As people make them.
const NOUNS: &[&str] =
    &["Gravel", "Lantern", "Otter", "Saffron", "Thistle", "Marble", "Harbor", "Cobalt", "Juniper", "Walnut"];

impl Dice {
    pub(in crate::secrets) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(in crate::secrets) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % limit as u64) as usize
    }

    pub(super) fn of(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// What a password manager, or a person, makes.
    pub(super) fn password(&mut self) -> String {
        match self.below(4) {
            0 => {
                let sign = ["!", "#", "-", "_", "?"][self.below(5)];
                format!("{}{}{}{}", NOUNS[self.below(10)], 10 + self.below(9_000), sign, self.of(SMALL, 2))
            }
            1 => self.of(ALL, 24),
            2 => self.of(b"0123456789abcdef", 32),
            _ => self.of(PASSWORD, 16),
        }
    }

    /// A template of `rules.toml` with values.
    pub(in crate::secrets) fn fill(&mut self, template: &str) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once('{') {
            text.push_str(before);
            let (inner, after) = behind.split_once('}').unwrap_or((behind, ""));
            match inner.split_at_checked(1).and_then(|(kind, length)| Some((kind, length.parse().ok()?))) {
                Some((kind, length)) => text.push_str(&self.piece(kind, length)),
                None if inner.is_empty() => {}
                None => {
                    text.push('{');
                    rest = behind;
                    continue;
                }
            }
            rest = after;
        }
        text + rest
    }

    fn piece(&mut self, kind: &str, length: usize) -> String {
        use base64::Engine;
        match kind {
            "U" => self.of(BASE32, length),
            "u" => self.of(CAPITALS, length),
            "l" => self.of(SMALL, length),
            "h" => self.of(b"0123456789abcdef", length),
            "d" => self.of(b"0123456789", length),
            "A" => self.of(LETTERS, length),
            "b" => format!("{}{}", self.of(ADDRESS, length - 1), self.of(ALL, 1)),
            "g" => self.of(BECH32, length),
            "p" => self.of(b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789!.~", length),
            "B" => base64::engine::general_purpose::STANDARD.encode(format!("bot:{}", self.of(ALL, length))),
            _ => self.of(ALL, length),
        }
    }
}
