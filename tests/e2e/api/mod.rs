//! Habits of an API, in front of an app that counts what it did.

mod idempotency;
mod versions;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::{
    http::{Answer, send},
    support::Running,
};

pub fn tests() -> Vec<Trial> {
    [idempotency::tests(), versions::tests()].into_iter().flatten().collect()
}

/// An app that does something for each POST, and counts by the request's key how often.
struct App {
    address: String,
    effects: Arc<Mutex<HashMap<String, usize>>>,
}

impl App {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let app = Self { address: listener.local_addr().unwrap().to_string(), effects: Arc::default() };
        let effects = app.effects.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let effects = effects.clone();
                thread::spawn(move || answer(stream, &effects));
            }
        });
        app
    }

    /// How often it did what the requests with this key asked for.
    fn effects(&self, key: &str) -> usize {
        self.effects.lock().unwrap().get(key).copied().unwrap_or_default()
    }

    fn behind(&self, config: &str) -> Running {
        self.behind_in(tempfile::tempdir().unwrap(), config)
    }

    fn behind_in(&self, folder: TempDir, config: &str) -> Running {
        let config = format!("[app]\nto = \"http://{}\"\n{config}", self.address);
        std::fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
        Running::start_in(folder, &[] as &[&str])
    }
}

/// Reads one request, and answers it on a connection that ends with it: a POST is done and numbered, and what else there is
/// hears how it was asked.
fn answer(mut stream: TcpStream, effects: &Mutex<HashMap<String, usize>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let mut respond = |status: u16, headers: &str, body: &str| {
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    };
    if !first.starts_with("POST") {
        let location = format!("location: {path}/next\r\nset-cookie: a=1; Path={path}\r\nset-cookie: b=2; Path=/\r\n");
        return respond(200, &location, &format!("{path} prefix={}", header("x-forwarded-prefix")));
    }
    let number = {
        let mut effects = effects.lock().unwrap();
        let count = effects.entry(header("idempotency-key")).or_default();
        *count += 1;
        *count
    };
    match path.split('?').next().unwrap() {
        "/slow" => thread::sleep(Duration::from_millis(400)),
        "/hangs-up" => return,
        _ => {}
    }
    let json = "content-type: application/json\r\n";
    match path.as_str() {
        "/fails" => respond(500, json, &format!("{{\"number\":{number}}}")),
        "/busy" => respond(429, json, "{}"),
        "/large" => respond(200, "", &"x".repeat(2 << 20)),
        _ => {
            let headers = format!("{json}location: /orders/{number}\r\nset-cookie: once=1\r\n");
            respond(201, &headers, &format!("{{\"number\":{number},\"body\":{}}}", body.len()));
        }
    }
}

/// A request with a body, on a connection of its own.
fn request(address: &str, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<Answer> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    send(address, request.as_bytes())
}
