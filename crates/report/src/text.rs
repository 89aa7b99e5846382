//! Text from outside, made harmless: an app's answer may hold anything, and a report is opened by people and parsers.

use std::iter::Peekable;

/// Without terminal sequences; characters that act instead of being seen are replaced. Lines and tabs stay.
pub(crate) fn clean(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_sequence(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' | '\u{2028}' | '\u{2029}' => output.push('\n'),
            '\n' | '\t' => output.push(character),
            _ if acts(character) => output.push(char::REPLACEMENT_CHARACTER),
            _ => output.push(character),
        }
    }
    output
}

/// [`clean`], as one line with single spaces.
pub(crate) fn line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// [`line`], without Markdown's commonest marks.
pub(crate) fn title(text: &str) -> String {
    line(&text.replace("**", "").replace('`', ""))
}

/// At most so many characters, and never silently less than the whole.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} characters more)", &text[..end], text[end..].chars().count()),
    }
}

/// An address without the name and password that it may hold.
pub(crate) fn address(url: &str) -> String {
    let url = line(url);
    let Some(start) = url.find("://").map(|at| at + 3) else { return url };
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}{}", &url[..start], &url[start + at + 1..]),
        None => url,
    }
}

/// Controls; what reorders the text around it (bidirectional overrides); what XML 1.0 cannot hold.
pub(crate) fn acts(character: char) -> bool {
    let reorders = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || reorders || character == '\u{feff}' || (character as u32) & 0xfffe == 0xfffe
}

/// After ESC: a control sequence, an operating system command with its text, or one character.
fn skip_sequence(rest: &mut Peekable<impl Iterator<Item = char>>) {
    match rest.next_if(|next| !next.is_control()) {
        Some('[') => skip_control_sequence(rest),
        Some(']') => {
            // Ends with BEL or ESC \; one that never ends takes no more than its line.
            while let Some(next) = rest.next_if(|next| *next != '\n') {
                if next == '\u{7}' || (next == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

/// Parameters, then one letter or sign.
fn skip_control_sequence(rest: &mut Peekable<impl Iterator<Item = char>>) {
    while rest.next_if(|next| (' '..='?').contains(next)).is_some() {}
    rest.next_if(|next| ('@'..='~').contains(next));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_gone_and_what_is_seen_stays() {
        assert_eq!(clean("a\u{1b}[31;1mred\u{1b}[0m b\u{9b}2Jc"), "ared bc");
        assert_eq!(clean("x\u{1b}]0;title\u{7}y\u{1b}]8;;http://e\u{1b}\\z"), "xyz");
        assert_eq!(
            clean("a\0b\u{8}\u{7f}\u{85}\u{fffe}\u{1ffff}"),
            "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(clean("user\u{202e}nimda"), "user\u{fffd}nimda");
        assert_eq!(clean("1\r\n2\r3\t4"), "1\n2\n3\t4");
        assert_eq!(clean("ends with \u{1b}"), "ends with ");
        assert_eq!(clean("a\u{1b}\u{1b}[1mb\u{1b}[9"), "ab");
        assert_eq!(clean("Grüße 🙂 <b>"), "Grüße 🙂 <b>");
    }

    #[test]
    fn one_line_a_title_and_a_bound() {
        assert_eq!(line(" a\n\n b\t c "), "a b c");
        assert_eq!(title("**CORS**: `*` is\nout"), "CORS: * is out");
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüx", 3), "äöü… (1 characters more)");
    }

    #[test]
    fn an_address_loses_its_password() {
        assert_eq!(address("https://me:p@ss@example.com/a@b"), "https://example.com/a@b");
        assert_eq!(address("http://127.0.0.1:8000"), "http://127.0.0.1:8000");
        assert_eq!(address("unix:/tmp/@x"), "unix:/tmp/@x");
    }
}
