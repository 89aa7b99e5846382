//! What kind of file it is, by the extension of its name.

use http::HeaderValue;

/// The media type of a file's name, without parameters.
pub(crate) fn of(name: &str) -> &'static str {
    let name = name.rsplit('/').next().unwrap_or(name);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        // RFC 9239 names one type for scripts, and source maps are JSON (ECMA-426); the library has older ones.
        "mjs" => "text/javascript",
        "map" => "application/json",
        "otf" => "font/otf",
        _ => mime_guess::from_ext(extension).first_raw().unwrap_or("application/octet-stream"),
    }
}

/// `Content-Type`: text is UTF-8, as everything is that builds write today.
pub(crate) fn content_type(media_type: &'static str) -> HeaderValue {
    let plain = HeaderValue::from_static(media_type);
    if !media_type.starts_with("text/") {
        return plain;
    }
    HeaderValue::try_from(format!("{media_type}; charset=utf-8")).unwrap_or(plain)
}

/// Whether a browser shows it as a page.
pub(crate) fn is_page(media_type: &str) -> bool {
    matches!(media_type, "text/html" | "application/xhtml+xml")
}

/// Whether a build may have left a smaller variant beside it. Formats that are compressed already have none, and are not
/// looked for; all others then vary by `Accept-Encoding`.
pub(crate) fn is_compressible(media_type: &str) -> bool {
    let (kind, detail) = media_type.split_once('/').unwrap_or_default();
    match kind {
        "audio" | "video" => false,
        "image" => matches!(detail, "svg+xml" | "bmp" | "x-icon" | "x-ms-bmp"),
        "font" => !detail.starts_with("woff"),
        _ => !matches!(
            detail,
            "zip" | "gzip" | "zstd" | "pdf" | "x-7z-compressed" | "x-bzip2" | "x-xz" | "vnd.rar" | "epub+zip"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_that_browsers_insist_on() {
        let header = |name: &str| content_type(of(name)).to_str().unwrap().to_owned();
        assert_eq!(header("a/index.html"), "text/html; charset=utf-8");
        assert_eq!(header("a.js"), "text/javascript; charset=utf-8");
        assert_eq!(header("a.mjs"), "text/javascript; charset=utf-8");
        assert_eq!(header("a.css"), "text/css; charset=utf-8");
        assert_eq!(header("a.svg"), "image/svg+xml");
        assert_eq!(header("a.wasm"), "application/wasm");
        assert_eq!(header("a.woff2"), "font/woff2");
        assert_eq!(header("a.webmanifest"), "application/manifest+json");
        assert_eq!(header("A.JSON"), "application/json");
        assert_eq!(header("a.js.map"), "application/json");
        assert_eq!(header("a.unheard-of"), "application/octet-stream");
        assert_eq!(header("html"), "application/octet-stream");
        assert_eq!(header("a.html/b"), "application/octet-stream");
    }

    #[test]
    fn variants_are_looked_for_where_they_make_sense() {
        for name in ["a.html", "a.js", "a.svg", "a.json", "a.wasm", "a.ttf", "a"] {
            assert!(is_compressible(of(name)), "{name}");
        }
        for name in ["a.png", "a.jpg", "a.webp", "a.mp4", "a.mp3", "a.woff2", "a.zip", "a.gz", "a.pdf"] {
            assert!(!is_compressible(of(name)), "{name}");
        }
    }
}
