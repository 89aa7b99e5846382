//! A request's target and its hosts: what is taken has one host and a path, whichever form it came in, and comes to the
//! same over HTTP/2.
//!
//! The input is `0`, `1` or `2` for the version, then lines: the method, the target, and a `Host` each.
#![no_main]

use http::{HeaderValue, Method, Request, Version, header};
use libfuzzer_sys::fuzz_target;
use seaworthy_edge::fuzzing::{host_name, normalise, over_http2};

fuzz_target!(|input: &[u8]| {
    let Some(given) = request(input) else { return };
    let mut taken = given.clone();
    if !normalise(&mut taken) {
        return;
    }
    assert!(taken.uri().scheme().is_none() && taken.uri().authority().is_none(), "{taken:?}");
    let path = taken.uri().path();
    assert!(path.starts_with('/') || (path == "*" && *taken.method() == Method::OPTIONS), "{taken:?}");
    let hosts: Vec<&HeaderValue> = taken.headers().get_all(header::HOST).iter().collect();
    let [host] = hosts[..] else { panic!("{taken:?}") };
    assert!(!host.is_empty() && !host.as_bytes().iter().any(|byte| b"@/?# \\".contains(byte)), "{taken:?}");
    if let Some(name) = host_name(&given) {
        assert_eq!(host_name(&taken), Some(name));
    }
    if given.uri().authority().is_none() {
        assert_eq!(taken.uri(), given.uri());
    }

    let mut again = taken.clone();
    assert!(normalise(&mut again), "{taken:?}");
    assert_same(&again, &taken);
    if let Some(back) = over_http2(taken.clone()) {
        assert_same(&back, &taken);
    } else {
        panic!("not for HTTP/2: {taken:?}");
    }
});

fn assert_same(left: &Request<()>, right: &Request<()>) {
    assert_eq!(left.method(), right.method());
    assert_eq!(left.uri(), right.uri());
    assert_eq!(left.headers(), right.headers());
}

fn request(input: &[u8]) -> Option<Request<()>> {
    let (version, rest) = input.split_first()?;
    let mut lines = rest.split(|byte| *byte == b'\n');
    let mut request = Request::new(());
    *request.version_mut() = match version {
        b'0' => Version::HTTP_10,
        b'1' => Version::HTTP_11,
        b'2' => Version::HTTP_2,
        _ => return None,
    };
    *request.method_mut() = Method::from_bytes(lines.next()?).ok()?;
    *request.uri_mut() = lines.next()?.try_into().ok()?;
    for host in lines {
        request.headers_mut().append(header::HOST, HeaderValue::from_bytes(host).ok()?);
    }
    Some(request)
}
