//! One document over HTTP or HTTPS: one connection, no redirects, with limits.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// A key set has a few kilobytes.
const LARGEST: usize = 256 << 10;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Gets it, within that time.
///
/// # Errors
/// No connection, no trust, another status than 200, more than 256 KiB, or too late.
pub(crate) async fn get(address: &str, patience: Duration) -> Result<Bytes, Failed> {
    match timeout(patience, exchange(address)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", patience.as_secs()).into()),
    }
}

async fn exchange(address: &str) -> Result<Bytes, Failed> {
    let uri: Uri = address.parse()?;
    let authority = uri.authority().ok_or("an address without a host")?.as_str().to_owned();
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::USER_AGENT, "seaworthy")
        .body(Empty::new())?;
    if secure {
        let connector = TlsConnector::from(Arc::new(tls()?));
        ask(connector.connect(ServerName::try_from(host)?, stream).await?, request).await
    } else {
        ask(stream, request).await
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Bytes, Failed> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("status {}", response.status().as_u16()).into());
        }
        Ok(Limited::new(response.into_body(), LARGEST).collect().await?.to_bytes())
    };
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // It has ended; what it received is still there to be read.
        _ = &mut connection => exchange.await,
    }
}

/// Trusts the system's authorities; read anew each time, as they change while we run.
fn tls() -> Result<ClientConfig, Failed> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("no certificates of authorities on this machine: install the package ca-certificates".into());
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
