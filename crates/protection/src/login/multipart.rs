//! `multipart/form-data` (RFC 7578), read so strictly that no other reader finds another form in it.
//!
//! Readers differ in what they let pass: line ends, folded headers, names in other encodings, text around the parts. What
//! has any of these is not read here, and so counts as unreadable.

use memchr::memmem;

/// The boundary, when there is one that all readers see (RFC 2046, 5.1.1).
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').map(str::trim);
    if !parameters.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut boundary = None;
    for parameter in parameters {
        let (name, value) = parameter.split_once('=')?;
        match name.to_ascii_lowercase().as_str() {
            "boundary" if boundary.is_none() => {
                boundary = Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value));
            }
            "charset" => {}
            _ => return None,
        }
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    boundary.filter(|text| (1..=70).contains(&text.len()) && text.bytes().all(allowed))
}

/// Hands over each part's name and value. `false`: it is no such form, or not to its end.
pub(super) fn read(boundary: &str, body: &[u8], part: impl FnMut(&str, &str)) -> bool {
    parts(boundary, body, part).is_some()
}

fn parts(boundary: &str, body: &[u8], mut each: impl FnMut(&str, &str)) -> Option<()> {
    let dashes = format!("--{boundary}");
    let delimiter = format!("\r\n{dashes}");
    let mut rest = body.strip_prefix(dashes.as_bytes())?;
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            return end.trim_ascii().is_empty().then_some(());
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let (part, behind) = cut(rest, delimiter.as_bytes())?;
        rest = behind;
        let (head, value) = cut(part, b"\r\n\r\n")?;
        // Where lines end otherwise, another reader begins a part here.
        if memmem::find(part, dashes.as_bytes()).is_some() {
            return None;
        }
        let name = name(std::str::from_utf8(head).ok()?)?;
        // It says how all others are to be read (HTML standard, 4.10.21.7).
        if name.eq_ignore_ascii_case("_charset_") {
            return None;
        }
        each(name, &String::from_utf8_lossy(value));
    }
}

fn cut<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = memmem::find(text, at)?;
    Some((&text[..found], &text[found + at.len()..]))
}

/// The name of a part with this head.
fn name(head: &str) -> Option<&str> {
    let mut found = None;
    for line in head.split("\r\n") {
        let (header, value) = line.split_once(':')?;
        if line.contains(['\r', '\n', '\0']) {
            return None;
        }
        let value = value.trim();
        match header.to_ascii_lowercase().as_str() {
            "content-disposition" if found.is_none() => found = Some(named(value)?),
            "content-type" if !value.to_ascii_lowercase().contains("charset") || is_utf8(value) => {}
            "content-length" => {}
            "content-transfer-encoding"
                if matches!(value.to_ascii_lowercase().as_str(), "7bit" | "8bit" | "binary") => {}
            _ => return None,
        }
    }
    found
}

fn is_utf8(content_type: &str) -> bool {
    super::account::charset_is_usual(content_type)
}

/// `form-data; name="email"`, perhaps with a file's name.
fn named(disposition: &str) -> Option<&str> {
    let (kind, mut rest) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut file) = (None, None);
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, behind) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        let slot = match key.trim().to_ascii_lowercase().as_str() {
            "name" => &mut name,
            "filename" => &mut file,
            _ => return None,
        };
        // Quoted within quotes, or escaped: readers undo it differently.
        if slot.is_some() || value.contains(['\\', '%', '"']) {
            return None;
        }
        *slot = Some(value.trim());
        let behind = behind.trim();
        if behind.is_empty() {
            return name;
        }
        rest = behind.strip_prefix(';')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> Option<Vec<(String, String)>> {
        let mut all = Vec::new();
        read("b", body.as_bytes(), |name, value| all.push((name.to_owned(), value.to_owned()))).then_some(all)
    }

    fn form(head: &str) -> String {
        format!("--b\r\n{head}\r\n\r\nvictim\r\n--b--\r\n")
    }

    #[test]
    fn parts_are_found_as_clients_send_them() {
        let two = "--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nvictim\r\n--b\r\n\
                   content-type: text/plain; charset=utf-8\r\ncontent-disposition: form-data; name=password\r\n\
                   content-transfer-encoding: binary\r\ncontent-length: 1\r\n\r\np\r\n--b--\r\n";
        let expected = [("email", "victim"), ("password", "p")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(found(two), Some(expected.into()));
        let file = form("Content-Disposition: form-data; filename=\"a;b.txt\"; name=\"email\"");
        assert_eq!(found(&file).unwrap(), [("email".into(), "victim".into())]);
        assert_eq!(found("--b--"), Some(Vec::new()));
    }

    #[test]
    fn what_readers_take_differently_is_not_read() {
        let name = "Content-Disposition: form-data; name=\"email\"";
        assert!(found(&form(name)).is_some());
        for head in [
            "",
            "Content-Type: text/plain",
            "Content-Disposition: attachment; name=\"email\"",
            "Content-Disposition: form-data; name=\"a\"; name=\"email\"",
            "Content-Disposition: form-data; name*=utf-8''email",
            "Content-Disposition: form-data; name=\"e%6dail\"",
            "Content-Disposition: form-data; name=\"e\\mail\"",
            "Content-Disposition: form-data; name=\"_charset_\"",
            "Content-Disposition: form-data;\r\n name=\"email\"",
            "Content-Disposition: form-data; name=\"a\"\nContent-Disposition: form-data; name=\"email\"",
            &format!("{name}\r\n{name}"),
            &format!("{name}\r\nContent-Transfer-Encoding: base64"),
            &format!("{name}\r\nContent-Type: text/plain; charset=utf-16"),
            &format!("{name}\r\nX-Other: 1"),
        ] {
            assert_eq!(found(&form(head)), None, "{head}");
        }
        for body in [
            String::new(),
            format!("before{}", form(name)),
            format!("{}after", form(name)),
            form(name).replace("--b--", "--c--"),
            form(name).replace("--b--", "--bb--"),
            form(name).replace("--b--", "--b --"),
            form(name).replace("\r\n\r\n", "\n\n"),
            form(name).replace("victim", "a\n--b\ncontent-disposition: form-data; name=email\n\nvictim"),
        ] {
            assert_eq!(found(&body), None, "{body}");
        }
    }

    #[test]
    fn there_is_one_boundary_or_none() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=b", Some("b")),
            ("Multipart/Form-Data;charset=utf-8; boundary=\"a b\"", None),
            ("multipart/form-data; boundary=\"----x\"", Some("----x")),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data; boundary*=utf-8''b", None),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=b", None),
        ] {
            assert_eq!(boundary(content_type), expected, "{content_type}");
        }
    }
}
