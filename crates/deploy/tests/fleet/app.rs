//! A small app for the tests to run: this test's own binary, started with `app`.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{self, Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

/// Held until the end, so that it counts.
static GROWN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Serves until it is told to crash. `words` may hold `--broken` and `--sick FILE`.
pub fn main(words: &[String]) {
    let value = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1)).cloned();
    println!("starting with {}", words.join(" "));
    if words.contains(&"--broken".to_owned()) {
        println!("{{\"level\":\"error\",\"msg\":\"cannot open the database\"}}");
        process::exit(4);
    }
    let is_there = |name: &str| value(name).is_some_and(|file| fs::exists(file).unwrap());
    while is_there("--wait-while") {
        thread::sleep(Duration::from_millis(10));
    }
    if value("--fail-as") == env::var("SEAWORTHY_INSTANCE").ok() {
        while !is_there("--once") {
            thread::sleep(Duration::from_millis(10));
        }
        process::exit(4);
    }
    let listener = TcpListener::bind(("127.0.0.1", env::var("PORT").unwrap().parse().unwrap())).unwrap();
    for stream in listener.incoming().flatten() {
        let sick = value("--sick").is_some_and(|file| fs::exists(file).unwrap());
        thread::spawn(move || answer(stream, sick));
    }
}

fn answer(mut stream: TcpStream, sick: bool) {
    let mut head = [0; 2048];
    let count = stream.read(&mut head).unwrap_or(0);
    let head = String::from_utf8_lossy(&head[..count]).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (status, body) = match path {
        "/health" if sick => (503, String::new()),
        "/env" => (200, env::var(query).unwrap_or_default()),
        "/grow" => {
            GROWN.lock().unwrap().push(vec![1; query.parse::<usize>().unwrap() * 1_000_000]);
            (200, String::new())
        }
        // Its parent ends at once, and it stays in the group.
        "/orphan" => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "sleep 600 >/dev/null 2>&1 & echo $!"]).stderr(Stdio::null());
            (200, String::from_utf8(shell.output().unwrap().stdout).unwrap())
        }
        // Its parent ends at once, and it leaves the group.
        "/daemon" => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"]).stderr(Stdio::null());
            (200, String::from_utf8(shell.output().unwrap().stdout).unwrap())
        }
        "/pid" => (200, process::id().to_string()),
        "/crash" => process::exit(3),
        _ => (200, "ok".into()),
    };
    let _ = write!(stream, "HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
}
