//! Header fields of tus.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method, header};

use super::REQUEST;
use crate::problems::Refusal;

/// Of one upload.
const MOST_METADATA: usize = 32;

fn wrong<T>(detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(REQUEST, detail))
}

/// A number, when the field is there.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Refusal> {
    let mut all = headers.get_all(name).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()).filter(|_| all.next().is_none()) {
        Some(number) => Ok(Some(number)),
        None => wrong(format!("{name} is no number.")),
    }
}

/// `Upload-Metadata` as it was sent, for whoever asks later; several fields are one list (RFC 9110, 5.3).
pub(super) fn metadata_field(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let lines: Result<Vec<&str>, _> = headers.get_all("upload-metadata").iter().map(|value| value.to_str()).collect();
    match lines {
        Ok(lines) => Ok(Some(lines.join(",")).filter(|field| !field.trim().is_empty())),
        Err(_) => wrong("Upload-Metadata is no ASCII."),
    }
}

/// `Upload-Metadata`: keys, and values in Base64.
pub(super) fn metadata(field: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut found: Vec<(String, String)> = Vec::new();
    for pair in field.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        // Keys become names of fields in a form.
        let is_key =
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.[]".contains(&byte));
        let value = STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match value.filter(|_| is_key && !found.iter().any(|(known, _)| known == key)) {
            Some(value) if found.len() < MOST_METADATA => found.push((key.to_owned(), value)),
            _ => return wrong("Upload-Metadata has a pair that is not `key base64`, or is repeated."),
        }
    }
    Ok(found)
}

/// The method that is meant: clients that cannot send PATCH or DELETE name it in a field (tus 1.0, X-HTTP-Method-Override).
pub(super) fn method(sent: Method, headers: &HeaderMap) -> Result<Method, Refusal> {
    let Some(named) = headers.get("x-http-method-override") else { return Ok(sent) };
    let known = [Method::HEAD, Method::PATCH, Method::DELETE, Method::POST, Method::GET, Method::OPTIONS];
    let found = known.into_iter().find(|method| method.as_str().as_bytes() == named.as_bytes());
    found.map_or_else(|| wrong("X-HTTP-Method-Override names no method of tus."), Ok)
}

/// Whether the body is what a piece has to be.
pub(super) fn is_piece(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/offset+octet-stream")
}

/// A running checksum, and what it must come to.
pub(super) struct Checksum {
    context: digest::Context,
    wanted: Vec<u8>,
}

impl Checksum {
    /// `Upload-Checksum: sha1 BASE64`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let Some(value) = headers.get("upload-checksum") else { return Ok(None) };
        let (name, wanted) = value.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
        let algorithm = match name {
            "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            "sha256" => &digest::SHA256,
            _ => return wrong("Upload-Checksum names no algorithm that is known: sha1 or sha256."),
        };
        match STANDARD.decode(wanted.trim()) {
            Ok(wanted) => Ok(Some(Self { context: digest::Context::new(algorithm), wanted })),
            Err(_) => wrong("Upload-Checksum is not Base64."),
        }
    }

    pub(super) fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
    }

    pub(super) fn matches(self) -> bool {
        self.context.finish().as_ref() == self.wanted
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn fields_are_read_strictly() {
        assert_eq!(number(&with("upload-offset", "12"), "upload-offset").ok(), Some(Some(12)));
        for wrong in ["-1", "+1", "", "1.0", "99999999999999999999", "0x1"] {
            assert!(number(&with("upload-offset", wrong), "upload-offset").is_err(), "{wrong}");
        }
        let pairs = metadata("filename YS50eHQ=,is_private").ok().unwrap();
        assert_eq!(pairs, [("filename".into(), "a.txt".into()), ("is_private".into(), String::new())]);
        for wrong in ["filename ***", "a YQ==,a YQ==", "a\" YQ==", "x /w=="] {
            assert!(metadata(wrong).is_err(), "{wrong}");
        }
        let mut two = with("upload-metadata", "a YQ==");
        two.append("upload-metadata", HeaderValue::from_static("b"));
        assert_eq!(metadata_field(&two).ok().unwrap().as_deref(), Some("a YQ==,b"));
        assert_eq!(metadata_field(&HeaderMap::new()).ok().unwrap(), None);
        let meant = |value: &'static str| method(Method::POST, &with("x-http-method-override", value));
        assert_eq!(meant("PATCH").ok(), Some(Method::PATCH));
        assert!(meant("patch").is_err() && meant("TRACE").is_err());
        for (kind, is) in [
            ("application/offset+octet-stream", true),
            ("Application/Offset+Octet-Stream", true),
            ("text/plain", false),
        ] {
            assert_eq!(is_piece(&with("content-type", kind)), is, "{kind}");
        }
        let mut right =
            Checksum::of(&with("upload-checksum", "sha1 qUqP5cyxm6YcTAhz05Hph5gvu9M=")).ok().unwrap().unwrap();
        right.update(b"test");
        assert!(right.matches());
        assert!(Checksum::of(&with("upload-checksum", "md5 AA==")).is_err());
    }
}
