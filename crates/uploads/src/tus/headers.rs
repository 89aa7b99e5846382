//! Header fields of tus.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;

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

/// `Upload-Metadata`: keys, and values in Base64.
pub(super) fn metadata(headers: &HeaderMap) -> Result<Vec<(String, String)>, Refusal> {
    let mut found: Vec<(String, String)> = Vec::new();
    let Some(value) = headers.get("upload-metadata") else { return Ok(found) };
    let text = value.to_str().unwrap_or_default().trim();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
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
        let pairs = metadata(&with("upload-metadata", "filename YS50eHQ=,is_private")).ok().unwrap();
        assert_eq!(pairs, [("filename".into(), "a.txt".into()), ("is_private".into(), String::new())]);
        for wrong in ["filename ***", "a YQ==,a YQ==", "a\" YQ==", "x /w=="] {
            assert!(metadata(&with("upload-metadata", wrong)).is_err(), "{wrong}");
        }
        let mut right =
            Checksum::of(&with("upload-checksum", "sha1 qUqP5cyxm6YcTAhz05Hph5gvu9M=")).ok().unwrap().unwrap();
        right.update(b"test");
        assert!(right.matches());
        assert!(Checksum::of(&with("upload-checksum", "md5 AA==")).is_err());
    }
}
