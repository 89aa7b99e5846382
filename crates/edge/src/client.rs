//! Who asks, and how: the other end of the connection, or whom a trusted proxy there speaks for.

use std::{
    fmt::Write as _,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use seaworthy_core::ClientHeaders;

use crate::{connection::Origin, policy::Policy, target};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What is known of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub address: IpAddr,
    pub secure: bool,
    /// The host that it named to a proxy.
    pub host: Option<HeaderValue>,
}

/// What the last request of a connection said of its client; the next one nearly always says the same.
#[derive(Debug, Default)]
pub(crate) struct Described(Mutex<Option<(Known, ClientHeaders)>>);

/// Address, security, and the host as bytes of its own: a header's value would keep the whole buffer alive that it was
/// read into.
type Known = (IpAddr, bool, Option<Vec<u8>>);

impl Described {
    /// The headers that tell the app of this client.
    pub(crate) fn of(&self, address: IpAddr, secure: bool, host: Option<&HeaderValue>) -> ClientHeaders {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(((known, was_secure, named), headers)) = &*last
            && (*known, *was_secure, named.as_deref()) == (address, secure, host.map(HeaderValue::as_bytes))
        {
            return headers.clone();
        }
        let headers = describe(address.to_canonical(), secure, host);
        let named = host.map(|host| host.as_bytes().to_vec());
        *last = Some(((address, secure, named), headers.clone()));
        headers
    }
}

fn describe(address: IpAddr, secure: bool, host: Option<&HeaderValue>) -> ClientHeaders {
    let mut text = match address {
        IpAddr::V4(address) => format!("for={address}"),
        IpAddr::V6(address) => format!("for=\"[{address}]\""),
    };
    let host = host.map(|host| host.to_str().ok().filter(|host| !host.contains(['"', '\\'])));
    if let Some(Some(host)) = host {
        // Writing to a String cannot fail.
        let _ = write!(text, ";host=\"{host}\"");
    }
    text.push_str(if secure { ";proto=https" } else { ";proto=http" });
    // Addresses are ASCII; a host that could not be written was left out.
    let value = |text: &str| HeaderValue::from_str(text).ok();
    ClientHeaders {
        address: value(&address.to_string()).unwrap_or(HeaderValue::from_static("unknown")),
        forwarded: value(&text).filter(|_| host != Some(None)),
    }
}

/// Believes the headers only when the connection comes from a trusted proxy.
pub(crate) fn identify(origin: &Origin, headers: &HeaderMap, policy: &Policy) -> Client {
    let direct = Client { address: origin.client.ip().to_canonical(), secure: origin.secure, host: None };
    if !policy.trusts(direct.address) {
        return direct;
    }
    let trusts = |address: IpAddr| policy.trusts(address);
    let old = headers.get_all(FORWARDED_FOR);
    if old.iter().next().is_none() && headers.contains_key(header::FORWARDED) {
        return from_forwarded(headers, &direct, trusts);
    }
    let hops: Vec<Option<IpAddr>> =
        old.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(address).collect();
    let secure = match last_word(headers, &FORWARDED_PROTO) {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss") => true,
        Some(scheme) if scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"ws") => false,
        _ => direct.secure,
    };
    let host = last_word(headers, &FORWARDED_HOST).filter(|host| !host.is_empty());
    Client {
        address: first_stranger(&hops, direct.address, trusts),
        secure,
        host: host.and_then(|host| HeaderValue::from_bytes(host).ok()).filter(target::is_host),
    }
}

/// From the right, the first address that is no trusted proxy. A hop that is no address ends the chain: who wrote it is
/// known, who came before is not.
fn first_stranger(hops: &[Option<IpAddr>], direct: IpAddr, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut last = direct;
    for hop in hops.iter().rev() {
        match hop {
            Some(address) if trusts(*address) => last = *address,
            Some(address) => return *address,
            None => return last,
        }
    }
    last
}

/// RFC 7239.
fn from_forwarded(headers: &HeaderMap, direct: &Client, trusts: impl Fn(IpAddr) -> bool) -> Client {
    let values = headers.get_all(header::FORWARDED);
    // A client may open a quote that takes in what the proxy appends behind it: nothing of such a line is believed.
    let readable = |value| if closes_its_quotes(value) { value } else { &[] };
    let elements: Vec<Vec<(&[u8], &[u8])>> =
        values.iter().flat_map(|value| split_quoted(readable(value.as_bytes()), b',')).map(parameters).collect();
    let parameter = |element: &[(&[u8], &[u8])], name: &[u8]| -> Option<Vec<u8>> {
        let found = element.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(unquote(found.1))
    };
    let hops: Vec<Option<IpAddr>> =
        elements.iter().map(|element| address(&parameter(element, b"for").unwrap_or_default())).collect();
    // The proxy next to us wrote the last element.
    let last = elements.last().map(Vec::as_slice).unwrap_or_default();
    let secure = match parameter(last, b"proto") {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"https") => true,
        Some(scheme) if scheme.eq_ignore_ascii_case(b"http") => false,
        _ => direct.secure,
    };
    let host = parameter(last, b"host").and_then(|host| HeaderValue::from_bytes(&host).ok()).filter(target::is_host);
    Client { address: first_stranger(&hops, direct.address, trusts), secure, host }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let text = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.bytes().filter(|byte| *byte == b':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The last item of a list in a header: what the proxy next to us wrote.
fn last_word<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let last = headers.get_all(name).iter().next_back()?;
    last.as_bytes().rsplit(|byte| *byte == b',').next().map(<[u8]>::trim_ascii)
}

