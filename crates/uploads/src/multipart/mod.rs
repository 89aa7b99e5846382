//! Forms (`multipart/form-data`, RFC 7578), read strictly while they stream.
//!
//! The app will read the same bytes with a parser of its own. So whatever two parsers might take differently is refused: a
//! preamble or epilogue, padding, line ends that are not CRLF, the boundary anywhere but where it delimits, parameters that
//! are repeated, unknown or oddly quoted, `filename*` (RFC 7578, 4.2 forbids it), parts in parts, encodings of parts.

mod disposition;
mod parser;

pub(crate) use parser::{Limits, Parser};

use std::ops::Range;

use http::{HeaderMap, header};

use crate::problems::{Refusal, malformed};

/// One part of a form, by where its bytes are in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its name in the form.
    pub name: String,
    /// Given for files.
    pub filename: Option<String>,
    /// Where the filename stands in the body, without its quotes.
    pub filename_at: Range<u64>,
    /// As the client declares it.
    pub content_type: Option<String>,
    /// Its content.
    pub data: Range<u64>,
}

/// What a request's headers say of its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A form with this boundary.
    Form(String),
    /// One file of this declared type.
    Raw(Option<String>),
}

/// Reads `Content-Type`, of which there may be one.
pub(crate) fn framing(headers: &HeaderMap) -> Result<Framing, Refusal> {
    let mut all = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(value) = all.next() else { return Ok(Framing::Raw(None)) };
    if all.next().is_some() {
        return malformed("There is more than one Content-Type.");
    }
    let Ok(text) = value.to_str() else { return malformed("The Content-Type is not ASCII.") };
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !kind.starts_with("multipart/") {
        return Ok(Framing::Raw(Some(kind)));
    }
    if kind != "multipart/form-data" {
        return malformed("Of multipart types only multipart/form-data is taken.");
    }
    let mut boundary = None;
    let rest = text.split_once(';').map(|(_, rest)| rest).unwrap_or_default();
    for (name, value, _) in disposition::parameters(rest)? {
        match name.as_str() {
            "boundary" if boundary.is_none() => boundary = Some(value),
            "charset" => {}
            _ => return malformed(format!("The Content-Type has a parameter that is unknown or repeated: {name}.")),
        }
    }
    // RFC 2046, 5.1.1: up to 70 of these, and no space at the end.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    match boundary {
        Some(text) if (1..=70).contains(&text.len()) && text.bytes().all(fits) && !text.ends_with(' ') => {
            Ok(Framing::Form(text))
        }
        _ => malformed("The Content-Type has no proper boundary."),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> Result<Framing, ()> {
        let named = values.iter().map(|value| (header::CONTENT_TYPE, HeaderValue::from_str(value).unwrap()));
        let mut headers = HeaderMap::new();
        named.for_each(|(name, value)| _ = headers.append(name, value));
        framing(&headers).map_err(drop)
    }

    #[test]
    fn a_boundary_is_named_once_and_plainly() {
        assert_eq!(of(&["multipart/form-data; boundary=abc"]), Ok(Framing::Form("abc".into())));
        assert_eq!(of(&["Multipart/Form-Data; boundary=\"a b\"; charset=utf-8"]), Ok(Framing::Form("a b".into())));
        assert_eq!(of(&["image/PNG; q=1"]), Ok(Framing::Raw(Some("image/png".into()))));
        assert_eq!(of(&[]), Ok(Framing::Raw(None)));
        for wrong in [
            &["multipart/form-data"][..],
            &["multipart/form-data; boundary="],
            &["multipart/form-data; boundary=a; boundary=b"],
            &["multipart/form-data; boundary=a; Boundary=a"],
            &["multipart/form-data; boundary=\"a"],
            &["multipart/form-data; boundary=a b"],
            &["multipart/form-data; boundary=\"a \""],
            &["multipart/form-data; boundary*=utf-8''a"],
            &["multipart/mixed; boundary=a"],
            &["multipart/form-data; boundary=a", "multipart/form-data; boundary=b"],
            &["multipart/form-data, text/plain; boundary=a"],
        ] {
            assert_eq!(of(wrong), Err(()), "{wrong:?}");
        }
    }
}
