//! The PROXY protocol, versions 1 and 2: a load balancer tells in front of the first byte who its client is.

use std::{io, net::SocketAddr, time::Duration};

use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::{io::AsyncReadExt, net::TcpStream, time::sleep};

/// Longest header that is taken, with what version 2 may carry beside the addresses.
const MAX_HEADER: usize = 4096;

/// Takes the header off the stream. `None` when the balancer speaks for itself (its health checks).
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut seen = vec![0; MAX_HEADER];
    loop {
        let count = stream.peek(&mut seen).await?;
        match ProxyHeader::parse(&seen[..count], ParseConfig::default()) {
            Ok((header, length)) => {
                let client = header.proxied_address().map(|address| address.source);
                stream.read_exact(&mut seen[..length]).await?;
                return Ok(client);
            }
            // In pieces: readiness does not tell of more bytes behind those that we left where they are.
            Err(Error::BufferTooShort) if count > 0 && count < MAX_HEADER => sleep(Duration::from_millis(5)).await,
            Err(error) => {
                let text = format!("no PROXY protocol header ({error:?}); check that the balancer in front sends one");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    async fn told(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        for piece in bytes.chunks(7) {
            client.write_all(piece).await.unwrap();
        }
        client.shutdown().await.unwrap();
        let address = read(&mut stream).await;
        let mut rest = String::new();
        if address.is_ok() {
            stream.read_to_string(&mut rest).await.unwrap();
        }
        (address, rest)
    }

    #[tokio::test]
    async fn takes_both_versions_and_nothing_else() {
        let (address, rest) = told(b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\nGET /").await;
        assert_eq!((address.unwrap(), rest.as_str()), (Some("192.0.2.7:5000".parse().unwrap()), "GET /"));
        let (address, rest) = told(b"PROXY UNKNOWN\r\nGET /").await;
        assert_eq!((address.unwrap(), rest.as_str()), (None, "GET /"));
        let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        second.extend([192, 0, 2, 8, 198, 51, 100, 1, 0x13, 0x88, 1, 0xbb]);
        second.extend(b"GET /");
        let (address, rest) = told(&second).await;
        assert_eq!((address.unwrap(), rest.as_str()), (Some("192.0.2.8:5000".parse().unwrap()), "GET /"));
        assert!(told(b"GET / HTTP/1.1\r\n\r\n").await.0.is_err());
        assert!(told(b"").await.0.is_err());
    }
}
