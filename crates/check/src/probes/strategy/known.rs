//! A known subject: a small board of notes behind a cache, with good manners or without.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::header;
use http_body_util::BodyExt;

use crate::{
    allowed::Canary,
    fixture::{self, Reply, ServerOptions, reply},
    subject::{Fixture, Subject},
};

/// What the board does well or badly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// The time that it says copies may have.
    pub seconds: u64,
    /// Copies go when their time is over, or something is written.
    pub forgets: bool,
    /// Whoever asks while an answer is made waits for that one.
    pub waits: bool,
    /// What signed-in people get is not kept.
    pub discreet: bool,
    /// What is written is shown some time.
    pub shows: bool,
    /// A purge takes the copy out, and is not only answered.
    pub purges: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self { seconds: 60, forgets: true, waits: true, discreet: true, shows: true, purges: true }
    }
}

#[derive(Default)]
struct Board {
    notes: Vec<String>,
    copies: HashMap<String, (Instant, String)>,
}

impl Board {
    /// An answer from the copies, with its age.
    fn copy(&self, address: &str, manners: Manners) -> Option<(u64, String)> {
        let (made, text) = self.copies.get(address)?;
        let (age, limit) = (made.elapsed(), Duration::from_secs(manners.seconds));
        (!manners.forgets || age < limit).then(|| (age.min(limit).as_secs(), text.clone()))
    }
}

/// The board as a subject.
pub(super) fn board(manners: Manners) -> io::Result<Fixture> {
    let board: Arc<Mutex<Board>> = Arc::default();
    let admin = fixture::Server::start(admin(board.clone(), manners), ServerOptions::default())?;
    let answering: fixture::Answering = Arc::new(move |request| {
        let board = board.clone();
        Box::pin(async move {
            let address = request.uri().to_string();
            let who = request.headers().get(header::AUTHORIZATION).map(|who| format!("{who:?}"));
            match (request.method().as_str(), request.uri().path()) {
                ("POST", "/notes") => {
                    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    let mut board = lock(&board);
                    if manners.shows {
                        board.notes.push(String::from_utf8_lossy(&body).into_owned());
                    }
                    if manners.forgets {
                        board.copies.clear();
                    }
                    reply(201, &[], "")
                }
                (_, "/notes") => notes(&board, &address, who, manners).await,
                (_, "/account") => account(&board, &address, who, manners),
                (_, "/") => reply(
                    200,
                    &[("content-type", "text/html"), ("cache-control", "no-cache")],
                    "<script src=\"/assets/app-3f9a1c2b.js\"></script>",
                ),
                (_, "/assets/app-3f9a1c2b.js") => {
                    reply(200, &[("cache-control", "public, max-age=31536000, immutable")], "a")
                }
                _ => reply(404, &[], ""),
            }
        })
    });
    let server = fixture::Server::start(answering, ServerOptions::default())?;
    let (url, admin_api) = (Some(server.address.clone()), Some(admin.address.clone()));
    let mut subject = Subject { url, admin: admin_api, ..Subject::default() };
    subject.hints.paths = vec!["/notes".into(), "/account".into()];
    subject.hints.canary =
        Some(Canary { post: "/notes".into(), body: "text={canary}".into(), pages: vec!["/notes".into()] });
    Ok(Fixture { subject, _keep: vec![Box::new(server), Box::new(admin)] })
}

/// What takes its copies out.
fn admin(board: Arc<Mutex<Board>>, manners: Manners) -> fixture::Answering {
    Arc::new(move |request| {
        let board = board.clone();
        Box::pin(async move {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let order: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            match order["url"].as_str() {
                Some(address) if manners.purges => drop(lock(&board).copies.remove(address)),
                Some(_) => {}
                None => return reply(400, &[], ""),
            }
            reply(200, &[], "{\"removed\":1}")
        })
    })
}

fn lock(board: &Mutex<Board>) -> std::sync::MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn notes(board: &Mutex<Board>, address: &str, who: Option<String>, manners: Manners) -> Reply {
    let control = format!("max-age={}", manners.seconds);
    if who.is_some() {
        return reply(200, &[("cache-control", &control)], lock(board).notes.join("\n"));
    }
    if let Some((age, text)) = lock(board).copy(address, manners) {
        return reply(200, &[("cache-control", &control), ("age", &age.to_string())], text);
    }
    if !manners.waits {
        // As long as an answer takes, everybody who asks has one made.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut board = lock(board);
    let text = board.notes.join("\n");
    board.copies.insert(address.to_owned(), (Instant::now(), text.clone()));
    reply(200, &[("cache-control", &control)], text)
}

/// Of somebody who says who it is.
fn account(board: &Mutex<Board>, address: &str, who: Option<String>, manners: Manners) -> Reply {
    let mut board = lock(board);
    if let Some((_, text)) = board.copies.get(address).filter(|_| !manners.discreet) {
        return reply(200, &[("cache-control", "max-age=60"), ("age", "1")], text.clone());
    }
    let Some(who) = who else { return reply(401, &[("cache-control", "no-store")], "who are you?") };
    if manners.discreet {
        return reply(200, &[("cache-control", "no-store")], who);
    }
    board.copies.insert(address.to_owned(), (Instant::now(), who.clone()));
    reply(200, &[("cache-control", "max-age=60")], who)
}
