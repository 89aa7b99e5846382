//! `Idempotency-Key`: what is repeated is done once, whatever happens in between.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};

use super::{App, request};
use crate::{
    http::Answer,
    support::{Running, seaworthy, test, until},
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("a_repeated_post_is_done_once_and_answered_again", a_repeated_post_is_done_once),
        test("a_key_is_of_one_request_and_one_client", a_key_is_of_one_request_and_one_client),
        test("a_hundred_at_once_with_one_key_reach_the_app_once", a_hundred_at_once),
        test("what_the_app_did_not_do_may_run_again_and_what_it_may_have_done_not", outcomes),
        test("a_client_that_hangs_up_has_done_it_all_the_same", a_client_that_hangs_up),
        test("after_a_kill_under_load_every_key_was_done_once", after_a_kill_under_load),
        test("a_store_that_cannot_be_used_stops_the_start", a_store_that_cannot_be_used),
    ]
}

const ON: &str = "[[route]]\nmatch = \"/*\"\nidempotency = true\n";

fn post(running: &Running, path: &str, key: &str, body: &str) -> Answer {
    request(&running.url, "POST", path, &format!("idempotency-key: {key}\r\n"), body).unwrap()
}

fn a_repeated_post_is_done_once() {
    let app = App::start();
    let running = app.behind(ON);
    let first = post(&running, "/orders", "k1", "one");
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None));
    assert_eq!(first.header("set-cookie"), Some("once=1"));
    for key in ["k1", "\"k1\""] {
        let again = post(&running, "/orders", key, "one");
        assert_eq!((again.status, again.text()), (201, first.text()));
        assert_eq!(again.header("location"), Some("/orders/1"));
        assert_eq!((again.header("idempotency-replayed"), again.header("set-cookie")), (Some("true"), None));
    }
    assert_eq!(app.effects("k1"), 1);
    assert_eq!(post(&running, "/orders", "k2", "one").json()["number"], 1, "another key is another request");
    // Without a key, and with another method, nothing is different.
    request(&running.url, "POST", "/orders", "", "").unwrap();
    request(&running.url, "POST", "/orders", "", "").unwrap();
    assert_eq!(app.effects(""), 2);
    let permissions = std::fs::metadata(running.folder.path().join(".seaworthy/idempotency.db")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o600);
    let metrics = crate::http::get(&running.admin, "/metrics").text();
    assert!(metrics.contains("seaworthy_idempotent_requests_total{route=\"/*\",result=\"replayed\"} 2"), "{metrics}");
}

fn a_key_is_of_one_request_and_one_client() {
    let app = App::start();
    let running = app.behind(&format!("{ON}[[route]]\nmatch = \"POST /pay\"\nidempotency = \"required\"\n"));
    let send = |path: &str, headers: &str, body: &str| request(&running.url, "POST", path, headers, body).unwrap();
    assert_eq!(send("/orders?a=1", "idempotency-key: k\r\n", "one").status, 201);
    let body = send("/orders?a=1", "idempotency-key: k\r\n", "two");
    assert_eq!((body.status, body.json()["code"].as_str()), (422, Some("SEA_API_IDEMPOTENCY_KEY_REUSED")));
    assert_eq!(send("/orders?a=2", "idempotency-key: k\r\n", "one").status, 422);
    assert_eq!(send("/orders?a=1", "idempotency-key: k\r\ncontent-type: text/plain\r\n", "one").status, 422);
    assert_eq!(app.effects("k"), 1);
    // Another client, and another path: another key.
    assert_eq!(send("/orders?a=1", "idempotency-key: k\r\nauthorization: Bearer b\r\n", "two").json()["number"], 2);
    assert_eq!(send("/else", "idempotency-key: k\r\n", "two").json()["number"], 3);
    let missing = send("/pay", "", "");
    assert_eq!((missing.status, missing.json()["code"].as_str()), (400, Some("SEA_API_IDEMPOTENCY_KEY_MISSING")));
    for wrong in ["idempotency-key: a\r\nidempotency-key: b\r\n", "idempotency-key: a b\r\n", "idempotency-key: \r\n"] {
        let answer = send("/pay", wrong, "");
        assert_eq!(answer.json()["code"], "SEA_API_IDEMPOTENCY_KEY_MALFORMED", "{wrong}");
    }
    assert_eq!(app.effects("a"), 0);
}

