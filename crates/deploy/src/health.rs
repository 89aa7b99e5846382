//! One question: is the instance well? Asked from the same side as the edge and in the same protocol.

use std::time::Duration;

use seaworthy_core::UpstreamAddress;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// Who asks, for the app's log.
const USER_AGENT: &str = "seaworthy-health";

/// The rest of an answer is read for this long and up to this many bytes. A connection that is closed with an answer unread
/// is reset, and many servers print a page of complaint about that.
const COURTESY: Duration = Duration::from_millis(250);
const COURTESY_BYTES: u64 = 256 * 1024;

/// What counts as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// A connection is accepted.
    Connect,
    /// This path answers 2xx or 3xx.
    Path(String),
}

impl Health {
    /// Asks once. The error says what was seen.
    pub(crate) async fn ask(&self, address: &UpstreamAddress, patience: Duration) -> Result<(), String> {
        let asking = self.ask_patiently(address);
        let slow = |_| Err(format!("no answer within {} s", patience.as_secs_f32()));
        timeout(patience, asking).await.unwrap_or_else(slow)
    }

    async fn ask_patiently(&self, address: &UpstreamAddress) -> Result<(), String> {
        let refused = |error| format!("no connection to {address}: {error}");
        let host = address.authority();
        match address {
            UpstreamAddress::Tcp { host: name, port } | UpstreamAddress::H2c { host: name, port } => {
                let stream = TcpStream::connect((name.as_str(), *port)).await.map_err(refused)?;
                match self {
                    Self::Connect => Ok(()),
                    Self::Path(path) if address.is_http2() => ask_path_http2(stream, &host, path).await,
                    Self::Path(path) => ask_path(stream, &host, path).await,
                }
            }
            UpstreamAddress::Unix(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(refused)?;
                match self {
                    Self::Connect => Ok(()),
                    Self::Path(path) => ask_path(stream, &host, path).await,
                }
            }
        }
    }
}

async fn ask_path(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> Result<(), String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {USER_AGENT}\r\naccept: */*\r\nconnection: close\r\n\r\n"
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
    let rest = async { tokio::io::copy(&mut stream.take(COURTESY_BYTES), &mut tokio::io::sink()).await };
    // The verdict is in the head; a rest that breaks off or never ends changes nothing.
    let _ = timeout(COURTESY, rest).await;
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    judge(path, status.ok_or_else(|| format!("{path} does not answer in HTTP/1.1"))?)
}

/// The same over HTTP/2 with prior knowledge (RFC 9113, 3.3).
async fn ask_path_http2(stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> Result<(), String> {
    let failed = |error: h2::Error| format!("{path} does not answer in HTTP/2: {error}");
    let (sender, connection) = h2::client::handshake(stream).await.map_err(failed)?;
    let request = http::Request::get(format!("http://{host}{path}")).header(http::header::USER_AGENT, USER_AGENT);
    let request = request.body(()).map_err(|error| format!("cannot ask {path}: {error}"))?;
    let asking = async {
        let (answer, _) = sender.ready().await?.send_request(request, true)?;
        answer.await
    };
    tokio::select! {
        answer = asking => judge(path, answer.map_err(failed)?.status().as_u16()),
        ended = connection => Err(match ended {
            Ok(()) => format!("{path} broke off"),
            Err(error) => failed(error),
        }),
    }
}

fn judge(path: &str, status: u16) -> Result<(), String> {
    match status {
        200..=399 => Ok(()),
        status => Err(format!("{path} answers {status}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    async fn answering(answer: &'static str) -> UpstreamAddress {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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

    /// Speaks HTTP/2 alone.
    async fn answering_http2(status: u16) -> UpstreamAddress {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = seaworthy_core::Shutdown::new();
        shutdown.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let answer = http::Response::builder().status(status).body(()).unwrap();
                    respond.send_response(answer, true).unwrap();
                }
            }
        });
        format!("h2c://{address}").parse().unwrap()
    }

    #[tokio::test]
    async fn judges_by_the_status() {
        let path = Health::Path("/health".into());
        assert_eq!(path.ask(&answering("HTTP/1.1 204 No Content\r\n\r\n").await, PATIENCE).await, Ok(()));
        let unwell = path.ask(&answering("HTTP/1.1 503 Service Unavailable\r\n\r\n").await, PATIENCE).await;
        assert_eq!(unwell, Err("/health answers 503".into()));
        assert!(path.ask(&answering("").await, PATIENCE).await.is_err());
        assert!(Health::Connect.ask(&"http://127.0.0.1:9".parse().unwrap(), PATIENCE).await.is_err());
    }

    #[tokio::test]
    async fn asks_in_the_protocol_of_the_address() {
        let path = Health::Path("/health".into());
        assert_eq!(path.ask(&answering_http2(200).await, PATIENCE).await, Ok(()));
        assert_eq!(path.ask(&answering_http2(500).await, PATIENCE).await, Err("/health answers 500".into()));
        assert_eq!(Health::Connect.ask(&answering_http2(500).await, PATIENCE).await, Ok(()));
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_end_before_the_connection_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 512]).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
            stream.write_all(&[b'x'; 50_000]).await.unwrap();
            stream.shutdown().await.unwrap();
            // Not a reset: the client has taken everything.
            stream.read(&mut [0; 8]).await
        };
        let health = Health::Path("/".into());
        let (asked, left) = tokio::join!(health.ask(&address, PATIENCE), serving);
        assert_eq!(asked, Ok(()));
        assert_eq!(left.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_silent_app_is_not_well() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let silent = Health::Path("/".into()).ask(&address, Duration::from_millis(50)).await;
        assert_eq!(silent, Err("no answer within 0.05 s".into()));
    }
}
