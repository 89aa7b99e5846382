//! The cache alone, as a reverse proxy: what `tests/cache/http_cache_tests.mjs --alone` runs, to judge a change of the
//! cache without building the rest.
//!
//! `caching_proxy HOST:PORT` prints the address that it listens on as one line of JSON, and serves until it is killed.

use std::{convert::Infallible, env, error::Error, future::Future, pin::Pin, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http1 as client, server::conn::http1 as server, service::service_fn};
use hyper_util::rt::TokioIo;
use seaworthy_cache::{Cache, CacheSetting, PolicySettings, Settings, Store};
use seaworthy_core::{Body, Handler, RequestContext, RequestId, Shutdown, empty_body};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceExt};

/// Those of one connection (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream: Arc<str> = env::args().nth(1).ok_or("name the upstream: HOST:PORT")?.into();
    let settings = Settings::default();
    let policy = CacheSetting::Policy(PolicySettings { share_set_cookie: true, ..PolicySettings::default() });
    let store = Store::default();
    store.resize(64 << 20);
    let tasks = Shutdown::new();
    let app = tower::service_fn(move |request| forward(upstream.clone(), request));
    let layer = Cache::layer("*", &store, policy.policy().unwrap_or_default(), &settings, &tasks);
    let pipeline = Handler::new(layer.layer(app));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    #[expect(clippy::print_stdout, reason = "how whoever started it learns the address")]
    {
        println!("{{\"listen\":\"{}\"}}", listener.local_addr()?);
    }
    loop {
        let (stream, _) = listener.accept().await?;
        let pipeline = pipeline.clone();
        tasks.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| ask_pipeline(&pipeline, described(request)));
            let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An answer on its way, behind one type: a task may hold it.
type Asking = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn ask_pipeline(pipeline: &Handler, request: Request<Body>) -> Asking {
    Box::pin(pipeline.clone().oneshot(request))
}

/// With what the edge would say of it.
fn described(request: Request<Incoming>) -> Request<Body> {
    let mut request = request.map(|body| match body.is_end_stream() {
        true => empty_body(),
        false => body.map_err(Into::into).boxed_unsync(),
    });
    if let Some(id) = RequestId::from_client(&HeaderValue::from_static("example")) {
        request.extensions_mut().insert(Arc::new(RequestContext::new(id)));
    }
    request
}

async fn forward(upstream: Arc<str>, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(ask(&upstream, request).await.unwrap_or_else(|_| {
        let mut failed = Response::new(empty_body());
        *failed.status_mut() = StatusCode::BAD_GATEWAY;
        failed
    }))
}

async fn ask(upstream: &str, mut request: Request<Body>) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(upstream).await?;
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    Shutdown::new().spawn(async move {
        let _ = connection.await;
    });
    remove_hop_by_hop(request.headers_mut());
    let mut response = sender.send_request(request).await?.map(|body| body.map_err(Into::into).boxed_unsync());
    remove_hop_by_hop(response.headers_mut());
    Ok(response)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}