/// Status and body of each of many requests with one key, sent at once.
fn at_once(running: &Running, count: usize, key: &str) -> Vec<(u16, String)> {
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (address, key) = (running.url.clone(), format!("idempotency-key: {key}\r\n"));
            thread::spawn(move || {
                let answer = request(&address, "POST", "/slow", &key, "body").unwrap();
                (answer.status, answer.text())
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn a_hundred_at_once() {
    let app = App::start();
    let running = app.behind(ON);
    let answers = at_once(&running, 100, "k");
    assert_eq!(app.effects("k"), 1);
    let done = answers.iter().filter(|(status, _)| *status == 201).count();
    let refused = answers.iter().filter(|(_, text)| text.contains("SEA_API_IDEMPOTENCY_RUNNING")).count();
    assert!(done >= 1 && refused >= 1 && done + refused == 100, "{done} {refused}");
    drop(running);
    let running = app.behind("[[route]]\nmatch = \"/*\"\nidempotency = { wait = \"20s\" }\n");
    let answers = at_once(&running, 100, "w");
    assert_eq!(app.effects("w"), 1);
    assert!(answers.iter().all(|answer| *answer == (201, "{\"number\":1,\"body\":4}".into())), "{answers:?}");
}

fn outcomes() {
    let app = App::start();
    let running = app.behind(&format!("{ON}[[route]]\nmatch = \"/fails\"\nidempotency = {{ keep_errors = false }}\n"));
    // Its own failures run again where that was asked for, and a refusal runs again anyway.
    for number in [1, 2] {
        assert_eq!(post(&running, "/fails", "f", "").json()["number"], number);
        assert_eq!(post(&running, "/busy", "b", "").status, 429);
        assert_eq!(app.effects("b"), number);
    }
    // Nobody knows what it did.
    assert_eq!(post(&running, "/hangs-up", "h", "").json()["code"], "SEA_EDGE_UPSTREAM_BROKEN");
    let again = post(&running, "/hangs-up", "h", "");
    assert_eq!((again.status, again.json()["code"].as_str()), (409, Some("SEA_API_IDEMPOTENCY_OUTCOME_UNKNOWN")));
    assert_eq!(app.effects("h"), 1);
    // Done, and too large to keep.
    assert_eq!(post(&running, "/large", "l", "").body.len(), 2 << 20);
    assert_eq!(post(&running, "/large", "l", "").json()["code"], "SEA_API_IDEMPOTENCY_ANSWER_NOT_KEPT");
    assert_eq!(app.effects("l"), 1);
    drop(running);
    let running = app.behind("[api]\nidempotency = true\n");
    assert_eq!(post(&running, "/fails", "kept", "").json()["number"], 1);
    assert_eq!(post(&running, "/fails", "kept", "").json()["number"], 1, "kept, as any other answer");
    drop(running);
    // An app that is gone never had it, so the key is free when it is back.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = format!("[app]\nto = \"http://{}\"\n{ON}", listener.local_addr().unwrap());
    std::fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let running = Running::start_in(folder, &[] as &[&str]);
    drop(listener);
    for _ in 0..2 {
        let code = post(&running, "/orders", "n", "").json()["code"].as_str().unwrap().to_owned();
        let never_sent = ["SEA_EDGE_UPSTREAM_UNREACHABLE", "SEA_EDGE_APP_FAILING", "SEA_EDGE_APP_NOT_READY"];
        assert!(never_sent.contains(&code.as_str()), "{code}");
    }
}

fn a_client_that_hangs_up() {
    use std::io::Write;
    let app = App::start();
    let running = app.behind(ON);
    let mut stream = std::net::TcpStream::connect(&running.url).unwrap();
    let head =
        format!("POST /slow HTTP/1.1\r\nhost: {}\r\nidempotency-key: k\r\ncontent-length: 2\r\n\r\nab", running.url);
    stream.write_all(head.as_bytes()).unwrap();
    until("the app has it", Duration::from_secs(10), || app.effects("k") == 1);
    drop(stream);
    until("it is done", Duration::from_secs(10), || post(&running, "/slow", "k", "ab").status == 201);
    assert_eq!(app.effects("k"), 1);
}

fn after_a_kill_under_load() {
    let app = App::start();
    let mut running = app.behind(ON);
    let (acknowledged, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let (acknowledged, stop, address) = (acknowledged.clone(), stop.clone(), running.url.clone());
            thread::spawn(move || {
                let mut sent = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("{client}-{}", sent.len());
                    sent.push(key.clone());
                    let answer = request(&address, "POST", "/orders", &format!("idempotency-key: {key}\r\n"), &key);
                    match answer {
                        Ok(answer) if answer.status == 201 => acknowledged.lock().unwrap().push((key, answer.text())),
                        // Cut off: the load goes on against a closed door.
                        _ => thread::sleep(Duration::from_millis(5)),
                    }
                }
                sent
            })
        })
        .collect();
    until("there is load", Duration::from_secs(30), || acknowledged.lock().unwrap().len() > 300);
    kill(running.pid(), Signal::SIGKILL).unwrap();
    running.ended(Duration::from_secs(10));
    stop.store(true, Ordering::Relaxed);
    let sent: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let acknowledged = acknowledged.lock().unwrap().clone();
    let folder = std::mem::replace(&mut running.folder, tempfile::tempdir().unwrap());
    drop(running);

    let running = app.behind_in(folder, ON);
    for (key, text) in &acknowledged {
        let again = post(&running, "/orders", key, key);
        assert_eq!((again.status, &again.text()), (201, text), "{key}");
        assert_eq!(app.effects(key), 1, "{key}");
    }
    let mut cut = 0;
    for key in sent.iter().filter(|key| acknowledged.iter().all(|(known, _)| known != *key)) {
        let again = post(&running, "/orders", key, key);
        let known = again.status == 201 || again.json()["code"] == "SEA_API_IDEMPOTENCY_OUTCOME_UNKNOWN";
        assert!(known && app.effects(key) <= 1, "{key}: {} {}", again.status, app.effects(key));
        cut += usize::from(again.status == 409);
    }
    eprintln!("{} acknowledged; of {} sent, {cut} were cut off in the middle", acknowledged.len(), sent.len());
}

fn a_store_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys.db"), "no database, and long enough to be looked at as one").unwrap();
    let config =
        "[app]\nto = \"http://127.0.0.1:1\"\n[api]\nidempotency = true\n[api.idempotency_store]\npath = \"keys.db\"\n";
    std::fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let output = seaworthy(folder.path(), &["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let told = crate::support::error_text(&output);
    assert!(!output.status.success() && told.contains("SEA_RUN_IDEMPOTENCY") && told.contains("keys.db"), "{told}");
}
