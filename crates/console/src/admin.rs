//! `/livez`, `/readyz`, `/healthz`, `/metrics`, `/status`, `/csp`, `/deprecated`, `/openapi`, `/cache/purge`, and
//! `/uploads/quarantine`.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use seaworthy_core::{Condition, InstanceSource, PurgeCache, Quarantine, Readiness, Shutdown};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::{
    purging, quarantine,
    settings::Settings,
    socket::{self, Bound},
};

/// What the admin API shows. The binary joins the rooms that know.
#[derive(Clone)]
pub struct Facts {
    /// Conditions for traffic.
    pub readiness: Readiness,
    /// Running instances.
    pub instances: Arc<dyn InstanceSource>,
    /// What operators may take out of the cache.
    pub cache: Arc<dyn PurgeCache>,
    /// The metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What browsers reported of content security policies, and what would allow what so many addresses reported.
    pub csp: Arc<dyn Fn(usize) -> Value + Send + Sync>,
    /// Which operations will go away, and who still calls them.
    pub deprecated: Arc<dyn Fn() -> Value + Send + Sync>,
    /// How requests compare with the API's document.
    pub openapi: Arc<dyn Fn() -> Value + Send + Sync>,
    /// Uploads that were found infected.
    pub quarantine: Arc<dyn Quarantine>,
    /// The rest of `/status`: version, addresses, limits. No secrets.
    pub status: Arc<dyn Fn() -> Value + Send + Sync>,
}

/// The admin listener, bound and not yet serving.
#[derive(Debug)]
pub struct Admin {
    tcp: TcpListener,
    address: SocketAddr,
    unix: Option<(tokio::net::UnixListener, PathBuf)>,
}

/// The admin listener cannot be set up.
#[derive(Debug, Error)]
pub enum AdminError {
    /// Somebody else serves there.
    #[error("the admin address {0} is already in use; choose another with --admin (127.0.0.1:0 takes a free port)")]
    InUse(String),
    /// The system refused.
    #[error("cannot listen on the admin address {address}: {source}")]
    Listen {
        /// As asked for.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl Admin {
    /// Binds both sockets. A Unix socket that cannot be had is a warning, not a reason to leave the app down.
    pub async fn bind(settings: &Settings) -> Result<Self, AdminError> {
        let explain = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => AdminError::InUse(settings.listen.clone()),
            _ => AdminError::Listen { address: settings.listen.clone(), source },
        };
        let tcp = TcpListener::bind(&settings.listen).await.map_err(explain)?;
        let address = tcp.local_addr().map_err(explain)?;
        let unix = if settings.socket.is_empty() { None } else { bind_unix(Path::new(&settings.socket)) };
        Ok(Self { tcp, address, unix })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the order to stop.
    pub async fn run(self, facts: Facts, shutdown: Shutdown) -> io::Result<()> {
        let app = router(facts);
        if let Some((listener, path)) = self.unix {
            let (app, order) = (app.clone(), shutdown.clone());
            shutdown.spawn(async move {
                let served = axum::serve(listener, app).with_graceful_shutdown(async move { order.ordered().await });
                if let Err(error) = served.await {
                    tracing::error!(%error, "the admin socket failed");
                }
                // Ours: nobody else answered there when we made it.
                let _ = std::fs::remove_file(path);
            });
        }
        let app = app.layer(from_fn(only_local_names));
        axum::serve(self.tcp, app).with_graceful_shutdown(async move { shutdown.ordered().await }).await
    }
}

fn bind_unix(path: &Path) -> Option<(tokio::net::UnixListener, PathBuf)> {
    match socket::bind(path) {
        Ok(Bound::Listening(listener)) => Some((listener, path.to_owned())),
        Ok(Bound::Taken) => {
            tracing::warn!(path = %path.display(), "another Seaworthy serves this admin socket; going on without one");
            None
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot make the admin socket; going on without one");
            None
        }
    }
}

fn router(facts: Facts) -> Router {
    let purging = post(purging::purge).with_state(facts.cache.clone());
    let quarantine = quarantine::router(facts.quarantine.clone());
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/csp", get(csp))
        .route("/deprecated", get(|State(facts): State<Facts>| async move { Json((facts.deprecated)()) }))
        .route("/openapi", get(openapi))
        .with_state(facts)
        .route("/cache/purge", purging)
        .merge(quarantine)
}

/// Refuses names that are not ours, so that a web page cannot reach the API through a DNS name that it points at
/// loopback (DNS rebinding).
async fn only_local_names(request: Request, next: Next) -> Response {
    if is_local_name(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "the admin API answers only to localhost\n").into_response()
}

fn is_local_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

async fn readyz(State(facts): State<Facts>) -> Response {
    let ready = facts.readiness.is_ready();
    answer(ready, json!({ "ready": ready, "conditions": facts.readiness.conditions() }))
}

/// Health is about the parts; a node that drains is well and only not ready.
async fn healthz(State(facts): State<Facts>) -> Response {
    let mut conditions = facts.readiness.conditions();
    conditions.remove("drain");
    let healthy = conditions.values().all(|condition| *condition == Condition::Ready);
    let instances = facts.instances.instances();
    answer(healthy, json!({ "healthy": healthy, "conditions": conditions, "instances": instances }))
}

async fn metrics(State(facts): State<Facts>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (facts.metrics)()).into_response()
}

