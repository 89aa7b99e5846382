//! Whom and what a request is for: one host, one path, whatever form they came in (RFC 9112, 3.2; RFC 9113, 8.3.1).

use http::{HeaderValue, Method, Request, Uri, Version, header, uri::Authority};
use seaworthy_core::ProblemKind;

use crate::problems;

/// Leaves the request with a path as its target and exactly one `Host`.
pub(crate) fn normalise<B>(request: &mut Request<B>) -> Result<(), ProblemKind> {
    let bad_target = || problems::BAD_TARGET;
    let bad_host = || problems::BAD_HOST;
    if *request.method() == Method::CONNECT {
        return Err(bad_target());
    }
    if request.uri().authority().is_some() {
        // Absolute form: its host wins over the Host header in HTTP/1, and must not differ from it in HTTP/2.
        let (Some(path), Some(authority)) = (request.uri().path_and_query(), request.uri().authority()) else {
            return Err(bad_target());
        };
        if authority.as_str().contains('@') {
            return Err(bad_target());
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad_target())?;
        // RFC 9112, 3.2: a request of HTTP/1.1 has a Host, whatever its target says.
        if request.version() == Version::HTTP_11 && !request.headers().contains_key(header::HOST) {
            return Err(bad_host());
        }
        if request.version() == Version::HTTP_2
            && request.headers().get_all(header::HOST).iter().any(|other| !same_host(other, &host))
        {
            return Err(bad_host());
        }
        let path = if path.path().is_empty() || path.path() == "/" && path.query().is_none() {
            Uri::from_static("/")
        } else {
            Uri::from(path.clone())
        };
        *request.uri_mut() = path;
        request.headers_mut().insert(header::HOST, host);
    } else if !has_path(request) {
        return Err(bad_target());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => Ok(()),
        (None, _) if request.version() < Version::HTTP_11 => {
            request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
            Ok(())
        }
        // None or several: the app may choose another one than we do.
        _ => Err(bad_host()),
    }
}

/// The same request for HTTP/2, where the host is part of the target (RFC 9113, 8.3.1). `None` when it is no host there,
/// which [`normalise`] has seen to.
pub(crate) fn for_http2<B>(mut request: Request<B>) -> Option<Request<B>> {
    let host = request.headers_mut().remove(header::HOST)?;
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.version_mut() = Version::HTTP_2;
    Some(request)
}

/// What [`for_http2`] did, undone.
pub(crate) fn for_http1<B>(mut request: Request<B>) -> Request<B> {
    if request.version() == Version::HTTP_2 && normalise(&mut request).is_ok() {
        *request.version_mut() = Version::HTTP_11;
    }
    request
}

/// The host that a request names, without its port; `None` when it names none or is malformed.
pub(crate) fn host_name<B>(request: &Request<B>) -> Option<&str> {
    let host = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(header::HOST)?.to_str().ok()?,
    };
    Some(without_port(host))
}

/// `name:port` without the port, brackets of IPv6 addresses taken off.
pub(crate) fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// A path; `*` stands for the whole server and is for OPTIONS alone.
fn has_path<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    path.starts_with('/') || (path == "*" && *request.method() == Method::OPTIONS)
}

fn same_host(left: &HeaderValue, right: &HeaderValue) -> bool {
    left.as_bytes().eq_ignore_ascii_case(right.as_bytes())
}

/// Of each byte, what it counts in a name with a port: nothing, one for a colon, two for what is in no such name.
const IN_HOST: [u8; 256] = {
    let mut counts = [2; 256];
    let mut byte = 0;
    while byte < counts.len() {
        if (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'.' | b'-' | b'_') {
            counts[byte] = 0;
        }
        byte += 1;
    }
    counts[b':' as usize] = 1;
    counts
};

/// RFC 9110, 7.2: a host and maybe a port. Empty is allowed by the standard, and means nothing that we could serve.
pub(crate) fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let colons = bytes.iter().fold(0_usize, |colons, byte| colons + usize::from(IN_HOST[usize::from(*byte)]));
    // One that is in no plain host counts as much as two colons, which are too many.
    if !bytes.is_empty() && colons <= 1 {
        let port = bytes.rsplit(|byte| *byte == b':').next().filter(|port| port.len() < bytes.len());
        return bytes[0] != b':' && port.is_none_or(|port| port.iter().all(u8::is_ascii_digit));
    }
    // An address of IPv6; the rarer characters of a registered name are legal, and a list or worse to some apps.
    bytes.first() == Some(&b'[') && !bytes.contains(&b'@') && Authority::try_from(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, hosts: &[&str], version: Version) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = target.parse().unwrap();
        *request.version_mut() = version;
        for host in hosts {
            request.headers_mut().append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        request
    }

    fn normal(target: &str, hosts: &[&str], version: Version) -> Option<(String, String)> {
        let mut request = request(target, hosts, version);
        normalise(&mut request).ok()?;
        Some((request.uri().to_string(), request.headers()[header::HOST].to_str().unwrap().to_owned()))
    }

    #[test]
    fn leaves_one_host_and_a_path() {
        let normal = |target, hosts: &[&str], version| normal(target, hosts, version);
        let pair = |path: &str, host: &str| Some((path.to_owned(), host.to_owned()));
        assert_eq!(normal("/a?b", &["shop.test:80"], Version::HTTP_11), pair("/a?b", "shop.test:80"));
        assert_eq!(normal("http://shop.test/a", &["other"], Version::HTTP_11), pair("/a", "shop.test"));
        assert_eq!(normal("http://shop.test", &["x"], Version::HTTP_11), pair("/", "shop.test"));
        assert_eq!(normal("https://shop.test/a", &[], Version::HTTP_2), pair("/a", "shop.test"));
        assert_eq!(normal("https://shop.test/a", &["SHOP.test"], Version::HTTP_2), pair("/a", "shop.test"));
        assert_eq!(normal("https://shop.test/a", &["other"], Version::HTTP_2), None);
        assert_eq!(normal("/", &["[::1]:8080"], Version::HTTP_11), pair("/", "[::1]:8080"));
        assert_eq!(normal("/", &[], Version::HTTP_10), pair("/", "localhost"));
        for hosts in [&["a", "b"][..], &[], &[""], &["a b"], &["user@a"], &["a/b"], &["a:b"], &[":80"], &["a:1:2"]] {
            assert_eq!(normal("/", hosts, Version::HTTP_11), None, "{hosts:?}");
        }
        assert_eq!(normal("http://user@shop.test/", &["a"], Version::HTTP_11), None);
    }

    #[test]
    fn asterisk_is_for_options_alone() {
        let mut get = request("*", &["a"], Version::HTTP_11);
        assert!(normalise(&mut get).is_err());
        *get.method_mut() = Method::OPTIONS;
        assert!(normalise(&mut get).is_ok());
    }

    #[test]
    fn a_name_is_found_without_its_port() {
        assert_eq!(host_name(&request("/", &["a.test:80"], Version::HTTP_11)), Some("a.test"));
        assert_eq!(host_name(&request("https://b.test:1/", &[], Version::HTTP_2)), Some("b.test"));
        assert_eq!(without_port("[::1]:80"), "::1");
    }
}
