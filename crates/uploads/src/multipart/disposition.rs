//! Parameters of header fields, read so that only one reading is possible.

use std::ops::Range;

use crate::problems::{Refusal, malformed};

/// A name in lower case, a value, and where the value stands in the text.
pub(super) type Parameter = (String, String, Range<usize>);

/// `; a=b; c="d"` behind the value of a field. No escapes: what one parser unescapes another one keeps.
pub(super) fn parameters(text: &str) -> Result<Vec<Parameter>, Refusal> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches([' ', '\t']).len();
        if at == text.len() {
            // A semicolon at the very end is refused with what follows it: nothing.
            return if found.is_empty() && text.trim().is_empty() {
                Ok(found)
            } else {
                malformed("A parameter is empty.")
            };
        }
        let Some(equals) = text[at..].find('=').map(|length| at + length) else {
            return malformed("A parameter has no value.");
        };
        let name = &text[at..equals];
        if name.is_empty() || !name.bytes().all(is_token) {
            return malformed("A parameter's name is no token.");
        }
        let rest = &text[equals + 1..];
        let (range, end) = if let Some(quoted) = rest.strip_prefix('"') {
            let Some(length) = quoted.find('"') else { return malformed("A quote is not closed.") };
            (equals + 2..equals + 2 + length, equals + 3 + length)
        } else {
            let length = rest.bytes().take_while(|byte| is_token(*byte)).count();
            (equals + 1..equals + 1 + length, equals + 1 + length)
        };
        let value = &text[range.clone()];
        if value.contains('\\') {
            return malformed("A parameter has a backslash, which parsers take differently.");
        }
        if value.is_empty() && range.end == end {
            return malformed("A parameter has no value.");
        }
        found.push((name.to_ascii_lowercase(), value.to_owned(), range));
        let after = text[end..].trim_start_matches([' ', '\t']);
        match after.strip_prefix(';') {
            Some(next) => at = text.len() - next.len(),
            None if after.is_empty() => return Ok(found),
            None => return malformed("Something stands behind a parameter."),
        }
    }
}

/// RFC 9110, 5.6.2; without `*` and `'` and `%`, which only extended parameters have.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_end_once_and_places_are_right() {
        let text = " name=\"a\"; filename=\"b c.png\"";
        let found = parameters(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(&text[found[1].2.clone()], "b c.png");
        for wrong in [
            " name=\"a\" x; b=c",
            " name=\"a",
            " name=\"a\\\"b\"",
            " filename*=utf-8''a",
            " name",
            " =a",
            " name = \"a\"",
            " a=b;",
            " a=b;;c=d",
            " name='a b'",
        ] {
            assert!(parameters(wrong).is_err(), "{wrong}");
        }
    }
}