async fn status(State(facts): State<Facts>) -> Response {
    let mut status = (facts.status)();
    status["ready"] = facts.readiness.is_ready().into();
    status["instances"] = json!(facts.instances.instances());
    Json(status).into_response()
}

/// `?min_clients=N` leaves out of the proposal what fewer addresses reported.
#[derive(serde::Deserialize)]
struct CspQuery {
    min_clients: Option<usize>,
}

async fn csp(State(facts): State<Facts>, Query(query): Query<CspQuery>) -> Response {
    Json((facts.csp)(query.min_clients.unwrap_or(2))).into_response()
}

async fn openapi(State(facts): State<Facts>) -> Response {
    Json((facts.openapi)()).into_response()
}

fn answer(well: bool, body: Value) -> Response {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use seaworthy_core::{NoInstances, Purge, Purging, Quarantined};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A cache with nothing in it.
    struct Empty;

    impl PurgeCache for Empty {
        fn purge<'a>(&'a self, _: &'a Purge) -> Purging<'a> {
            Box::pin(std::future::ready(Ok(0)))
        }
    }

    /// A quarantine with one file in it.
    struct One;

    impl Quarantine for One {
        fn list(&self) -> Vec<Quarantined> {
            vec![Quarantined { id: "1-a".into(), found: "Eicar".into(), ..Quarantined::default() }]
        }

        fn remove(&self, id: &str) -> bool {
            id == "1-a"
        }
    }

    async fn ask(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), path: &str, host: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn answers_on_both_sockets_and_only_to_local_names() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/admin.sock");
        let settings = Settings { listen: "127.0.0.1:0".into(), socket: socket.display().to_string() };
        let admin = Admin::bind(&settings).await.unwrap();
        let address = admin.address();
        let readiness = Readiness::default();
        let app = readiness.declare("app", "health");
        let facts = Facts {
            readiness: readiness.clone(),
            instances: Arc::new(NoInstances),
            cache: Arc::new(Empty),
            metrics: Arc::new(|| "up 1\n".into()),
            quarantine: Arc::new(One),
            status: Arc::new(|| json!({ "version": "test" })),
            csp: Arc::new(|min_clients| json!({ "min_clients": min_clients })),
            deprecated: Arc::new(|| json!({ "routes": [] })),
            openapi: Arc::new(|| json!({})),
        };
        let shutdown = Shutdown::new();
        let serving = shutdown.clone();
        shutdown.spawn(async move { admin.run(facts, serving).await.unwrap() });

        let over_tcp = async |path: &str, host: &str| {
            ask(&mut tokio::net::TcpStream::connect(address).await.unwrap(), path, host).await
        };
        assert!(over_tcp("/livez", "localhost").await.starts_with("HTTP/1.1 200"));
        assert!(over_tcp("/readyz", "127.0.0.1:1").await.starts_with("HTTP/1.1 503"));
        app.set(Condition::Ready);
        assert!(over_tcp("/readyz", "[::1]:1").await.starts_with("HTTP/1.1 200"));
        let drain = readiness.declare("drain", "");
        drain.set(Condition::Failed("draining".into()));
        assert!(over_tcp("/readyz", "localhost").await.starts_with("HTTP/1.1 503"));
        assert!(over_tcp("/healthz", "localhost").await.starts_with("HTTP/1.1 200"));
        assert!(over_tcp("/metrics", "evil.example").await.starts_with("HTTP/1.1 421"));
        assert!(over_tcp("/csp?min_clients=3", "localhost").await.ends_with("{\"min_clients\":3}"));
        assert!(over_tcp("/csp?min_clients=x", "localhost").await.starts_with("HTTP/1.1 400"));
        assert!(over_tcp("/uploads/quarantine", "localhost").await.contains("\"found\":\"Eicar\""));
        let mut unix = tokio::net::UnixStream::connect(&socket).await.unwrap();
        assert!(ask(&mut unix, "/metrics", "seaworthy").await.ends_with("up 1\n"));
        assert!(matches!(socket::bind(&socket).unwrap(), Bound::Taken));

        shutdown.begin();
        assert!(shutdown.finished(tokio::time::sleep(std::time::Duration::from_secs(5))).await);
        assert!(!socket.exists());
    }

    #[test]
    fn a_public_admin_address_is_refused() {
        use seaworthy_config::{Findings, Section};
        let mut findings = Findings::default();
        Settings { listen: "0.0.0.0:9900".into(), ..Settings::default() }.validate(&mut findings);
        assert!(!findings.is_empty());
    }
}
