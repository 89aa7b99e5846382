//! The demo's app: questions about documents, written the way a first version is.
//!
//! It works, and it is honestly unready: no limits, lists without pages, errors that tell too much, a dependency that fails
//! now and then, and it drops everything on SIGTERM. Nothing in it knows that it is being checked.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, State},
    http::{HeaderValue, StatusCode, header::ACCESS_CONTROL_ALLOW_ORIGIN},
    middleware::map_response,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{net::TcpListener, time::sleep};

#[derive(Clone, Serialize)]
struct Document {
    id: usize,
    title: String,
    bytes: usize,
}

#[derive(Default)]
struct Shelf {
    documents: Mutex<Vec<Document>>,
    questions: AtomicUsize,
}

#[derive(Deserialize)]
struct Slow {
    #[serde(default)]
    seconds: f64,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    q: String,
}

/// Serves until the process ends.
pub async fn serve(port: u16) -> std::io::Result<()> {
    let shelf = Shelf::default();
    let titles = (1..=240).map(|id| Document { id, title: format!("Minutes of meeting {id}"), bytes: 900 + id });
    shelf.documents.lock().unwrap_or_else(PoisonError::into_inner).extend(titles);
    let app = Router::new()
        .route("/", get(home))
        .route("/health", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/slow", get(slow))
        .route("/api/documents", get(list).post(upload))
        .route("/api/ask", get(ask))
        .route("/api/report", get(report))
        .layer(DefaultBodyLimit::disable())
        .layer(map_response(for_everybody))
        .with_state(Arc::new(shelf));
    axum::serve(TcpListener::bind(("127.0.0.1", port)).await?, app).await
}

/// A page of any site may call: that was the quickest way past an error in the browser's console.
async fn for_everybody(mut response: Response) -> Response {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

async fn home() -> Html<&'static str> {
    Html(include_str!("home.html"))
}

/// Summarising a long document takes a while.
async fn slow(Query(slow): Query<Slow>) -> Json<serde_json::Value> {
    sleep(Duration::from_secs_f64(slow.seconds.clamp(0.0, 120.0))).await;
    Json(json!({ "summary": "It is a long document.", "seconds": slow.seconds }))
}

async fn list(State(shelf): State<Arc<Shelf>>) -> Json<serde_json::Value> {
    let documents = shelf.documents.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Json(json!({ "documents": documents }))
}

async fn upload(State(shelf): State<Arc<Shelf>>, body: Bytes) -> impl IntoResponse {
    let mut documents = shelf.documents.lock().unwrap_or_else(PoisonError::into_inner);
    let id = documents.len() + 1;
    let document = Document { id, title: format!("Upload {id}"), bytes: body.len() };
    documents.push(document.clone());
    (StatusCode::CREATED, Json(document))
}

/// The model behind it does not answer every third question.
async fn ask(State(shelf): State<Arc<Shelf>>, Query(question): Query<Question>) -> Response {
    match shelf.questions.fetch_add(1, Ordering::Relaxed) % 3 {
        2 => leak("openai.APIConnectionError: https://models.internal/v1/chat refused the connection"),
        _ => Json(json!({ "question": question.q, "answer": "It was decided in the meeting." })).into_response(),
    }
}

async fn report() -> Response {
    leak("OperationalError: no such table: reports\n  SELECT title, owner FROM reports WHERE owner = 'demo'")
}

/// What a framework in debug mode does with an error that nobody handled.
fn leak(error: &str) -> Response {
    let trace = format!(
        "Traceback (most recent call last):\n  File \"/srv/app/documents/views.py\", line 42, in handle\n    return run(query)\n{error}\n"
    );
    (StatusCode::INTERNAL_SERVER_ERROR, trace).into_response()
}
