//! A signed JSON Web Token in compact form (RFC 7515, 7.1), from the header field to its claims.
//!
//! Of an unverified token only the header is read, and of that only which key it wants. Keys or addresses that a header
//! carries itself (`jwk`, `jku`, `x5u`) are never looked at.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{json, key::Key, settings::Algorithm};

/// Longer ones are no tokens of this world; servers behind us take no such header either.
const LONGEST: usize = 8_192;
/// A set may hold several keys without names; more are not tried for one token.
const MOST_TRIED: usize = 4;

/// Why a token is not believed. The texts are for the client too: they say nothing that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not three parts of base64url with JSON in them.
    #[error("it is not a JSON Web Token")]
    Malformed,
    /// Longer than 8 KiB.
    #[error("it is longer than 8 KiB")]
    TooLong,
    /// `none`, or one that is not configured.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// An extension that must be understood, and is not (RFC 7515, 4.1.11).
    #[error("it has critical extensions")]
    Critical,
    /// A token for another use (RFC 8725, 3.11).
    #[error("its `typ` is that of another kind of token")]
    Kind,
    /// No key is of its algorithm.
    #[error("no key of its algorithm is accepted")]
    NoSuchKey,
    /// It names a key that is not there.
    #[error("it is signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// Too late.
    #[error("it has expired")]
    Expired,
    /// Too early.
    #[error("it is not valid yet")]
    NotYet,
    /// Of somebody else.
    #[error("it is from another issuer")]
    Issuer,
    /// For somebody else.
    #[error("it is for another audience")]
    Audience,
    /// A claim is missing, or is not what it should be.
    #[error("{0}")]
    Claim(&'static str),
    /// Too many from this address were refused. How many seconds to wait.
    #[error("too many from this address were refused")]
    TooMany(u64),
    /// No key set was ever fetched, so nobody can tell.
    #[error("the keys are not there yet")]
    NoKeys,
}

impl Refusal {
    /// Whether a signature was looked at before it was known.
    pub(crate) fn is_dear(self) -> bool {
        matches!(self, Self::Signature | Self::Expired | Self::NotYet | Self::Issuer | Self::Audience | Self::Claim(_))
    }
}

/// RFC 7515, 4.1. A member that stands twice is an error.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

/// What a token is known by once it was verified.
pub(crate) type Fingerprint = [u8; 32];

pub(crate) fn fingerprint(token: &str) -> Fingerprint {
    let mut bytes = Fingerprint::default();
    bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    bytes
}

