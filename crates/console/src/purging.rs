//! Orders to the cache: the same call on the admin API and on the app API.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use seaworthy_core::{Purge, PurgeCache, PurgeError};
use serde_json::json;

/// Takes stored answers out, and tells how many went. The body is one [`Purge`] as JSON; a page of another site cannot send
/// it, for JSON needs a preflight that nobody answers.
pub(crate) async fn purge(
    State(cache): State<Arc<dyn PurgeCache>>,
    order: Result<Json<Purge>, JsonRejection>,
) -> Response {
    match order {
        Ok(Json(order)) => {
            let purged = match cache.purge(&order).await {
                Ok(purged) => purged,
                Err(error) => return incomplete(&order, &error),
            };
            tracing::info!(?order, purged, "cache purged");
            Json(json!({ "purged": purged })).into_response()
        }
        Err(rejection) => refused(&rejection),
    }
}

/// Who gives an order is to know whether it was carried out everywhere.
fn incomplete(order: &Purge, error: &PurgeError) -> Response {
    tracing::error!(?order, %error, "cache purged in part");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let body = Json(json!({
        "type": "urn:seaworthy:problem:SEA_CACHE_PURGE_INCOMPLETE",
        "title": "The order was not carried out everywhere",
        "status": status.as_u16(),
        "detail": error.to_string(),
        "code": "SEA_CACHE_PURGE_INCOMPLETE",
        "advice": "Repeat it until it succeeds; the log has the reason.",
        "purged": error.removed,
    }));
    let mut answer = (status, body).into_response();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer
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
