//! Is the instance well? Asked from the same side as the edge, in plain HTTP/1.1.

use std::time::Duration;

use seaworthy_core::UpstreamAddress;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// What counts as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// A connection is accepted.
    Connect,
    /// This path answers 2xx or 3xx.
    Path(String),
}

/// One question may take this long.
const PATIENCE: Duration = Duration::from_secs(5);

impl Health {
    /// Asks once. The error says what was seen.
    pub async fn ask(&self, address: &UpstreamAddress) -> Result<(), String> {
        let refused = |error| format!("no connection to {address}: {error}");
        let asking = async {
            match address {
                UpstreamAddress::Tcp { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(refused)?;
                    let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                    self.ask_over(stream, &host).await
                }
                UpstreamAddress::Unix(path) => {
                    let stream = UnixStream::connect(path).await.map_err(refused)?;
                    self.ask_over(stream, "localhost").await
                }
            }
        };
        timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    }

    async fn ask_over(&self, stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> Result<(), String> {
        match self {
            Self::Connect => Ok(()),
            Self::Path(path) => ask_path(stream, host, path).await,
        }
    }
}

async fn ask_path(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> Result<(), String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: seaworthy-health\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("cannot ask {path}: {error}"))?;
    let mut head = Vec::with_capacity(64);
    // The status line is all we need: `HTTP/1.1 200`.
    while head.len() < 12 {
        let mut piece = [0; 64];
        match stream.read(&mut piece).await {
            Ok(0) => break,
            Ok(count) => head.extend_from_slice(&piece[..count]),
            Err(error) => return Err(format!("{path} broke off: {error}")),
        }
    }
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    match status {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("{path} answers {status}")),
        None => Err(format!("{path} does not answer in HTTP/1.1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answering(answer: &'static str) -> UpstreamAddress {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = seaworthy_core::Shutdown::new();
        shutdown.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 512]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        format!("http://{address}").parse().unwrap()
    }

    #[tokio::test]
    async fn judges_by_the_status() {
        let path = Health::Path("/health".into());
        assert_eq!(path.ask(&answering("HTTP/1.1 204 No Content\r\n\r\n").await).await, Ok(()));
        let unwell = path.ask(&answering("HTTP/1.1 503 Service Unavailable\r\n\r\n").await).await;
        assert_eq!(unwell, Err("/health answers 503".into()));
        assert!(path.ask(&answering("").await).await.is_err());
        assert!(Health::Connect.ask(&"http://127.0.0.1:9".parse().unwrap()).await.is_err());
    }
}
