//! `application/x-www-form-urlencoded`, in the body or the query, as any of the usual readers would read it.

use super::account::Found;

/// Finds the values of these fields. Of a name that is given twice both count: readers take the first, the last, or both.
pub(super) fn read(text: &[u8], fields: &[String], found: &mut Found) {
    pairs(text, |byte| byte == b'&', fields, found);
    // Older readers part at `;` too (HTML 4.01, B.2.2), where newer ones see one value.
    if text.contains(&b';') {
        pairs(text, |byte| matches!(byte, b'&' | b';'), fields, found);
    }
}

/// Whether it can be a form in ASCII or UTF-8, and is nothing else: what is in another encoding has bytes that are no text.
pub(super) fn is_one(text: &[u8]) -> bool {
    let plain = std::str::from_utf8(text).is_ok_and(|text| text.chars().all(|letter| !letter.is_control()));
    plain && !matches!(text.first(), Some(b'{' | b'[' | b'<'))
}

fn pairs(text: &[u8], parts: impl Fn(u8) -> bool, fields: &[String], found: &mut Found) {
    for pair in text.split(|byte| parts(*byte)) {
        let cut = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(cut);
        let name = decode(name);
        if fields.iter().any(|field| is_named(&name, field)) {
            found.add(&decode(value.get(1..).unwrap_or_default()));
        }
    }
}

/// `email`, or `user[email]` for `user.email`; also as one of a list.
pub(super) fn is_named(name: &str, field: &str) -> bool {
    // Some apps take names in any case, drop spaces before them, and what stands behind a NUL.
    let name = name.split('\0').next().unwrap_or_default().trim().to_ascii_lowercase();
    let field = field.to_ascii_lowercase();
    // PHP makes a `_` of what its variables cannot have in their names.
    let in_php = || name.replace(['.', ' ', '['], "_") == field;
    let parts = name.split(['[', ']', '.']).map(str::trim).filter(|part| !is_place(part));
    name == field || in_php() || parts.eq(field.split('.'))
}

/// Nothing, or a number: a place in a list.
fn is_place(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
}

fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'+', ..) => bytes.push(b' '),
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_several_names_and_only_these() {
        for name in [
            "user[name]",
            "user.name",
            "USER[Name][]",
            "user[0][name]",
            "[user][name]",
            " user[ name ]",
            "user[name]\0x",
        ] {
            assert!(is_named(name, "user.name"), "{name}");
        }
        for name in ["user", "name", "user[name][first]", "user[other]", "users[name]", ""] {
            assert!(!is_named(name, "user.name"), "{name}");
        }
        assert!(is_named("email[]", "email") && is_named("email[0]", "email") && is_named("user name", "user_name"));
        assert!(is_named("7", "7") && !is_named("email2", "email"));
    }

    #[test]
    fn what_is_in_another_encoding_is_none() {
        let utf16: Vec<u8> = "email=victim".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert!(is_one(b"email=a b&password=\xc3\xa9") && is_one(b""));
        assert!(!is_one(&utf16) && !is_one(b"email=\xe9") && !is_one(b"<email>victim</email>") && !is_one(b"{\"a\":"));
    }
}
