//! From a request's path to a place below the root: decoded once, and refused when it could mean anything else.
//!
//! The route was found by the path as it came. A path that only becomes another one by decoding must therefore not be
//! served: `/files/private%2Fkey` would pass by a stricter route for `/files/private/*`. A slash in disguise is refused;
//! a letter in disguise (`%70rivate`) is sent back under its plain spelling, and takes the right route then.

/// A path that may be looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RequestPath {
    /// Below the root.
    Place(Place),
    /// The same path with unreserved characters unescaped, which RFC 3986, 6.2.2.2 calls equivalent.
    Respelled(String),
}

/// Segments that hold no `.`, `..`, separator or control character, joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Without a slash at either end; empty for the root.
    pub relative: String,
    /// The path ended in a slash.
    pub folder: bool,
}

/// A path, decoded and as it should have been spelled.
struct Decoded {
    text: String,
    respelled: Option<String>,
}

/// Understands a path whose front is `strip` (from [`prefix`]). `None` is for what is never served: `..`, hidden files
/// (but for `.well-known`, RFC 8615), empty segments, encoded or wrong separators, control characters, text that is not
/// UTF-8.
pub(crate) fn parse(path: &str, strip: &str) -> Option<RequestPath> {
    let decoded = decode(path)?;
    if !decoded.text.starts_with('/') || decoded.text.starts_with("//") {
        return None;
    }
    let rest = decoded.text.strip_prefix(strip)?;
    let (inside, folder) = match rest.strip_prefix('/') {
        Some(inside) => (inside.strip_suffix('/').unwrap_or(inside), rest.ends_with('/')),
        None if rest.is_empty() => ("", false),
        None => return None,
    };
    let mut segments = inside.split('/').enumerate();
    let nothing_left = inside.is_empty() && rest.len() <= 1;
    if !nothing_left && !segments.all(|(index, segment)| is_served(index, segment)) {
        return None;
    }
    let place = Place { relative: inside.to_owned(), folder };
    Some(decoded.respelled.map_or(RequestPath::Place(place), RequestPath::Respelled))
}

/// A prefix as [`parse`] takes it: decoded, without a slash at its end. `None` when it is not the front of a path.
pub(crate) fn prefix(text: &str) -> Option<String> {
    let decoded = decode(text)?.text;
    let trimmed = decoded.trim_end_matches('/');
    let segments = || trimmed.split('/').skip(1);
    let whole =
        trimmed.is_empty() || trimmed.starts_with('/') && segments().all(|segment| !matches!(segment, "" | "." | ".."));
    whole.then(|| trimmed.to_owned())
}

fn is_served(index: usize, segment: &str) -> bool {
    !segment.is_empty() && (!segment.starts_with('.') || (index == 0 && segment == ".well-known"))
}

fn decode(path: &str) -> Option<Decoded> {
    let mut text = Vec::with_capacity(path.len());
    let mut respelled = Vec::new();
    let mut needless = false;
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'%';
        let byte = if escaped { hexadecimal(bytes.next()?)? << 4 | hexadecimal(bytes.next()?)? } else { byte };
        if byte.is_ascii_control() || byte == b'\\' || (escaped && byte == b'/') {
            return None;
        }
        text.push(byte);
        if escaped && is_unreserved(byte) {
            needless = true;
            respelled.push(byte);
        } else if escaped {
            respelled.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            respelled.push(byte);
        }
    }
    let text = String::from_utf8(text).ok()?;
    let respelled = if needless { Some(String::from_utf8(respelled).ok()?) } else { None };
    Some(Decoded { text, respelled })
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Option<String> {
        match parse(path, "/assets")? {
            RequestPath::Place(place) => Some(format!("{}{}", place.relative, if place.folder { "/" } else { "" })),
            RequestPath::Respelled(path) => Some(format!("=> {path}")),
        }
    }

    #[test]
    fn ordinary_paths_are_places_below_the_root() {
        assert_eq!(place("/assets/a/b.js").unwrap(), "a/b.js");
        assert_eq!(place("/assets/a/").unwrap(), "a/");
        assert_eq!(place("/assets/").unwrap(), "/");
        assert_eq!(place("/assets").unwrap(), "");
        assert_eq!(place("/assets/%5Bid%5D/a%20b.js").unwrap(), "[id]/a b.js");
        assert_eq!(place("/assets/caf%C3%A9.png").unwrap(), "café.png");
        assert_eq!(place("/assets/.well-known/security.txt").unwrap(), ".well-known/security.txt");
        // Decoded once: what is left is a name with percent signs.
        assert_eq!(place("/assets/%252e%252e/x").unwrap(), "%2e%2e/x");
        assert_eq!(place("/assets/a..b").unwrap(), "a..b");
        assert_eq!(parse("/", "").unwrap(), RequestPath::Place(Place { relative: String::new(), folder: true }));
    }

    #[test]
    fn what_could_mean_another_place_is_refused() {
        for path in [
            "/assets/../secret",
            "/assets/a/../../secret",
            "/assets/%2e%2e/secret",
            "/assets/.%2E/secret",
            "/assets/..%2fsecret",
            "/assets/a%2Fb",
            "/assets/..\\secret",
            "/assets/..%5csecret",
            "/assets/a%00.js",
            "/assets/a%0a",
            "/assets/%7f",
            "/assets//etc/passwd",
            "/assets///",
            "/assets/a//b",
            "/assets/a//",
            "/assets/./a",
            "/assets/.env",
            "/assets/.git/config",
            "/assets/a/.well-known/x",
            "/assets/.well-known/.hidden",
            "/assets/%2Eenv",
            "/assets/%zz",
            "/assets/%4",
            "/assets/%ff",
            "/assetsx/a.js",
            "/other/a.js",
            "//evil.test/",
            "",
            "*",
        ] {
            assert_eq!(place(path), None, "{path}");
        }
        assert_eq!(parse("//evil.test", ""), None);
    }

    #[test]
    fn a_disguised_letter_is_sent_to_its_plain_spelling() {
        assert_eq!(place("/assets/%70rivate/k%65y%20%5b").unwrap(), "=> /assets/private/key%20%5B");
        assert_eq!(place("/%61ssets/a.js").unwrap(), "=> /assets/a.js");
    }

    #[test]
    fn prefixes_are_fronts_of_paths() {
        assert_eq!(prefix("/assets/").as_deref(), Some("/assets"));
        assert_eq!(prefix("/a%20b").as_deref(), Some("/a b"));
        assert_eq!(prefix("/").as_deref(), Some(""));
        assert_eq!(prefix("").as_deref(), Some(""));
        for wrong in ["assets", "/a/../b", "//a", "/%zz"] {
            assert_eq!(prefix(wrong), None, "{wrong}");
        }
    }
}
