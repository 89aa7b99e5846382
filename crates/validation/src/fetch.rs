//! One document from an instance of the app: one connection, no redirects, with limits.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use seaworthy_core::{BoxError, UpstreamAddress};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// Documents of thousands of operations have a few megabytes.
const LARGEST: usize = 16 << 20;

/// Gets it, within that time.
///
/// # Errors
/// No connection, another status than 200, more than 16 MiB, or too late.
pub(crate) async fn get(address: &UpstreamAddress, path: &str, patience: Duration) -> Result<Bytes, BoxError> {
    let asking = async {
        match address {
            UpstreamAddress::Tcp { host, port } => {
                ask(TcpStream::connect((host.as_str(), *port)).await?, request(path, "localhost")?).await
            }
            UpstreamAddress::Unix(socket) => ask(UnixStream::connect(socket).await?, request(path, "localhost")?).await,
            UpstreamAddress::H2c { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                let mut request = request(path, "localhost")?;
                *request.uri_mut() = format!("http://localhost{path}").parse()?;
                request.headers_mut().remove(header::HOST);
                ask_http2(stream, request).await
            }
        }
    };
    timeout(patience, asking).await.unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs()).into()))
}

fn request(path: &str, host: &'static str) -> Result<Request<Empty<Bytes>>, BoxError> {
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json, application/yaml")
        .header(header::USER_AGENT, "seaworthy");
    Ok(request.body(Empty::new())?)
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Bytes, BoxError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move { whole(sender.send_request(request).await?).await };
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // It has ended; what it received is still there to be read.
        _ = &mut connection => exchange.await,
    }
}

async fn ask_http2(stream: TcpStream, request: Request<Empty<Bytes>>) -> Result<Bytes, BoxError> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let exchange = async move { whole(sender.send_request(request).await?).await };
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    }
}

async fn whole(response: http::Response<hyper::body::Incoming>) -> Result<Bytes, BoxError> {
    if response.status() != StatusCode::OK {
        return Err(format!("status {}", response.status().as_u16()).into());
    }
    Ok(Limited::new(response.into_body(), LARGEST).collect().await?.to_bytes())
}
