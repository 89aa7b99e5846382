//! HTTPS to the authority: one connection a request, with limits, and an ear for `Retry-After`.
//!
//! The library's own client keeps the header to itself when a request is refused, and that is where authorities say when
//! to come back (RFC 8555, 6.6).

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::tls::{error::TlsError, handshake::provider};

/// A whole exchange; authorities answer in under a second.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer is a certificate chain.
const BODY_LIMIT: usize = 1 << 20;

type Exchange = Result<BytesResponse, Box<dyn std::error::Error + Send + Sync>>;

/// Clones share what the authority said of its limits.
#[derive(Clone)]
pub(super) struct Client {
    tls: Arc<ClientConfig>,
    retry_after: Arc<Mutex<Option<SystemTime>>>,
}

impl Client {
    /// Trusts the system's authorities and `also`.
    pub fn new(also: &[CertificateDer<'static>]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let (_, refused) = roots.add_parsable_certificates(also.iter().cloned());
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() || refused > 0 {
            let reason = "no usable certificates of authorities: install the system's (package ca-certificates), or name \
                          them in edge.acme.trust";
            return Err(TlsError::Refused(reason.into()));
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Refused(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), retry_after: Arc::default() })
    }

    /// When the authority wants to see us again, once; `None` when it did not say.
    pub fn take_retry_after(&self) -> Option<SystemTime> {
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn exchange(self, request: Request<BodyWrapper<Bytes>>) -> Exchange {
        let (host, port) = target(request.uri())?;
        let stream = TcpStream::connect((host.as_str(), port))
            .await
            .map_err(|error| format!("no connection to {host} port {port}: {error}"))?;
        let name = ServerName::try_from(host)?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let exchange = async move {
            let response = sender.send_request(in_origin_form(request)?).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, BODY_LIMIT).collect().await?.to_bytes();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Response::from_parts(parts, body))
        };
        let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
        let response = tokio::select! {
            biased;
            response = &mut exchange => response?,
            // It has ended; what it received is still there to be read.
            _ = &mut connection => exchange.await?,
        };
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner) = retry_after(&parts.headers);
        }
        Ok(BytesResponse { parts, body: Box::new(body) })
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let exchange = self.clone().exchange(request);
        Box::pin(async move {
            match timeout(TIMEOUT, exchange).await {
                Ok(answer) => answer.map_err(Error::Other),
                Err(_) => Err(Error::Other("the authority did not answer in 30 s".into())),
            }
        })
    }
}

fn target(uri: &Uri) -> Result<(String, u16), &'static str> {
    if uri.scheme_str() != Some("https") {
        return Err("the authority named an address that is not https");
    }
    let host = uri.host().ok_or("the authority named an address without host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.into(), uri.port_u16().unwrap_or(443)))
}

fn in_origin_form(mut request: Request<BodyWrapper<Bytes>>) -> Result<Request<BodyWrapper<Bytes>>, http::Error> {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    request.headers_mut().insert(header::HOST, HeaderValue::try_from(authority)?);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    *request.uri_mut() = Uri::try_from(path)?;
    Ok(request)
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<SystemTime> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => SystemTime::now().checked_add(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers)
        };
        let ahead = read("120").unwrap().duration_since(SystemTime::now()).unwrap();
        assert!((118..=120).contains(&ahead.as_secs()), "{ahead:?}");
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT").unwrap(), UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(read("soon"), None);
        assert_eq!(read("18446744073709551615"), None);
    }

    #[test]
    fn requests_go_in_origin_form_to_https_alone() {
        let request = Request::post("https://ca.example:14000/new?x=1").body(BodyWrapper::default()).unwrap();
        assert_eq!(target(request.uri()).unwrap(), ("ca.example".into(), 14000));
        let request = in_origin_form(request).unwrap();
        assert_eq!(request.uri(), "/new?x=1");
        assert_eq!(request.headers()[header::HOST], "ca.example:14000");
        assert_eq!(target(&"https://[::1]/".parse().unwrap()).unwrap(), ("::1".into(), 443));
        assert!(target(&"http://ca.example/".parse().unwrap()).is_err());
    }
}
