//! The key as the client sends it, and whose it is.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HOST},
};
use seaworthy_core::RequestContext;
use sha2::{Digest, Sha256};

/// draft-ietf-httpapi-idempotency-key-header, 2.1.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Longer keys are refused.
const LONGEST: usize = 255;

/// One client's key for one method and path, as a hash: the key itself is written nowhere.
pub(super) type KeyId = [u8; 32];
/// A client, as a hash.
pub(super) type Owner = [u8; 16];

/// What a request says of its key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Given<'a> {
    /// Nothing.
    Nothing,
    /// A key, without its quotes.
    Key(&'a [u8]),
    /// Something that is no key, or several.
    Malformed,
}

/// Reads the header. The draft wants a string of RFC 9651 in quotes; most clients send the bare word, so both are the same
/// key. Escapes and parameters, which no client sends, are refused.
pub(crate) fn given(headers: &HeaderMap) -> Given<'_> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else { return Given::Nothing };
    let text = value.as_bytes().trim_ascii();
    let inner = match text {
        [b'"', inner @ .., b'"'] => inner,
        bare => bare,
    };
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let usable = (1..=LONGEST).contains(&inner.len()) && inner.iter().all(plain);
    if usable && more.is_none() { Given::Key(inner) } else { Given::Malformed }
}

/// Who repeats: whoever proved who they are, else whoever has the same credentials, else the same address.
pub(super) fn owner(context: &RequestContext, headers: &HeaderMap, cookies: &[String]) -> Owner {
    let mut hash = Sha256::new();
    if let Some(principal) = context.principal.get() {
        hash.update(b"principal");
        hash.update(principal.fingerprint().to_be_bytes());
    } else {
        let mut told = false;
        for name in [AUTHORIZATION, API_KEY] {
            for value in headers.get_all(&name) {
                told = true;
                part(&mut hash, value.as_bytes());
            }
        }
        for cookie in headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';')) {
            let cookie = cookie.trim_ascii();
            let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default();
            if !cookie.is_empty() && (cookies.is_empty() || cookies.iter().any(|known| known.as_bytes() == name)) {
                told = true;
                part(&mut hash, cookie);
            }
        }
        if !told {
            hash.update(b"address");
            match context.client.map(|address| address.to_canonical()) {
                Some(IpAddr::V4(address)) => hash.update(address.octets()),
                // Whoever has one address of IPv6 has the whole network, and changes within it.
                Some(IpAddr::V6(address)) => hash.update(&address.octets()[..8]),
                None => {}
            }
        }
    }
    let mut owner = [0; 16];
    owner.copy_from_slice(&hash.finalize()[..16]);
    owner
}

/// The name under which a request is written down.
pub(super) fn id<B>(owner: &Owner, context: &RequestContext, request: &Request<B>, key: &[u8]) -> KeyId {
    let mut hash = Sha256::new();
    hash.update(owner);
    // An app may serve another tenant under another name; on another port it is the same one.
    let host = context.forwarded_host.as_ref().or_else(|| request.headers().get(HOST));
    let host = without_port(host.map(HeaderValue::as_bytes).unwrap_or_default());
    part(&mut hash, &host.to_ascii_lowercase());
    part(&mut hash, request.method().as_str().as_bytes());
    part(&mut hash, request.uri().path().as_bytes());
    part(&mut hash, key);
    hash.finalize().into()
}

fn without_port(host: &[u8]) -> &[u8] {
    let port = host.iter().rposition(|byte| *byte == b':').filter(|at| host[at + 1..].iter().all(u8::is_ascii_digit));
    port.map_or(host, |at| &host[..at])
}

/// The beginning of a request's fingerprint; its body follows.
pub(super) fn fingerprint<B>(request: &Request<B>) -> Sha256 {
    let mut hash = Sha256::new();
    part(&mut hash, request.uri().query().unwrap_or_default().as_bytes());
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        part(&mut hash, request.headers().get(name).map(HeaderValue::as_bytes).unwrap_or_default());
    }
    hash
}

/// With its length in front, so that no two lists of parts are the same bytes.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use seaworthy_core::{Principal, PrincipalDetails, PrincipalKind, RequestId};

    use super::*;

    fn headers(list: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_the_same_with_quotes_and_without() {
        let read = |values: &[&str]| match given(&headers(
            &values.iter().map(|one| (IDEMPOTENCY_KEY, *one)).collect::<Vec<_>>(),
        )) {
            Given::Nothing => "nothing".to_owned(),
            Given::Key(key) => String::from_utf8(key.to_vec()).unwrap(),
            Given::Malformed => "malformed".to_owned(),
        };
        assert_eq!(read(&[]), "nothing");
        assert_eq!(read(&["\"8e03978e-40d5\""]), "8e03978e-40d5");
        assert_eq!(read(&[" 8e03978e-40d5 "]), "8e03978e-40d5");
        let (long, longest) = ("a".repeat(256), "a".repeat(255));
        for wrong in [&["a", "a"][..], &[""], &["\"\""], &["\""], &["a b"], &["\"a\";p=1"], &["a\"b"], &["ü"], &[&long]]
        {
            assert_eq!(read(wrong), "malformed", "{wrong:?}");
        }
        assert_eq!(read(&[&longest]), longest);
    }

    #[test]
    fn a_host_is_the_same_on_every_port() {
        let hosts =
            [("a.test:80", "a.test"), ("a.test", "a.test"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")];
        for (host, name) in hosts {
            assert_eq!(without_port(host.as_bytes()), name.as_bytes());
        }
    }

    #[test]
    fn a_key_is_its_owners_alone() {
        let context = |address: &str, user: Option<&str>| {
            let mut context = RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r")).unwrap());
            context.client = Some(address.parse().unwrap());
            if let Some(id) = user {
                let kind = PrincipalKind::User;
                let details =
                    PrincipalDetails { kind, id: id.into(), tenant: None, roles: Vec::new(), scopes: Vec::new() };
                context.principal = OnceLock::from(Principal::new(details));
            }
            context
        };
        let none = HeaderMap::new();
        let token = |text: &'static str| headers(&[(AUTHORIZATION, text)]);
        let of = |context: &RequestContext, headers: &HeaderMap| owner(context, headers, &["session".into()]);
        let (ann, bob) = (context("192.0.2.1", Some("ann")), context("192.0.2.1", Some("bob")));
        assert_ne!(of(&ann, &none), of(&bob, &none));
        assert_eq!(of(&ann, &token("old")), of(&context("192.0.2.9", Some("ann")), &token("new")), "a renewed token");
        let here = context("192.0.2.1", None);
        assert_ne!(of(&here, &token("a")), of(&here, &token("b")));
        assert_ne!(of(&here, &none), of(&context("192.0.2.2", None), &none));
        assert_eq!(of(&context("2001:db8::1", None), &none), of(&context("2001:db8::2:1", None), &none));
        let cookie = |text: &'static str| headers(&[(COOKIE, text)]);
        assert_eq!(of(&here, &cookie("session=1; seen=2")), of(&here, &cookie("seen=3; session=1")));
        assert_ne!(of(&here, &cookie("session=1")), of(&here, &cookie("session=2")));
        assert_eq!(of(&here, &cookie("seen=3")), of(&here, &none), "says nothing of who it is");
    }
}
