//! Orders to the cache: the same call on the admin API and on the app API.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use seaworthy_core::{Purge, PurgeCache};
use serde_json::json;

/// Takes stored answers out, and tells how many went. The body is one [`Purge`] as JSON; a page of another site cannot send
/// it, for JSON needs a preflight that nobody answers.
pub(crate) async fn purge(
    State(cache): State<Arc<dyn PurgeCache>>,
    order: Result<Json<Purge>, JsonRejection>,
) -> Response {
    match order {
        Ok(Json(order)) => {
            let purged = cache.purge(&order);
            tracing::info!(?order, purged, "cache purged");
            Json(json!({ "purged": purged })).into_response()
        }
        Err(rejection) => refused(&rejection),
    }
}

fn refused(rejection: &JsonRejection) -> Response {
    let status = match rejection.status() {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        other => other,
    };
    let mut refused = (
        status,
        Json(json!({
            "type": "urn:seaworthy:problem:SEA_CACHE_PURGE",
            "title": "This is no order to the cache",
            "status": status.as_u16(),
            "detail": rejection.body_text(),
            "code": "SEA_CACHE_PURGE",
            "advice": "Send one of {\"url\": …}, {\"prefix\": …}, {\"tag\": …} or {\"all\": true} as application/json.",
        })),
    )
        .into_response();
    refused.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    refused
}
