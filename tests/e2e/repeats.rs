//! What the app gets when a kept connection breaks and the request is sent once more.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use libtest_mimic::Trial;

use crate::{
    proxy::serve,
    support::{Running, test},
};

pub fn tests() -> Vec<Trial> {
    vec![test("a_request_that_is_repeated_is_as_clean_as_the_first_time", a_request_that_is_repeated_is_as_clean)]
}

fn head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    while !head.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&piece[..count]);
    }
    Some(String::from_utf8(head).unwrap())
}

/// The lines of a head, in an order of their own.
fn lines(head: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = head.lines().collect();
    lines.sort_unstable();
    lines
}

fn a_request_that_is_repeated_is_as_clean() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let heads = seen.clone();
    let address = serve(move |mut stream| {
        while let Some(request) = head(&mut stream) {
            // The first time it is only read: the connection ends without a byte of an answer.
            let ends = request.starts_with("GET /again") && {
                let mut heads = heads.lock().unwrap();
                heads.push(request);
                heads.len() == 1
            };
            if ends || stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    });
    let running = Running::start(&["--to", &format!("http://{address}")]);
    let claims = "x-seaworthy-user: root\r\nx-forwarded-for: 1.2.3.4\r\nx-real-ip: 1.2.3.4\r\nforwarded: for=1.2.3.4\r\n\
                  connection: keep-alive, x-hop\r\nx-hop: 1\r\nproxy-authorization: Basic eDp5\r\ncookie: a=1\r\nx-own: 2\r\n";
    // One client's connection stays with one core, and that core has kept the app's connection of the first request.
    let mut client = TcpStream::connect(&running.url).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for target in ["/", "/again?a=b"] {
        write!(client, "GET {target} HTTP/1.1\r\nhost: shop.test\r\n{claims}\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            let mut piece = [0; 4096];
            let count = client.read(&mut piece).unwrap();
            answer.extend_from_slice(&piece[..count]);
            assert!(count > 0 && answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2, "once in vain, and once more");
    assert_eq!(lines(&seen[0]), lines(&seen[1]), "with the same ids and the same client");
    let again = &seen[1];
    for (name, count) in [
        ("via: 1.1 seaworthy", 1),
        ("x-forwarded-for: 127.0.0.1", 1),
        ("x-forwarded-for", 1),
        ("x-request-id", 1),
        ("traceparent", 1),
        ("cookie: a=1", 1),
        ("x-own: 2", 1),
        ("x-seaworthy-user", 0),
        ("1.2.3.4", 0),
        ("x-hop", 0),
        ("proxy-authorization", 0),
        ("connection:", 0),
    ] {
        assert_eq!(again.matches(name).count(), count, "{name} in {again}");
    }
}
