//! Tokens that a vendor makes to be public.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Finding;

/// A JSON Web Token of a role for everybody (`anon`), as Supabase and the like give to browsers.
pub(in crate::secrets) fn is_public_token(finding: &Finding, text: &[u8]) -> bool {
    if finding.title != "JSON Web Token" {
        return false;
    }
    let text = String::from_utf8_lossy(text);
    let mut tokens = text.split(|character: char| !(character.is_ascii_alphanumeric() || "._-".contains(character)));
    let anonymous = |token: &str| {
        let payload = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
        payload.is_some_and(|payload| String::from_utf8_lossy(&payload).replace(' ', "").contains("\"role\":\"anon\""))
    };
    tokens.any(|token| token.starts_with("eyJ") && super::hash(token.as_bytes()) == finding.hash && anonymous(token))
}
