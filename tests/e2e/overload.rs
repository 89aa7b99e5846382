//! More to do than the app can: what is let in is answered in time, and the rest is told at once.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;

use crate::{
    http::{get, send, try_get},
    logins::busy,
    rates::metric,
    support::test_with,
};

const PYTHON: (&str, &str) = ("python3", "the Debian package python3");

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("an_app_that_saturates_answers_what_is_let_in_in_time", &[PYTHON], saturated),
        test_with("so_many_at_once_and_no_more", &[PYTHON], at_once),
        test_with("an_app_that_hangs_is_seen_though_its_clients_hang_up", &[PYTHON], hung),
        test_with("what_was_refused_for_load_is_no_answer_to_an_idempotency_key", &[PYTHON], not_kept),
    ]
}

/// What clients of one path saw: status and time of each answer, with when it was asked.
type Seen = Arc<Mutex<Vec<(Instant, u16, Duration)>>>;

/// So many clients that ask again and again until then.
fn clients(url: &str, path: &'static str, count: usize, until: Instant) -> (Seen, Vec<thread::JoinHandle<()>>) {
    let seen = Seen::default();
    let threads = (0..count).map(|_| {
        let (url, seen) = (url.to_owned(), seen.clone());
        thread::spawn(move || {
            while Instant::now() < until {
                let asked = Instant::now();
                let answer = try_get(&url, path, "").unwrap();
                assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
                seen.lock().unwrap().push((asked, answer.status, asked.elapsed()));
                if answer.status == 503 {
                    assert!(answer.header("retry-after").is_some());
                    thread::sleep(Duration::from_millis(300));
                }
            }
        })
    });
    let threads = threads.collect();
    (seen, threads)
}

fn saturated() {
    // 80 requests a second are what it can do; 110 clients are more than that by far.
    let node = busy(
        "[protection.overload]\nlatency_target = \"400ms\"\n[[route]]\nmatch = \"GET /work/high\"\npriority = \"high\"\n\
         [[route]]\nmatch = \"GET /work/low\"\npriority = \"low\"\n",
    );
    let (began, length) = (Instant::now(), Duration::from_secs(12));
    let (high, mut threads) = clients(&node.url, "/work/high", 10, began + length);
    let (low, more) = clients(&node.url, "/work/low", 100, began + length);
    threads.extend(more);
    let mut health = Vec::new();
    while began.elapsed() < length {
        health.push(get(&node.url, "/health").status);
        thread::sleep(Duration::from_millis(100));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    // The first seconds are for learning it.
    let look = |seen: &Seen| {
        let seen = seen.lock().unwrap();
        let later: Vec<_> = seen.iter().filter(|(asked, ..)| *asked > began + length / 2).copied().collect();
        let mut passed: Vec<Duration> =
            later.iter().filter(|(_, status, _)| *status == 200).map(|(_, _, took)| *took).collect();
        passed.sort();
        (later.len(), passed)
    };
    let ((high_asked, high), (low_asked, low)) = (look(&high), look(&low));
    let part = |passed: usize, asked: usize| passed as f64 / asked.max(1) as f64;
    let (high_part, low_part) = (part(high.len(), high_asked), part(low.len(), low_asked));
    let slowest = high[high.len() * 95 / 100].max(*low.get(low.len() * 95 / 100).unwrap_or(&Duration::ZERO));
    eprintln!(
        "high: {} of {high_asked}, low: {} of {low_asked}; 95% within {slowest:?} (without shedding 1.4 s)",
        high.len(),
        low.len()
    );
    assert!(slowest < Duration::from_millis(1_000), "{slowest:?}");
    assert!(high_part > 0.9 && high_part > low_part + 0.3, "high {high_part:.2}, low {low_part:.2}");
    assert!((high.len() + low.len()) as f64 > 6.0 * 80.0 * 0.3, "the app is kept busy");
    assert!(health.iter().all(|status| *status == 200), "health checks are never refused");
    assert!(metric(&node, "seaworthy_shed_requests_total").unwrap() > 0.0);
}

/// Clients that wait for half a second, and then go.
fn hung() {
    let node = busy("[protection.overload]\nlatency_target = \"200ms\"\n");
    let stop = Instant::now() + Duration::from_secs(60);
    let refused = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let (url, refused) = (node.url.clone(), refused.clone());
            thread::spawn(move || {
                while Instant::now() < stop && !refused.load(Ordering::Relaxed) {
                    let mut socket = TcpStream::connect(&url).unwrap();
                    socket.write_all(b"GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
                    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                    let mut head = [0; 64];
                    if socket.read(&mut head).is_ok_and(|read| head[..read].starts_with(b"HTTP/1.1 503")) {
                        refused.store(true, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    // What is answered at once is a small part, and makes the app look well.
    while Instant::now() < stop && !refused.load(Ordering::Relaxed) {
        assert!(matches!(get(&node.url, "/seen").status, 200 | 503));
        thread::sleep(Duration::from_millis(100));
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(refused.load(Ordering::Relaxed), "nobody was refused");
    assert_eq!(get(&node.url, "/health").status, 200);
}

fn not_kept() {
    let node = busy("[[route]]\nmatch = \"/slow\"\nconcurrency = 1\nidempotency = true\n");
    let ask = |url: &str, key: &str| {
        let body = "password=right";
        let head = format!("host: a\r\nconnection: close\r\nidempotency-key: {key}\r\ncontent-length: {}", body.len());
        send(url, format!("POST /slow HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes()).unwrap()
    };
    let asked: Vec<_> = (0..6)
        .map(|number| {
            let (url, key) = (node.url.clone(), format!("key-{number}"));
            thread::spawn(move || (ask(&url, &key).status, key))
        })
        .collect();
    let asked: Vec<_> = asked.into_iter().map(|one| one.join().unwrap()).collect();
    let (_, refused) = asked.iter().find(|(status, _)| *status == 503).expect("not all of them at once");
    // What was refused has reached nobody: now it is done, once.
    let done = ask(&node.url, refused);
    assert_eq!((done.status, done.header("idempotency-replayed")), (200, None));
    assert_eq!(ask(&node.url, refused).header("idempotency-replayed"), Some("true"));
}

fn at_once() {
    let node = busy("[[route]]\nmatch = \"GET /work/two\"\nconcurrency = 2\n");
    let answers: Vec<_> = (0..12)
        .map(|_| {
            let url = node.url.clone();
            thread::spawn(move || try_get(&url, "/work/two", "").unwrap())
        })
        .collect();
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.join().unwrap()).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!refused.is_empty() && refused.len() <= 10, "{} of 12", refused.len());
    assert_eq!(refused[0].json()["code"], "SEA_PROTECTION_CONCURRENCY_LIMITED");
    assert_eq!(get(&node.url, "/work/two").status, 200, "places are free again");
}
