//! The `Authorization` field, and what a refusal says of it (RFC 6750, 2.1 and 3).

use http::{HeaderMap, HeaderValue, Method, Request, header};
use seaworthy_core::Body;

/// What a request brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    /// Nothing, or another scheme, which is the app's affair.
    None,
    /// A bearer token.
    Token(&'a str),
    /// More than one, or none that could be a token.
    Broken,
}

/// Finds the token. Of two fields we and the app might read different ones.
pub(crate) fn credential(headers: &HeaderMap) -> Credential<'_> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Credential::None };
    if fields.next().is_some() {
        return Credential::Broken;
    }
    let bytes = field.as_bytes();
    let scheme = bytes.iter().position(|byte| *byte == b' ').map_or(bytes, |end| &bytes[..end]);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Credential::None;
    }
    let token = bytes[scheme.len()..].trim_ascii();
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    match std::str::from_utf8(token) {
        Ok(text) if !token.is_empty() && token.iter().all(is_token) => Credential::Token(text),
        _ => Credential::Broken,
    }
}

/// A browser's question whether a page may ask; it carries no credentials, and its answer tells nothing (Fetch, 4.8).
pub(crate) fn is_preflight(request: &Request<Body>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// `WWW-Authenticate`; without a token it only says what is wanted (RFC 6750, 3.1).
pub(crate) fn challenge(error: Option<(&'static str, &str)>) -> HeaderValue {
    let text = match error {
        None => "Bearer realm=\"app\"".to_owned(),
        // The texts are ours, without quotes or backslashes.
        Some((error, why)) => format!("Bearer realm=\"app\", error=\"{error}\", error_description=\"{why}\""),
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer realm=\"app\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_is_found_and_what_is_unclear_is_not_guessed() {
        let of = |fields: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(field.as_bytes()).unwrap());
            }
            match credential(&headers) {
                Credential::None => "none".to_owned(),
                Credential::Token(token) => format!("token {token}"),
                Credential::Broken => "broken".to_owned(),
            }
        };
        assert_eq!(of(&[]), "none");
        assert_eq!(of(&["Basic dXNlcjpwYXNz"]), "none");
        assert_eq!(of(&["Bearer a.b-_~+/c="]), "token a.b-_~+/c=");
        assert_eq!(of(&["bEARER   a.b.c "]), "token a.b.c");
        for broken in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer \"a\"", "Bearer ä"] {
            assert_eq!(of(&[broken]), "broken", "{broken}");
        }
        assert_eq!(of(&["Bearer a", "Bearer b"]), "broken");
        assert_eq!(of(&["Basic a", "Bearer b"]), "broken");
        assert_eq!(of(&["Bearera b"]), "none");
    }
}