/// Verifies the signature with one of these keys and returns the claims.
pub(crate) fn verify<'k>(
    token: &str,
    keys: impl Iterator<Item = &'k Key> + Clone,
    accepted: &[Algorithm],
) -> Result<Map<String, Value>, Refusal> {
    if token.len() > LONGEST {
        return Err(Refusal::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(Refusal::Malformed)?;
    // Also one part more, which would be another format.
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Refusal::Malformed)?;
    let signature = decode(signature)?;
    if header.crit.is_some() {
        return Err(Refusal::Critical);
    }
    if !header.typ.as_deref().is_none_or(is_for_access) {
        return Err(Refusal::Kind);
    }
    let algorithm = Algorithm::from_token(&header.alg).filter(|algorithm| accepted.contains(algorithm));
    let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
    let fits = |key: &&Key| {
        let same_name = match (&key.id, &header.kid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        key.algorithm == algorithm && same_name
    };
    if !keys.clone().any(|key| fits(&key)) {
        return Err(if header.kid.is_some() { Refusal::UnknownKey } else { Refusal::NoSuchKey });
    }
    if !keys.filter(fits).take(MOST_TRIED).any(|key| key.has_signed(message.as_bytes(), &signature)) {
        return Err(Refusal::Signature);
    }
    json::object(&decode(claims)?).ok_or(Refusal::Malformed)
}

/// `JWT`, or an access token as RFC 9068 has it; what logs out or proves possession is none.
fn is_for_access(kind: &str) -> bool {
    let kind = kind.strip_prefix("application/").unwrap_or(kind);
    kind.eq_ignore_ascii_case("jwt") || kind.eq_ignore_ascii_case("at+jwt")
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use serde_json::json;

    use super::*;

    const SECRET: &str = "an honest secret of thirty-two bytes and more";
    const ALL: [Algorithm; 4] = [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

    /// A token as text, signed with HMAC by this secret whatever its header says.
    fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn verified(token: &str) -> Result<Map<String, Value>, Refusal> {
        let key = Key::from_text(SECRET).ok().unwrap();
        verify(token, [&key].into_iter(), &ALL)
    }

    #[test]
    fn an_honest_token_is_read() {
        let token = signed(r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"sub":"a"}"#, SECRET.as_bytes());
        assert_eq!(verified(&token).unwrap()["sub"], json!("a"));
    }

    #[test]
    fn a_token_cannot_choose_how_it_is_verified() {
        let sign = |header: &str| signed(header, r#"{"sub":"a"}"#, SECRET.as_bytes());
        let refused = |token: &str| verified(token).unwrap_err();
        for none in ["none", "None", "NONE", "nOnE", "", "hs256", "HS384", "HS512"] {
            let token = sign(&format!(r#"{{"alg":"{none}"}}"#));
            let (message, _) = token.rsplit_once('.').unwrap();
            assert_eq!(refused(&token), Refusal::Algorithm, "{none}");
            assert_eq!(refused(&format!("{message}.")), Refusal::Algorithm, "{none} without a signature");
        }
        assert_eq!(refused(&sign(r#"{"alg":"RS256"}"#)), Refusal::NoSuchKey, "the key is a secret");
        assert_eq!(refused(&sign(r#"{"alg":"HS256","crit":["exp"]}"#)), Refusal::Critical);
        assert_eq!(refused(&sign(r#"{"alg":"HS256","crit":[]}"#)), Refusal::Critical);
        assert_eq!(refused(&sign(r#"{"alg":"HS256","alg":"none"}"#)), Refusal::Malformed);
        assert_eq!(refused(&sign(r#"{"alg":"HS256","typ":"logout+jwt"}"#)), Refusal::Kind);
        assert_eq!(refused(&sign(r#"{"alg":{"a":1}}"#)), Refusal::Malformed);
        let key = Key::from_text(SECRET).ok().unwrap();
        let accepted = [Algorithm::Es256];
        assert_eq!(verify(&sign(r#"{"alg":"HS256"}"#), [&key].into_iter(), &accepted), Err(Refusal::Algorithm));
    }

    #[test]
    fn a_public_key_is_no_shared_secret() {
        let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().public_key_pem();
        let key = Key::from_text(&pem).ok().unwrap();
        for secret in [pem.as_bytes(), pem.trim().as_bytes()] {
            let token = signed(r#"{"alg":"HS256"}"#, r#"{"sub":"root"}"#, secret);
            assert_eq!(verify(&token, [&key].into_iter(), &ALL), Err(Refusal::NoSuchKey));
            let token = signed(r#"{"alg":"RS256"}"#, r#"{"sub":"root"}"#, secret);
            assert_eq!(verify(&token, [&key].into_iter(), &ALL), Err(Refusal::Signature));
        }
    }

    #[test]
    fn what_was_changed_or_is_no_token_is_refused() {
        let token = signed(r#"{"alg":"HS256"}"#, r#"{"sub":"a"}"#, SECRET.as_bytes());
        let other = signed(r#"{"alg":"HS256"}"#, r#"{"sub":"b"}"#, SECRET.as_bytes());
        let mixed = format!("{}.{}", other.rsplit_once('.').unwrap().0, token.rsplit_once('.').unwrap().1);
        assert_eq!(verified(&mixed), Err(Refusal::Signature));
        let twice = signed(r#"{"alg":"HS256"}"#, r#"{"sub":"a","sub":"root"}"#, SECRET.as_bytes());
        assert_eq!(verified(&twice), Err(Refusal::Malformed));
        let list = signed(r#"{"alg":"HS256"}"#, r#"["sub"]"#, SECRET.as_bytes());
        assert_eq!(verified(&list), Err(Refusal::Malformed));
        for broken in ["", ".", "..", "a.b.c", &format!("{token}="), &format!("{token}.e30"), &token[..token.len() - 2]]
        {
            assert!(matches!(verified(broken), Err(Refusal::Malformed | Refusal::Signature)), "{broken}");
        }
        let deep = signed(r#"{"alg":"HS256"}"#, &"[".repeat(4_000), SECRET.as_bytes());
        assert_eq!(verified(&deep), Err(Refusal::Malformed));
        assert_eq!(verified(&"a".repeat(LONGEST + 1)), Err(Refusal::TooLong));
    }

    #[test]
    fn a_named_key_is_used_alone() {
        let jwk = |name: &str, secret: &str| {
            let k = URL_SAFE_NO_PAD.encode(secret);
            Key::from_text(&format!(r#"{{"kty":"oct","kid":"{name}","k":"{k}"}}"#)).ok().unwrap()
        };
        let (old, new) = (jwk("old", SECRET), jwk("new", "another secret of thirty-two bytes and more"));
        let ask = |header: &str| {
            verify(&signed(header, "{}", SECRET.as_bytes()), [&new, &old].into_iter(), &ALL).map(|claims| claims.len())
        };
        assert_eq!(ask(r#"{"alg":"HS256","kid":"old"}"#), Ok(0));
        assert_eq!(ask(r#"{"alg":"HS256","kid":"new"}"#), Err(Refusal::Signature));
        assert_eq!(ask(r#"{"alg":"HS256","kid":"../../etc/passwd"}"#), Err(Refusal::UnknownKey));
        assert_eq!(ask(r#"{"alg":"HS256"}"#), Ok(0), "without a name, those of its kind are tried");
    }
}
