//! One spelling for the many that apps take for the same path.
//!
//! A route's policy must hold however its path is written: nearly every app decodes `%64`, and many drop empty segments,
//! what follows a semicolon, a slash at the end, or the difference of cases. The path itself goes to the app as it was sent.

use percent_encoding::percent_decode_str;

/// A path in the spelling that routes are also looked up in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub path: String,
    /// It differs in more than case or a slash at its end: no client writes it so without a reason.
    pub strange: bool,
}

/// `None`: it is written in that spelling already.
pub(crate) fn fold(path: &str) -> Option<Folded> {
    let bytes = path.as_bytes();
    let strange = bytes.iter().any(|byte| matches!(byte, b'%' | b';' | b'\\'))
        || bytes.windows(2).any(|two| two == b"//" || two == b"/.");
    if !strange && !bytes.iter().any(u8::is_ascii_uppercase) && (bytes.len() < 2 || !bytes.ends_with(b"/")) {
        return None;
    }
    // What is no UTF-8 becomes something that no pattern has.
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_lowercase().replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => _ = segments.pop(),
            name => segments.push(name),
        }
    }
    Some(Folded { path: format!("/{}", segments.join("/")), strange })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apps_take_for_the_same_is_the_same() {
        for plain in ["/", "/api/documents", "/a-b_c.d~e/1", "*"] {
            assert_eq!(fold(plain), None, "{plain}");
        }
        let strange = [
            "/api/%64ocuments",
            "/api//documents",
            "//api/documents",
            "/api/documents;x=1",
            "/api;a/documents",
            "/api/./documents",
            "/x/../api/documents",
            "/x/%2e%2E/api/documents",
            "/api%2Fdocuments",
            "/api\\documents",
            "/api%5cdocuments",
            "/%41PI/documents/",
        ];
        for path in strange {
            let folded = fold(path).unwrap();
            assert_eq!((folded.path.as_str(), folded.strange), ("/api/documents", true), "{path}");
        }
        for path in ["/api/documents/", "/API/Documents", "/api/DOCUMENTS/"] {
            let folded = fold(path).unwrap();
            assert_eq!((folded.path.as_str(), folded.strange), ("/api/documents", false), "{path}");
        }
        assert_eq!(fold("/%").unwrap().path, "/%");
        assert_eq!(fold("/%ff%4").unwrap().path, "/\u{fffd}%4");
        assert_eq!(fold("/../..").unwrap().path, "/");
    }
}
