//! One key that tokens are verified with. The kind of key decides the algorithm, never the token: so `none` does not
//! exist, and a public key cannot be taken for a shared secret (RFC 8725, 2.1 and 3.1).

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rsa::{PublicEncryptingKey, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use serde::Deserialize;
use thiserror::Error;

use crate::settings::Algorithm;

/// Shorter secrets can be guessed from one token (RFC 7518, 3.2).
const SHORTEST_SECRET: usize = 32;

/// A key that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// HS256 with less than its hash has.
    #[error("a shared secret of {0} bytes can be guessed; use at least 32 random ones: openssl rand -base64 48")]
    Short(usize),
    /// It signs, and has no business here.
    #[error("this is a private key; verifying takes the public one: openssl pkey -in key.pem -pubout")]
    Private,
    /// PEM of another kind.
    #[error(
        "this PEM holds no `PUBLIC KEY`; make one with openssl x509 -pubkey -noout (of a certificate) or openssl rsa -RSAPublicKey_in -pubout"
    )]
    OtherPem,
    /// A key of a kind, size or curve that is not supported.
    #[error("not an RSA key of 2048 to 8192 bits, nor one on the curves P-256 and Ed25519")]
    Unsupported,
    /// A JWK that is broken.
    #[error("not a JSON Web Key (RFC 7517): {0}")]
    Jwk(&'static str),
}

/// A key and what it is for.
pub(crate) struct Key {
    /// Its name, when it has one.
    pub id: Option<String>,
    pub algorithm: Algorithm,
    material: Material,
}

enum Material {
    Shared(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// RFC 7517, 4, and RFC 7518, 6.
#[derive(Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

impl Key {
    /// From what stands in the config: PEM, a JWK, or a shared secret as it is.
    pub(crate) fn from_text(text: &str) -> Result<Self, KeyError> {
        let trimmed = text.trim();
        // Never a secret, whatever becomes of it: everybody may know a public key.
        if trimmed.contains("-----BEGIN") {
            return Self::from_pem(trimmed);
        }
        if trimmed.starts_with('{') {
            let jwk: Jwk = serde_json::from_str(trimmed).map_err(|_| KeyError::Jwk("it lacks members"))?;
            return Self::from_jwk(jwk);
        }
        Self::shared(None, text.as_bytes())
    }

    fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let info = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::OtherPem)?;
        // The structure names its kind, so at most one of them takes it.
        [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]
            .into_iter()
            .find_map(|algorithm| Self::public(None, algorithm, info.as_ref()).ok())
            .ok_or(KeyError::Unsupported)
    }

    pub(crate) fn from_jwk(jwk: Jwk) -> Result<Self, KeyError> {
        let signs = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|one| one == "verify"));
        if !signs {
            return Err(KeyError::Jwk("it is not for signatures"));
        }
        let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("oct", _) => Self::shared(jwk.kid, &bytes(jwk.k.as_deref())?),
            (_, _) if jwk.d.is_some() => Err(KeyError::Private),
            ("RSA", _) => {
                let (n, e) = (bytes(jwk.n.as_deref())?, bytes(jwk.e.as_deref())?);
                let info: PublicKeyX509Der<'_> =
                    PublicKeyComponents { n, e }.as_der().map_err(|_| KeyError::Unsupported)?;
                Self::public(jwk.kid, Algorithm::Rs256, info.as_ref())
            }
            ("EC", Some("P-256")) => {
                let point = [vec![4], bytes(jwk.x.as_deref())?, bytes(jwk.y.as_deref())?].concat();
                Self::public(jwk.kid, Algorithm::Es256, &point)
            }
            ("OKP", Some("Ed25519")) => Self::public(jwk.kid, Algorithm::EdDsa, &bytes(jwk.x.as_deref())?),
            _ => Err(KeyError::Unsupported),
        }?;
        match &jwk.alg {
            Some(name) if Algorithm::from_token(name) != Some(key.algorithm) => {
                Err(KeyError::Jwk("its `alg` is not the one of its kind that is supported"))
            }
            _ => Ok(key),
        }
    }

    fn shared(id: Option<String>, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SHORTEST_SECRET {
            return Err(KeyError::Short(secret.len()));
        }
        let material = Material::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret)));
        Ok(Self { id, algorithm: Algorithm::Hs256, material })
    }

    fn public(id: Option<String>, algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        let parsed = match algorithm {
            // The parser takes any size, and only verifying refuses it.
            Algorithm::Rs256 if !is_large_enough(bytes) => return Err(KeyError::Unsupported),
            Algorithm::Rs256 => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, bytes),
            Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes),
            Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, bytes),
            Algorithm::Hs256 => return Err(KeyError::Unsupported),
        };
        let material = Material::Public(parsed.map_err(|_| KeyError::Unsupported)?);
        Ok(Self { id, algorithm, material })
    }

    /// Whether this key has signed the message.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Shared(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// 2048 bits or more (RFC 7518, 3.3).
fn is_large_enough(info: &[u8]) -> bool {
    PublicEncryptingKey::from_der(info).is_ok_and(|key| (2_048..=8_192).contains(&key.key_size_bits()))
}

fn bytes(text: Option<&str>) -> Result<Vec<u8>, KeyError> {
    let text = text.ok_or(KeyError::Jwk("it lacks members"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Jwk("a member is not base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_key_decides() {
        let pem = |algorithm| rcgen::KeyPair::generate_for(algorithm).unwrap().public_key_pem();
        for (algorithm, made) in [
            (Algorithm::Es256, &rcgen::PKCS_ECDSA_P256_SHA256),
            (Algorithm::EdDsa, &rcgen::PKCS_ED25519),
            (Algorithm::Rs256, &rcgen::PKCS_RSA_SHA256),
        ] {
            assert_eq!(Key::from_text(&pem(made)).ok().unwrap().algorithm, algorithm);
        }
        assert_eq!(Key::from_text(&"s".repeat(32)).ok().unwrap().algorithm, Algorithm::Hs256);
    }

    #[test]
    fn says_what_is_wrong_with_a_key() {
        let wrong = |text: &str| Key::from_text(text).err().unwrap();
        assert_eq!(wrong("secret"), KeyError::Short(6));
        let pair = rcgen::KeyPair::generate().unwrap();
        assert_eq!(wrong(&pair.serialize_pem()), KeyError::Private);
        assert_eq!(wrong("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"), KeyError::OtherPem);
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(wrong(&other.public_key_pem()), KeyError::Unsupported);
        for jwk in [
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#,
        ] {
            assert_eq!(wrong(jwk), KeyError::Unsupported, "{jwk}");
        }
        let secret = URL_SAFE_NO_PAD.encode([7; 40]);
        assert!(matches!(wrong(&format!(r#"{{"kty":"oct","k":"{secret}","use":"enc"}}"#)), KeyError::Jwk(_)));
        assert!(matches!(wrong(&format!(r#"{{"kty":"oct","k":"{secret}","alg":"HS512"}}"#)), KeyError::Jwk(_)));
        assert!(Key::from_text(&format!(r#"{{"kty":"oct","k":"{secret}","alg":"HS256"}}"#)).is_ok());
    }
}
