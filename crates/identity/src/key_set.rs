//! The keys that are trusted at a moment.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    key::{Jwk, Key, KeyError},
    settings::Algorithm,
};

/// More keys than any issuer has; each could cost a verification a token.
const MOST_KEYS: usize = 64;

/// RFC 7517, 5.
#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// Reads a JSON Web Key Set. Keys of other kinds are left out, as the RFC asks; with `public` also shared secrets, which
/// nobody can mean to publish.
///
/// # Errors
/// It is no key set, or none of its keys can be used.
pub(crate) fn read(text: &[u8], public: bool) -> Result<Vec<Key>, &'static str> {
    let document: Document = serde_json::from_slice(text).map_err(|_| "it is not a JSON Web Key Set (RFC 7517, 5)")?;
    if document.keys.len() > MOST_KEYS {
        return Err("it has more than 64 keys");
    }
    let usable = |value: Value| -> Result<Key, KeyError> {
        Key::from_jwk(serde_json::from_value::<Jwk>(value).map_err(|_| KeyError::Jwk("it lacks members"))?)
    };
    let keys: Vec<Key> = document
        .keys
        .into_iter()
        .filter_map(|value| usable(value).inspect_err(|error| tracing::debug!(%error, "a key is left out")).ok())
        .filter(|key| !(public && key.algorithm == Algorithm::Hs256))
        .collect();
    if keys.is_empty() {
        Err("it has no key that can be used: RSA from 2048 bits, P-256 or Ed25519, for signatures")
    } else {
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_use_is_left_out() {
        let ed = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let secret = r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
        let set = format!(r#"{{"keys":[{ed},{secret},{{"kty":"new"}},7]}}"#);
        assert_eq!(read(set.as_bytes(), true).ok().unwrap().len(), 1);
        assert_eq!(read(set.as_bytes(), false).ok().unwrap().len(), 2);
        assert!(read(format!(r#"{{"keys":[{secret}]}}"#).as_bytes(), true).is_err());
        assert!(read(b"<html>", true).is_err() && read(br#"{"keys":[]}"#, true).is_err());
        let many = vec![ed; MOST_KEYS + 1].join(",");
        assert!(read(format!(r#"{{"keys":[{many}]}}"#).as_bytes(), true).is_err());
    }
}
