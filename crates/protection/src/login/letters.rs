//! Letters and digits that databases take for others although Unicode does not decompose them into those.
//!
//! Collations go by UTS 10, in which a stroke is no more than an accent, `æ` is `ae`, a digit is its value whatever script it
//! is of, and hiragana and katakana differ as small and capital letters do.

/// The digits 0 of all scripts, the others behind each (general category Nd of Unicode 17, without those that NFKD turns
/// into ASCII).
const ZEROS: &[char] = &[
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{de6}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{1090}',
    '\u{17e0}',
    '\u{1810}',
    '\u{1946}',
    '\u{19d0}',
    '\u{1a80}',
    '\u{1a90}',
    '\u{1b50}',
    '\u{1bb0}',
    '\u{1c40}',
    '\u{1c50}',
    '\u{a620}',
    '\u{a8d0}',
    '\u{a900}',
    '\u{a9d0}',
    '\u{a9f0}',
    '\u{aa50}',
    '\u{abf0}',
    '\u{104a0}',
    '\u{10d30}',
    '\u{10d40}',
    '\u{11066}',
    '\u{110f0}',
    '\u{11136}',
    '\u{111d0}',
    '\u{112f0}',
    '\u{11450}',
    '\u{114d0}',
    '\u{11650}',
    '\u{116c0}',
    '\u{116d0}',
    '\u{116da}',
    '\u{11730}',
    '\u{118e0}',
    '\u{11950}',
    '\u{11bf0}',
    '\u{11c50}',
    '\u{11d50}',
    '\u{11da0}',
    '\u{11de0}',
    '\u{11f50}',
    '\u{16a60}',
    '\u{16ac0}',
    '\u{16b50}',
    '\u{16d70}',
    '\u{1e140}',
    '\u{1e2f0}',
    '\u{1e4f0}',
    '\u{1e5f1}',
    '\u{1e950}',
];
/// Digits 1, and how many are in the row, of scripts and signs that have no zero beside them (`Numeric_Type=Digit`).
const ONES: &[(char, u32)] = &[
    ('\u{1369}', 9),
    ('\u{24f5}', 9),
    ('\u{2776}', 9),
    ('\u{2780}', 9),
    ('\u{278a}', 9),
    ('\u{10a40}', 4),
    ('\u{10e60}', 9),
    ('\u{11052}', 9),
];
/// Small letters in one row, and in the same place of the other row what they are taken for.
const STRUCK: (&str, &str) = ("øđðłƚħŧⱦƀȼɇɉǥɨꝁᵽɍʉɏƶⱥ", "oddllhttbcejgikpruyza");
/// Kana in small, and as they are else; katakana are hiragana by then.
const SMALL_KANA: (&str, &str) = ("ぁぃぅぇぉっゃゅょゎゕゖ", "あいうえおつやゆよわかけ");
/// Katakana for Ainu, which have no hiragana of their own.
const AINU_KANA: (&str, &str) = ("ㇰㇱㇲㇳㇴㇵㇶㇷㇸㇹㇺㇻㇼㇽㇾㇿ", "くしすとぬはひふへほむらりるれろ");

/// What this letter, in small and without its marks, is taken for: one letter, or two.
pub(super) fn plain(letter: char) -> impl Iterator<Item = char> {
    let (first, second) = match letter {
        ascii if ascii.is_ascii() => (ascii, None),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'ß' => ('s', Some('s')),
        'þ' => ('t', Some('h')),
        other => (kana(other).or_else(|| digit(other)).or_else(|| beside(STRUCK, other)).unwrap_or(other), None),
    };
    std::iter::once(first).chain(second)
}

fn digit(letter: char) -> Option<char> {
    let behind =
        |first: char, count: u32| u32::from(letter).checked_sub(u32::from(first)).filter(|value| *value < count);
    let value = match letter {
        '\u{19da}' => Some(1),
        '\u{24ff}' => Some(0),
        _ => ZEROS
            .iter()
            .find_map(|zero| behind(*zero, 10))
            .or_else(|| ONES.iter().find_map(|(one, count)| behind(*one, *count)).map(|value| value + 1)),
    };
    value.and_then(|value| char::from_digit(value, 10))
}

fn kana(letter: char) -> Option<char> {
    let hiragana = match letter {
        '\u{3041}'..='\u{3096}' => letter,
        '\u{30a1}'..='\u{30f6}' | '\u{30fd}' => char::from_u32(u32::from(letter) - 0x60)?,
        '\u{31f0}'..='\u{31ff}' => return beside(AINU_KANA, letter),
        _ => return None,
    };
    Some(beside(SMALL_KANA, hiragana).unwrap_or(hiragana))
}

fn beside((these, others): (&str, &str), letter: char) -> Option<char> {
    these.chars().zip(others.chars()).find_map(|(this, other)| (this == letter).then_some(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_step() {
        for (these, others) in [STRUCK, SMALL_KANA, AINU_KANA] {
            assert_eq!(these.chars().count(), others.chars().count(), "{these}");
        }
        for (place, zero) in ZEROS.iter().enumerate() {
            assert!(place == 0 || u32::from(ZEROS[place - 1]) + 10 <= u32::from(*zero), "{zero}");
            assert!(!zero.is_ascii(), "{zero}");
        }
    }

    #[test]
    fn a_digit_is_its_value() {
        for (row, first) in [("٠١٢٣٤٥٦٧٨٩", 0), ("०१२३४५६७८९", 0), ("፩፪፫፬፭፮፯፰፱", 1), ("➊➋➌➍➎➏➐➑➒", 1)]
        {
            let expected: String = (first..10).filter_map(|value| char::from_digit(value, 10)).collect();
            assert_eq!(row.chars().flat_map(plain).collect::<String>(), expected);
        }
        assert_eq!("አ፲".chars().flat_map(plain).collect::<String>(), "አ፲", "ten is no digit");
    }
}
