//! What a proxy says of its client: a stranger is never believed, nobody can put a client in front of the one that a
//! trusted proxy saw, and what we write ourselves is read back the same.
//!
//! A line of the input is a header: `f` for `Forwarded`, `x`, `p` and `h` for `X-Forwarded-For`, `-Proto` and `-Host`, and
//! its value.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use seaworthy_edge::fuzzing::{client, forwarded};

const TRUSTED: &str = "10.0.0.0/8";
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

fuzz_target!(|input: &[u8]| {
    let Some(headers) = headers(input) else { return };
    assert_eq!(seen_by(STRANGER, &headers), (STRANGER, false, None));

    let (address, secure, host) = seen_by(PROXY, &headers);
    assert_eq!(address, address.to_canonical());
    if let Some(written) = forwarded(address, secure, host.as_ref()) {
        let read = seen_by(PROXY, &HeaderMap::from_iter([(header::FORWARDED, written)]));
        assert_eq!(read, (address, secure, host));
    }
    for (name, element) in [(FORWARDED_FOR, "192.0.2.77"), (header::FORWARDED, "for=192.0.2.77;proto=http")] {
        nobody_comes_before(&headers, &name, element);
    }
});

/// A proxy that appends what it saw, as a line of its own or to the line that the client sent.
fn nobody_comes_before(headers: &HeaderMap, name: &HeaderName, element: &str) {
    let mut own_line = headers.clone();
    if *name == header::FORWARDED {
        own_line.remove(FORWARDED_FOR);
    }
    own_line.append(name, HeaderValue::from_str(element).unwrap());
    assert_eq!(seen_by(PROXY, &own_line).0, STRANGER, "{own_line:?}");

    let Some(sent) = headers.get(name) else { return };
    let joined = [sent.as_bytes(), b", ", element.as_bytes()].concat();
    let joined = HeaderMap::from_iter([(name.clone(), HeaderValue::from_bytes(&joined).unwrap())]);
    // What cannot be read says nothing; then the proxy speaks for itself.
    let address = seen_by(PROXY, &joined).0;
    assert!(address == STRANGER || address == PROXY, "{address} in {joined:?}");
}

fn seen_by(peer: IpAddr, headers: &HeaderMap) -> (IpAddr, bool, Option<HeaderValue>) {
    client(SocketAddr::new(peer, 1), headers, TRUSTED)
}

fn headers(input: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let (kind, value) = line.split_first()?;
        let name = match kind {
            b'f' => header::FORWARDED,
            b'x' => FORWARDED_FOR,
            b'p' => HeaderName::from_static("x-forwarded-proto"),
            b'h' => HeaderName::from_static("x-forwarded-host"),
            _ => return None,
        };
        headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(headers)
}
