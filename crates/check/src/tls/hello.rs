//! The first message of a handshake in versions that no library of ours speaks any more (RFC 8996 forbids them): enough to
//! hear whether a server would go on.

use std::{net::IpAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A version that must be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    /// RFC 2246.
    Tls10,
    /// RFC 4346.
    Tls11,
}

impl Old {
    /// `TLS 1.0`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
        }
    }

    fn bytes(self) -> [u8; 2] {
        match self {
            Self::Tls10 => [3, 1],
            Self::Tls11 => [3, 2],
        }
    }
}

const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const SERVER_HELLO: u8 = 2;

/// Offers the version and nothing newer, to the server of this name that is reached `at` some host and port: whether it
/// takes it. The error says why that is not known.
pub(crate) async fn offer(old: Old, name: &str, at: (&str, u16), patience: Duration) -> Result<bool, String> {
    let asking = async {
        let mut stream = TcpStream::connect(at).await.map_err(|error| error.to_string())?;
        stream.write_all(&client_hello(old, name)).await.map_err(|error| error.to_string())?;
        let mut head = [0; 11];
        let mut read = 0;
        while read < head.len() {
            match stream.read(&mut head[read..]).await {
                // A closed or reset connection is a refusal, if a rude one.
                Ok(0) | Err(_) => break,
                Ok(count) => read += count,
            }
        }
        Ok(judge(old, &head[..read]))
    };
    match timeout(patience, asking).await {
        Ok(Ok(judged)) => judged,
        Ok(Err(error)) => Err(error),
        Err(_) => Err(format!("{} was offered, and nothing was answered within {patience:?}", old.name())),
    }
}

/// What the first bytes of the answer mean.
fn judge(old: Old, answer: &[u8]) -> Result<bool, String> {
    match answer {
        [] | [ALERT, ..] => Ok(false),
        [HANDSHAKE, _, _, _, _, SERVER_HELLO, _, _, _, version @ ..] => Ok(*version == old.bytes()),
        _ => Err(format!("{} was offered, and the answer is no TLS", old.name())),
    }
}

/// RFC 4346, 7.4.1.2, with the extensions that servers of those days needed to choose a key.
fn client_hello(old: Old, host: &str) -> Vec<u8> {
    let mut extensions = Vec::new();
    // An address is never sent as a server name (RFC 6066, 3).
    if host.parse::<IpAddr>().is_err() {
        let name = [&[0][..], &sized(host.as_bytes())].concat();
        extensions.extend([&[0, 0][..], &sized(&sized(&name))].concat());
    }
    // Curves P-256, P-384 and x25519, uncompressed points.
    extensions.extend([&[0, 10][..], &sized(&sized(&[0, 23, 0, 24, 0, 29]))].concat());
    extensions.extend([&[0, 11][..], &sized(&[1, 0])].concat());
    // ECDHE and plain RSA with AES-CBC and 3DES: all that those versions have and anybody still served.
    let suites = [0xc0, 0x0a, 0xc0, 0x09, 0xc0, 0x14, 0xc0, 0x13, 0, 0x35, 0, 0x2f, 0, 0x0a];
    let mut random = [0; 32];
    fastrand::fill(&mut random);
    let mut body = Vec::from(old.bytes());
    body.extend(random);
    body.push(0);
    body.extend(sized(&suites));
    body.extend([1, 0]);
    body.extend(sized(&extensions));
    let mut message = vec![1, 0];
    message.extend(sized(&body));
    let mut record = vec![HANDSHAKE, 3, 1];
    record.extend(sized(&message));
    record
}

/// The bytes behind their length in two bytes; everything here is far shorter than that allows.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_well_formed() {
        for host in ["example.test", "127.0.0.1"] {
            let hello = client_hello(Old::Tls11, host);
            let length = |at: usize| usize::from(hello[at]) << 8 | usize::from(hello[at + 1]);
            assert_eq!(length(3), hello.len() - 5, "the record's length");
            assert_eq!(length(7), hello.len() - 9, "the message's length");
            assert_eq!(&hello[9..11], &[3, 2], "the version");
            assert_eq!(hello.windows(host.len()).any(|part| part == host.as_bytes()), host == "example.test");
        }
    }

    #[test]
    fn an_answer_counts_by_its_first_bytes() {
        let hello = |minor| [22, 3, minor, 0, 80, 2, 0, 0, 76, 3, minor];
        assert_eq!(judge(Old::Tls10, &hello(1)), Ok(true));
        assert_eq!(judge(Old::Tls10, &[21, 3, 1, 0, 2, 2, 70]), Ok(false));
        assert_eq!(judge(Old::Tls10, &[]), Ok(false));
        assert!(judge(Old::Tls10, b"HTTP/1.1 400").is_err());
    }
}
