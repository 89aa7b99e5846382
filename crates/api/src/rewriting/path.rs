//! Paths with one meaning.

/// Whether every reader takes this path for the same one: no empty segment, no `.` or `..` in any spelling, no escaped
/// separator, and nothing escaped that needs no escape (RFC 3986, 6.2.2). The route was found by the path as it was sent, so
/// one that an app would bring to another spelling could get past that route's policy.
pub(crate) fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        // Some servers take off what follows a semicolon before they look for dots.
        let name = segment.split(';').next().unwrap_or_default();
        if matches!(name, "." | "..") || (segment.is_empty() && !last) || !is_plainly_escaped(segment) {
            return false;
        }
    }
    true
}

fn is_plainly_escaped(segment: &str) -> bool {
    let mut rest = segment.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'%' => {
                let Some(byte) = after.get(..2).and_then(unescape) else { return false };
                // `~` was not always one of those that need no escape (RFC 1738, 2.2), and some clients still escape it.
                let needless = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                if needless || byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b';') {
                    return false;
                }
                rest = after.get(2..).unwrap_or_default();
            }
            b'\\' => return false,
            byte if byte.is_ascii_control() => return false,
            _ => rest = after,
        }
    }
    true
}

fn unescape(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low] = digits else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// What follows a prefix that ends between two segments; `None` when the path is not below it.
pub(super) fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_two_meanings_is_none() {
        for plain in ["/", "/v1", "/v1/", "/v1/a%20b", "/v1/a;p=1", "/v1/...", "/v1/%C3%BC", "/v1/%7Eann", "/a/.b"] {
            assert!(is_plain(plain), "{plain}");
        }
        let confusing = [
            "",
            "*",
            "v1",
            "//v1",
            "/v1//admin",
            "/v1/../admin",
            "/v1/.",
            "/v1/..",
            "/v1/%2e%2e/admin",
            "/v1/.%2E/x",
            "/v1/..;/admin",
            "/v1/..;a=b/admin",
            "/v1/.;/x",
            "/v1%2fadmin",
            "/v1/%5c",
            "/v1/a\\b",
            "/v1/%61dmin",
            "/%76%31/a",
            "/v1/a%2",
            "/v1/a%",
            "/v1/a%zz",
            "/v1/%00",
            "/v1/%0d%0a",
            "/v1/..%3b/admin",
            "/v1/%+1",
        ];
        for path in confusing {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn a_prefix_ends_between_segments() {
        assert_eq!(below("/v1/a", "/v1"), Some("/a"));
        assert_eq!(below("/v1", "/v1"), Some(""));
        assert_eq!(below("/v10/a", "/v1"), None);
    }
}
