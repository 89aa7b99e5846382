//! What tells stored answers apart before `Vary` does: scheme, host, target, and what the route's policy adds.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header::HOST, uri::PathAndQuery};
use seaworthy_core::{Body, RequestContext};

use crate::policy::{Partition, Policy};

/// A place in the store. `scheme://host`, a line end, the target, a line end, and the rest in bytes of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    bytes: Vec<u8>,
    site: usize,
    target: usize,
}

/// What has a line end of its own in a key: neither a host nor a target can contain one.
const END: u8 = b'\n';

impl Key {
    /// The key of a request; `search` is the digest of a POST's body.
    pub(crate) fn of(
        request: &Request<Body>,
        context: &RequestContext,
        policy: &Policy,
        partition: Partition,
        search: Option<&[u8; 32]>,
    ) -> Self {
        let target = target(request.uri());
        let mut bytes = Vec::with_capacity(64 + target.len());
        write_site(&mut bytes, request.headers(), context);
        let site = bytes.len();
        bytes.push(END);
        bytes.extend_from_slice(target.as_bytes());
        let end = bytes.len();
        bytes.push(END);
        if let Partition::Principal(digest) = &partition {
            bytes.push(b'p');
            bytes.extend_from_slice(digest);
        }
        if let Some(digest) = search {
            bytes.push(b's');
            bytes.extend_from_slice(digest);
        }
        for name in &policy.vary {
            write_field(&mut bytes, name, request.headers());
        }
        Self { bytes, site, target: end }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `scheme://host`; another host that a trusted proxy named follows after a space.
    pub(crate) fn site(&self) -> &[u8] {
        &self.bytes[..self.site]
    }

    /// Whatever else tells answers apart: the partition, a search, header values.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.target + 1..]
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &[u8] {
        &self.bytes[self.site + 1..self.target]
    }
}

/// One field with all of its lines: each text after its length, and the lines after their number, so that no two sets of
/// fields look alike. The name too: the store outlives a reload, and the policy may then name another one.
fn write_field(bytes: &mut Vec<u8>, name: &HeaderName, headers: &HeaderMap) {
    let text = |bytes: &mut Vec<u8>, text: &[u8]| {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text);
    };
    bytes.push(b'v');
    text(bytes, name.as_str().as_bytes());
    let lines = headers.get_all(name);
    bytes.extend_from_slice(&(lines.iter().count() as u64).to_le_bytes());
    lines.iter().for_each(|line| text(bytes, line.as_bytes()));
}

/// Path and query as the app sees them.
pub(crate) fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", PathAndQuery::as_str)
}

/// Scheme and host, in small letters. An app may use either of the two hosts that it is told of, so both count.
pub(crate) fn write_site(bytes: &mut Vec<u8>, headers: &HeaderMap, context: &RequestContext) {
    bytes.extend_from_slice(context.scheme.as_bytes());
    bytes.extend_from_slice(b"://");
    let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    bytes.extend(host.iter().map(u8::to_ascii_lowercase));
    if let Some(other) = context.forwarded_host.as_ref().filter(|other| other.as_bytes() != host) {
        bytes.push(b' ');
        bytes.extend(other.as_bytes().iter().map(u8::to_ascii_lowercase));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use seaworthy_core::{RequestId, empty_body};

    use super::*;

    pub(crate) fn context() -> RequestContext {
        RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r")).unwrap())
    }

    fn request(target: &str, headers: &[(&'static str, &'static str)]) -> Request<Body> {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(empty_body()).unwrap()
    }

    #[test]
    fn whatever_the_app_could_answer_differently_by_is_in_it() {
        let policy = Policy { vary: vec!["accept-language".parse().unwrap()], ..Policy::default() };
        let key = |request: &Request<Body>, context: &RequestContext, partition, search: Option<&[u8; 32]>| {
            Key::of(request, context, &policy, partition, search)
        };
        let plain = |target, headers: &[(&'static str, &'static str)]| {
            key(&request(target, headers), &context(), Partition::Everyone, None)
        };
        let first = plain("/a?b=1", &[("host", "A.test"), ("accept-language", "en")]);
        assert_eq!((first.site(), first.target()), (&b"http://a.test"[..], &b"/a?b=1"[..]));
        assert_eq!(first, plain("/a?b=1", &[("host", "a.TEST"), ("accept-language", "en"), ("x", "y")]));
        let mut others = vec![
            plain("/a?b=2", &[("host", "a.test"), ("accept-language", "en")]),
            plain("/a?b=1", &[("host", "b.test"), ("accept-language", "en")]),
            plain("/a?b=1", &[("host", "a.test"), ("accept-language", "de")]),
            plain("/a?b=1", &[("host", "a.test")]),
        ];
        let same = request("/a?b=1", &[("host", "a.test"), ("accept-language", "en")]);
        others.push(key(&same, &context(), Partition::Principal([1; 32]), None));
        others.push(key(&same, &context(), Partition::Principal([2; 32]), None));
        others.push(key(&same, &context(), Partition::Everyone, Some(&[1; 32])));
        others.push(key(&same, &RequestContext { scheme: "https", ..context() }, Partition::Everyone, None));
        let forwarded = Some(HeaderValue::from_static("evil.test"));
        others.push(key(&same, &RequestContext { forwarded_host: forwarded, ..context() }, Partition::Everyone, None));
        for (number, other) in others.iter().enumerate() {
            assert_ne!(first, *other, "{number}");
            assert!(others[..number].iter().all(|before| before != other), "{number}");
        }
    }

    #[test]
    fn no_two_sets_of_varied_fields_have_one_key() {
        let key = |vary: &[&'static str], headers: &[(&'static str, &'static str)]| {
            let vary = vary.iter().map(|name| HeaderName::from_static(name)).collect();
            let policy = Policy { vary, ..Policy::default() };
            Key::of(&request("/", headers), &context(), &policy, Partition::Everyone, None)
        };
        let both = |headers: &[(&'static str, &'static str)]| key(&["a", "b"], headers);
        // A line that begins as the next field would: written without lengths, these two were one.
        assert_ne!(both(&[("a", "x"), ("a", "vy"), ("b", "z")]), both(&[("a", "x"), ("b", "y"), ("b", "vz")]));
        let all = [
            both(&[]),
            both(&[("a", "")]),
            both(&[("b", "")]),
            both(&[("a", ""), ("a", "")]),
            both(&[("a", "x"), ("a", "x"), ("b", "x")]),
            both(&[("a", "x"), ("b", "x"), ("b", "x")]),
            both(&[("a", "x"), ("a", "x"), ("a", "x")]),
            both(&[("b", "x"), ("b", "x"), ("b", "x")]),
            both(&[("a", "x, x"), ("b", "x")]),
        ];
        for (number, one) in all.iter().enumerate() {
            assert!(all[..number].iter().all(|before| before != one), "{number}");
        }
        let after_reload = key(&["a"], &[("a", "x")]);
        assert_ne!(after_reload, key(&["b"], &[("b", "x")]), "another policy for what is still stored");
    }
}