/// `for=192.0.2.1;proto=https` as pairs.
fn parameters(element: &[u8]) -> Vec<(&[u8], &[u8])> {
    let pair = |piece: &'_ [u8]| piece.iter().position(|byte| *byte == b'=');
    split_quoted(element, b';')
        .filter_map(|piece| pair(piece).map(|at| (piece[..at].trim_ascii(), piece[at + 1..].trim_ascii())))
        .collect()
}

/// Splits at a byte that is not inside quotes.
fn split_quoted(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    bytes.split(move |byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match *byte {
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte => return byte == separator && !quoted,
        }
        false
    })
}

fn closes_its_quotes(bytes: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return value.to_vec();
    };
    let mut bytes = inner.iter().copied();
    let mut plain = Vec::with_capacity(inner.len());
    while let Some(byte) = bytes.next() {
        plain.extend(if byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn seen(peer: &str, headers: &[(&str, &str)]) -> (String, bool, Option<String>) {
        let settings =
            Settings { trusted_proxies: vec!["10.0.0.0/8".into(), "2001:db8:1::/48".into()], ..Settings::default() };
        let policy = Policy::new(&settings, None);
        let client = format!("{peer}:1").parse().unwrap();
        let origin = Origin { peer: client, client, secure: false, described: Described::default() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let client = identify(&origin, &map, &policy);
        (client.address.to_string(), client.secure, client.host.map(|host| host.to_str().unwrap().to_owned()))
    }

    fn address_of(peer: &str, headers: &[(&str, &str)]) -> String {
        seen(peer, headers).0
    }

    #[test]
    fn strangers_speak_for_themselves_alone() {
        let claims =
            [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https"), ("forwarded", "for=1.1.1.1;proto=https")];
        assert_eq!(seen("192.0.2.1", &claims), ("192.0.2.1".into(), false, None));
    }

    #[test]
    fn the_first_stranger_from_the_right_is_the_client() {
        let by = |value| address_of("10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(by("1.1.1.1, 192.0.2.9, 10.0.0.7"), "192.0.2.9");
        assert_eq!(by("10.0.0.8, 10.0.0.7"), "10.0.0.8");
        assert_eq!(by("1.1.1.1, garbage, 10.0.0.7"), "10.0.0.7");
        assert_eq!(by("2001:db8::7"), "2001:db8::7");
        assert_eq!(by("192.0.2.9:4711"), "192.0.2.9");
        let two = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.9")];
        assert_eq!(address_of("10.0.0.1", &two), "192.0.2.9");
        assert_eq!(address_of("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn scheme_and_host_are_those_of_the_proxy_next_to_us() {
        let headers =
            [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "http, https"), ("x-forwarded-host", "a, b")];
        assert_eq!(seen("10.0.0.1", &headers), ("1.1.1.1".into(), true, Some("b".into())));
    }

    #[test]
    fn reads_the_standard_header_too() {
        let by = |value| seen("10.0.0.1", &[("forwarded", value)]);
        assert_eq!(
            by("for=1.1.1.1;proto=http, For=\"[2001:db8::9]:80\";Proto=https;host=\"shop.test\", for=10.0.0.3;proto=https;host=shop.test").0,
            "2001:db8::9"
        );
        let quoted = ("192.0.2.4".into(), true, Some("shop.test:8".into()));
        assert_eq!(by("for=192.0.2.4;host=\"shop.test:8\";proto=https"), quoted);
        assert_eq!(by("for=192.0.2.4;host=\"a,b;c/\";proto=https"), ("192.0.2.4".into(), true, None));
        assert_eq!(by("for=_hidden").0, "10.0.0.1");
        assert_eq!(by("for=unknown, for=\"\\\"").0, "10.0.0.1");
        // A client's open quote does not take in what the proxy says.
        assert_eq!(by("for=1.1.1.1;proto=https;x=\", for=192.0.2.4;proto=http"), ("10.0.0.1".into(), false, None));
    }
}
