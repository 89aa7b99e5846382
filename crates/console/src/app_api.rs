//! The app API: what the app itself may ask, on a loopback port of its own, with a token that only its processes have.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use seaworthy_core::{InstanceSource, PurgeCache, Readiness, Secret, Shutdown};
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use crate::purging;

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;

/// The app API, bound and not yet serving.
#[derive(Debug)]
pub struct AppApi {
    listener: TcpListener,
    address: SocketAddr,
    token: Secret,
}

/// What the app API tells.
#[derive(Clone)]
pub struct AppFacts {
    /// Conditions for traffic.
    pub readiness: Readiness,
    /// Running instances.
    pub instances: Arc<dyn InstanceSource>,
    /// What it may take out of the cache.
    pub cache: Arc<dyn PurgeCache>,
}

impl AppApi {
    /// Takes a free loopback port, and makes a token for this run.
    ///
    /// # Errors
    /// When there is no port or no randomness.
    pub async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut random = [0; TOKEN_BYTES];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { listener, address, token: Secret::new(token) })
    }

    /// What the app gets as `SEAWORTHY_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the app gets as `SEAWORTHY_TOKEN`, to be sent as `Authorization: Bearer`.
    pub fn token(&self) -> Secret {
        self.token.clone()
    }

    /// Serves until the order to stop.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, facts: AppFacts, shutdown: Shutdown) -> io::Result<()> {
        let purging = post(purging::purge).with_state(facts.cache.clone());
        let app = Router::new()
            .route("/v1/app", get(app))
            .with_state(facts)
            .route("/v1/cache/purge", purging)
            .layer(from_fn_with_state(self.token, only_with_token));
        axum::serve(self.listener, app).with_graceful_shutdown(async move { shutdown.ordered().await }).await
    }
}

async fn app(State(facts): State<AppFacts>) -> Response {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": facts.readiness.is_ready(),
        "instances": facts.instances.instances(),
    }))
    .into_response()
}

async fn only_with_token(State(token): State<Secret>, request: Request, next: Next) -> Response {
    if has_token(request.headers(), &token) {
        return next.run(request).await;
    }
    let mut refused = (
        StatusCode::UNAUTHORIZED,
        Json(json!({
            "type": "urn:seaworthy:problem:SEA_APP_API_TOKEN",
            "title": "The app API needs its token",
            "status": 401,
            "code": "SEA_APP_API_TOKEN",
            "advice": "Send the value of SEAWORTHY_TOKEN as Authorization: Bearer.",
        })),
    )
        .into_response();
    refused.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}

fn has_token(headers: &HeaderMap, token: &Secret) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some((scheme, given)) = given.split_at_checked(7) else { return false };
    scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.ct_eq(token.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use seaworthy_core::{NoInstances, Purge, PurgeError, Purging};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A cache that has one answer for each letter of the address.
    struct Letters;

    impl PurgeCache for Letters {
        fn purge<'a>(&'a self, what: &'a Purge) -> Purging<'a> {
            Box::pin(std::future::ready(match what {
                Purge::Url(url) => Ok(url.len()),
                Purge::Tag(_) => Err(PurgeError { removed: 2, left: "one was not reached" }),
                Purge::Prefix(_) | Purge::All(_) => Ok(0),
            }))
        }
    }

    #[tokio::test]
    async fn answers_only_with_the_token() {
        let api = AppApi::bind().await.unwrap();
        let (url, token) = (api.url(), api.token());
        let address = url.strip_prefix("http://").unwrap().to_owned();
        let facts =
            AppFacts { readiness: Readiness::default(), instances: Arc::new(NoInstances), cache: Arc::new(Letters) };
        let shutdown = Shutdown::new();
        let serving = shutdown.clone();
        shutdown.spawn(async move { api.run(facts, serving).await.unwrap() });
        let send = async |request: String| {
            let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let ask = async |authorization: &str| {
            send(format!("GET /v1/app HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{authorization}\r\n")).await
        };
        let secret = token.expose();
        let purge = async |authorization: &str, kind: &str, body: &str| {
            send(format!(
                "POST /v1/cache/purge HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{authorization}content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await
        };
        let (with, json) = (format!("authorization: Bearer {secret}\r\n"), "application/json");
        assert!(purge(&with, json, "{\"url\": \"/abc\"}").await.ends_with("{\"purged\":4}"));
        let incomplete = purge(&with, json, "{\"tag\": \"a\"}").await;
        assert!(incomplete.starts_with("HTTP/1.1 503") && incomplete.contains("\"purged\":2"), "{incomplete}");
        assert!(purge("", json, "{\"url\": \"/abc\"}").await.starts_with("HTTP/1.1 401"));
        for (kind, body) in [
            (json, "{\"uri\": \"/\"}"),
            (json, "{"),
            (json, "{\"url\":\"/\",\"tag\":\"a\"}"),
            ("text/plain", "{\"url\": \"/\"}"),
        ] {
            let answer = purge(&with, kind, body).await;
            assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("SEA_CACHE_PURGE"), "{kind} {body}: {answer}");
        }
        assert!(ask(&format!("authorization: Bearer {secret}\r\n")).await.contains("\"ready\":false"));
        for wrong in [String::new(), "authorization: Bearer x\r\n".into(), format!("authorization: Basic {secret}\r\n")]
        {
            assert!(ask(&wrong).await.starts_with("HTTP/1.1 401"), "{wrong}");
        }
        assert_eq!(secret.len(), 2 * TOKEN_BYTES);
        shutdown.begin();
    }
}
