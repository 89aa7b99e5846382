//! One account in all of its spellings.
//!
//! Apps and their databases take names for the same that differ in bytes: in case, in width, in accents (`utf8mb4_0900_ai_ci`,
//! the usual collation of MySQL), in strokes through letters, in the digits of other scripts, in kana, in blanks at the end, in what nobody sees. Whoever is told apart here by one of these has
//! as many budgets as there are spellings; so all of them are one, and two people that differ in an accent alone are counted
//! together.

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};

use super::letters::plain;

/// A longer name is no name; it is counted by its beginning.
const LONGEST: usize = 320;

/// As names are compared: compatibility forms in their usual letters (NFKC of UAX 15), case folded, without accents and
/// without what nobody sees, nor blanks around it.
pub(super) fn fold(name: &str) -> String {
    // Upper case first: it is there that letters of several small forms are one (ς and σ, ß and ss, ı and i).
    let letters = name.nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkd();
    let seen = letters.filter_map(|letter| match letter {
        blank if blank.is_whitespace() => Some(' '),
        letter if is_unseen(letter) || canonical_combining_class(letter) != 0 => None,
        letter => Some(letter),
    });
    let folded: String = seen.flat_map(plain).nfc().collect();
    let cut: String = folded.trim().chars().take(LONGEST).collect();
    cut.trim_end().to_owned()
}

/// Controls, `Default_Ignorable_Code_Point` of Unicode's DerivedCoreProperties, and what stands for bytes that were no text:
/// readers drop each of them.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{fffd}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn spellings_of_one_name_are_one() {
        for spelling in [
            "victim@example.com",
            "  Victim@EXAMPLE.com\u{3000}\t",
            // Full width; a small capital by its compatibility form; the sign for Kelvin is below.
            "ｖｉｃｔｉｍ＠ｅｘａｍｐｌｅ．ｃｏｍ",
            "𝓋𝒾𝒸𝓉𝒾𝓂@example.com",
            // Nothing between the letters, marks above them, and marks that are a part of them.
            "vic\u{200b}tim@example\u{ad}.com\u{feff}",
            "vic\u{1}tim@example.com\u{0}",
            "v\u{301}íctïm@éxample.com",
            "\u{202e}victim@example.com\u{e0041}",
            "vıctİm@example.com",
        ] {
            assert_eq!(fold(spelling), "victim@example.com", "{spelling:?}");
        }
        assert_eq!(fold("\u{212a}ate"), fold("kate"), "the sign for Kelvin");
        assert_eq!((fold("straße"), fold("ΟΔΥΣΣΕΥΣ")), (fold("STRASSE"), fold("οδυσσευς")));
        for (one, other) in [
            ("Øre", "ore"),
            ("Đoko", "doko"),
            ("Łukasz", "lukasz"),
            ("ħaŧ", "hat"),
            ("Æsir", "aesir"),
            ("Œuf", "oeuf"),
            ("STRAẞE", "strasse"),
            ("Þór", "thor"),
            ("Seyðisfjörður", "seydisfjordur"),
            ("Ǿ", "o"),
            ("Ǽ", "ae"),
            ("user\u{661}", "user1"),
            ("user\u{96a}", "user4"),
            ("user\u{1d7ee}\u{ff13}", "user23"),
            ("❷", "2"),
            ("カタカナ", "かたかな"),
            ("ガッツ", "かつつ"),
            ("ｶﾞ", "か"),
            ("ヽㇰ", "ゝく"),
            ("ヶ", "け"),
        ] {
            assert_eq!(fold(one), fold(other), "{one}");
        }
        assert_eq!(fold("한글"), "한글", "letters that are put together of others stay whole");
    }

    #[test]
    fn other_names_stay_others() {
        for (one, other) in [
            ("ann", "anna"),
            ("a b", "ab"),
            ("a.b", "ab"),
            ("ann+x", "ann"),
            ("राम", "राज"),
            ("王", "玉"),
            ("かき", "かく"),
            ("१", "२"),
            ("аnn", "ann"),
        ] {
            assert_ne!(fold(one), fold(other));
        }
        assert_eq!(fold(" \u{200b}\t"), "");
        assert_eq!(
            fold(&format!("{}victim", "\u{200b} ".repeat(400))).trim(),
            "victim",
            "nothing before it fills its place"
        );
        assert_eq!(fold(&"x".repeat(1_000)).len(), 320);
    }
}
