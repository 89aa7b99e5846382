//! `GET /uploads/quarantine` lists what was found infected, `DELETE /uploads/quarantine/{id}` removes one of it.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get},
};
use seaworthy_core::{Quarantine, Quarantined};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

type Kept = State<Arc<dyn Quarantine>>;

/// Both calls.
pub(crate) fn router(quarantine: Arc<dyn Quarantine>) -> Router {
    Router::new()
        .route("/uploads/quarantine", get(list))
        .route("/uploads/quarantine/{id}", delete(remove))
        .with_state(quarantine)
}

async fn list(State(quarantine): Kept) -> Result<Json<Vec<Quarantined>>, StatusCode> {
    let listed = spawn_blocking(move || quarantine.list()).await;
    listed.map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn remove(State(quarantine): Kept, Path(id): Path<String>) -> (StatusCode, Json<Value>) {
    let removing = id.clone();
    let removed = spawn_blocking(move || quarantine.remove(&removing)).await.unwrap_or(false);
    tracing::info!(id, removed, "an operator removes a file from quarantine");
    let status = if removed { StatusCode::OK } else { StatusCode::NOT_FOUND };
    (status, Json(json!({ "removed": removed })))
}
