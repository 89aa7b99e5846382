//! A client that hides nothing: bytes out, bytes in.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

/// `GET path`, on a connection of its own.
pub fn get(address: &str, path: &str) -> Answer {
    get_with(address, path, "")
}

/// The same with more header lines, each ended by CRLF.
pub fn get_with(address: &str, path: &str, headers: &str) -> Answer {
    try_get(address, path, headers).unwrap()
}

/// As [`get_with`], where it may fail.
pub fn try_get(address: &str, path: &str, headers: &str) -> std::io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    send(address, request.as_bytes())
}

/// `POST path` with a body.
pub fn post(address: &str, path: &str, body: &[u8]) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/octet-stream\r\n\r\n",
        body.len()
    );
    send(address, &[head.as_bytes(), body].concat()).unwrap()
}

/// Sends bytes and reads one answer to its end.
pub fn send(address: &str, request: &[u8]) -> std::io::Result<Answer> {
    exchange(TcpStream::connect(address)?, request)
}

/// The same from another address of this machine.
pub fn send_from(source: IpAddr, address: &str, request: &[u8]) -> std::io::Result<Answer> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
    socket.connect(&address.into())?;
    exchange(socket.into(), request)
}

fn exchange(mut stream: TcpStream, request: &[u8]) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes, request.starts_with(b"HEAD "))
        .ok_or_else(|| std::io::Error::other(format!("no whole answer: {}", String::from_utf8_lossy(&bytes))))
}

/// Splits head and body and undoes chunking; `None` when the answer is cut.
/// `head_only`: it has no body, whatever its head says (RFC 9110, 9.3.2).
fn parse(bytes: &[u8], head_only: bool) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.get(9..12)?.parse().ok()?;
    let mut answer = Answer { status, head, body: bytes[end + 4..].to_vec() };
    if head_only {
        answer.body.is_empty().then_some(())?;
    } else if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunk(&answer.body)?;
    } else if let Some(length) = answer.header("content-length") {
        (answer.body.len() == length.parse::<usize>().ok()?).then_some(())?;
    }
    Some(answer)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let length =
            usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + length)?);
        rest = rest.get(end + 4 + length..)?;
    }
}
