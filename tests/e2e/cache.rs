//! The cache in front of an app that counts what it is asked.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use libtest_mimic::Trial;

use crate::{
    http::{Answer, get, get_with, send},
    support::{Running, test, until},
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("a_second_get_comes_from_the_cache", a_second_get_comes_from_the_cache),
        test("many_that_wait_are_one_request_to_the_app", many_that_wait_are_one_request_to_the_app),
        test("a_policys_answers_are_nobody_elses", a_policys_answers_are_nobody_elses),
        test("a_write_and_a_purge_take_answers_out", a_write_and_a_purge_take_answers_out),
        test("a_stale_answer_is_given_while_it_is_refreshed_and_when_the_app_fails", stale_answers),
        test("a_search_is_cached_by_its_body", a_search_is_cached_by_its_body),
        test("answers_without_an_etag_get_one", answers_without_an_etag_get_one),
        test("a_wrong_policy_is_found", a_wrong_policy_is_found),
    ]
}

/// An app that answers each path with what the test said, and the number of the request to that path in the body.
pub struct App {
    address: String,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    answers: Arc<Mutex<HashMap<String, Says>>>,
}

#[derive(Clone, Default)]
struct Says {
    status: u16,
    headers: String,
    pause: Duration,
}

impl App {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = Self { address, asked: Arc::default(), answers: Arc::default() };
        let (asked, answers) = (app.asked.clone(), app.answers.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, answers) = (asked.clone(), answers.clone());
                thread::spawn(move || answer(stream, &asked, &answers));
            }
        });
        app
    }

    pub fn says(&self, path: &str, status: u16, headers: &str) {
        let says = Says { status, headers: headers.into(), pause: Duration::ZERO };
        self.answers.lock().unwrap().insert(path.into(), says);
    }

    pub fn slowly(&self, path: &str, headers: &str, pause: Duration) {
        let says = Says { status: 200, headers: headers.into(), pause };
        self.answers.lock().unwrap().insert(path.into(), says);
    }

    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    pub fn behind(&self, config: &str) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("[app]\nto = \"http://{}\"\n[edge]\nerrors = \"pass\"\n{config}", self.address);
        std::fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
        Running::start_in(folder, &[] as &[&str])
    }
}

/// Reads one request, and answers it on a connection that ends with it.
fn answer(mut stream: TcpStream, asked: &Mutex<HashMap<String, usize>>, answers: &Mutex<HashMap<String, Says>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        length = lower.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let number = {
        let mut asked = asked.lock().unwrap();
        let count = asked.entry(path.clone()).or_default();
        *count += 1;
        *count
    };
    let says = answers.lock().unwrap().get(&path).cloned().unwrap_or(Says { status: 200, ..Says::default() });
    thread::sleep(says.pause);
    let body = format!("answer {number}");
    let head = format!(
        "HTTP/1.1 {} X\r\ncontent-length: {}\r\nconnection: close\r\n{}\r\n",
        says.status,
        body.len(),
        says.headers
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

pub fn method(running: &Running, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        running.url,
        body.len()
    );
    send(&running.url, request.as_bytes()).unwrap()
}

/// An order to the cache, on the admin API.
pub fn purge(running: &Running, order: &str) -> Answer {
    let head = "content-type: application/json\r\n";
    let request = format!(
        "POST /cache/purge HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}content-length: {}\r\n\r\n{order}",
        order.len()
    );
    send(&running.admin, request.as_bytes()).unwrap()
}

fn a_second_get_comes_from_the_cache() {
    let app = App::start();
    let running = app.behind("[cache]\npolicy = true\n");
    app.says("/a", 200, "cache-control: max-age=60\r\netag: \"one\"\r\ncache-tag: hidden\r\n");
    let first = get(&running.url, "/a");
    assert_eq!((first.text().as_str(), first.header("age"), first.header("cache-tag")), ("answer 1", None, None));
    assert_eq!(first.header("cache-status"), Some("seaworthy; fwd=uri-miss; fwd-status=200; stored"));
    let second = get(&running.url, "/a");
    assert_eq!((second.text().as_str(), app.asked("/a")), ("answer 1", 1));
    assert!(
        second.header("age").is_some() && second.header("cache-status").unwrap().starts_with("seaworthy; hit; ttl=")
    );
    let part = get_with(&running.url, "/a", "range: bytes=0-5\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "answer"));
    assert_eq!(get_with(&running.url, "/a", "if-none-match: \"one\"\r\n").status, 304);
    assert_eq!(app.asked("/a"), 1);
    // What says nothing is not kept, nor what an error says by accident, nor what the app never answered.
    app.says("/plain", 200, "");
    app.says("/broken", 503, "");
    for path in ["/plain", "/broken"] {
        get(&running.url, path);
        get(&running.url, path);
        assert_eq!(app.asked(path), 2, "{path}");
    }
    let metrics = get(&running.admin, "/metrics").text();
    assert!(metrics.contains("seaworthy_cache_requests_total{route=\"*\",result=\"hit\"} 3"), "{metrics}");
}

fn many_that_wait_are_one_request_to_the_app() {
    let app = App::start();
    let running = app.behind("[cache]\npolicy = true\n");
    app.slowly("/slow", "cache-control: max-age=60\r\n", Duration::from_millis(400));
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let address = running.url.clone();
            thread::spawn(move || get(&address, "/slow").text())
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap() == "answer 1"));
    assert_eq!(app.asked("/slow"), 1);
    // What cannot be kept is not waited for: they go on at once when the first one's head shows it.
    app.slowly("/own", "cache-control: private\r\n", Duration::from_millis(400));
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let address = running.url.clone();
            thread::spawn(move || get(&address, "/own").text())
        })
        .collect();
    let answers: std::collections::HashSet<String> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!((answers.len(), app.asked("/own")), (10, 10), "everyone has an answer of their own");
}

fn a_policys_answers_are_nobody_elses() {
    let app = App::start();
    let running = app.behind(
        "[[route]]\nmatch = \"/strict\"\ncache = { ttl = \"1m\" }\n\
         [[route]]\nmatch = \"/own\"\ncache = { ttl = \"1m\", per = \"principal\", cookies = [\"sid\"] }\n",
    );
    let ask = |path: &str, headers: &str| get_with(&running.url, path, headers).text();
    assert_eq!(ask("/strict", ""), "answer 1");
    assert_eq!(ask("/strict", ""), "answer 1");
    for named in ["cookie: a=b\r\n", "authorization: Bearer x\r\n"] {
        assert_ne!(ask("/strict", named), ask("/strict", named), "{named}");
    }
    assert_eq!(ask("/strict", ""), "answer 1");
    let one = ask("/own", "cookie: sid=1; theme=dark\r\n");
    assert_eq!(one, ask("/own", "cookie: theme=light; sid=1\r\n"));
    let others = ["cookie: sid=2\r\n", "", "authorization: Bearer x\r\n", "authorization: Bearer y\r\n"].map(|who| {
        assert_eq!(ask("/own", who), ask("/own", who), "{who}");
        ask("/own", who)
    });
    let all: std::collections::HashSet<&String> = others.iter().chain([&one]).collect();
    assert_eq!(all.len(), 5);
    app.says("/own", 200, "set-cookie: sid=9\r\n");
    assert_ne!(ask("/own", "cookie: sid=9\r\n"), ask("/own", "cookie: sid=9\r\n"), "a cookie is not kept by a ttl");
}

fn a_write_and_a_purge_take_answers_out() {
    let app = App::start();
    let running = app.behind("[[route]]\nmatch = \"GET /docs/*\"\ncache = true\n");
    app.says("/docs/1", 200, "cache-control: max-age=60\r\ncache-tag: docs, one\r\n");
    let current = |path: &str| {
        get(&running.url, path);
        let answer = get(&running.url, path);
        assert!(answer.header("age").is_some(), "{path} is cached");
        answer.text()
    };
    assert_eq!(current("/docs/1"), "answer 1");
    // Another route, without a cache, and the same address.
    assert_eq!(method(&running, "PUT", "/docs/1", "", "new").status, 200);
    assert_eq!(current("/docs/1"), "answer 3");
    for order in ["{\"tag\":\"one\"}", "{\"url\":\"/docs/1\"}", "{\"prefix\":\"/docs/\"}", "{\"all\":true}"] {
        let before = current("/docs/1");
        assert_eq!(purge(&running, order).json()["purged"], 1, "{order}");
        assert_ne!(current("/docs/1"), before, "{order}");
    }
    assert_eq!(purge(&running, "{\"tag\":\"two\"}").json()["purged"], 0);
    let wrong = purge(&running, "{\"everything\":true}");
    assert_eq!((wrong.status, wrong.json()["code"].as_str()), (400, Some("SEA_CACHE_PURGE")));
}

fn stale_answers() {
    let app = App::start();
    let running = app.behind("[cache]\npolicy = true\n");
    app.says("/behind", 200, "cache-control: max-age=1, stale-while-revalidate=60\r\n");
    app.says("/error", 200, "cache-control: max-age=1, stale-if-error=60\r\n");
    app.says("/must", 200, "cache-control: max-age=1, stale-if-error=60, must-revalidate\r\n");
    for path in ["/behind", "/error", "/must"] {
        assert_eq!(get(&running.url, path).text(), "answer 1");
        app.says(path, if path == "/behind" { 200 } else { 503 }, "cache-control: max-age=60\r\n");
    }
    thread::sleep(Duration::from_millis(1_100));
    assert_eq!(get(&running.url, "/behind").text(), "answer 1", "stale, and at once");
    until("it was refreshed behind it", Duration::from_secs(5), || get(&running.url, "/behind").text() == "answer 2");
    assert_eq!(app.asked("/behind"), 2);
    let stood_in = get(&running.url, "/error");
    assert_eq!((stood_in.status, stood_in.text().as_str()), (200, "answer 1"));
    assert_eq!(get(&running.url, "/must").status, 503);
}

fn a_search_is_cached_by_its_body() {
    let app = App::start();
    let running = app.behind(
        "[[route]]\nmatch = \"/search\"\ncache = { ttl = \"1m\", methods = [\"GET\", \"POST\"], body_limit = \"1KB\" }\n",
    );
    let search = |body: &str| method(&running, "POST", "/search", "content-type: application/json\r\n", body).text();
    assert_eq!(search("{\"q\":1}"), "answer 1");
    assert_eq!(search("{\"q\":1}"), "answer 1");
    assert_eq!(search("{\"q\":2}"), "answer 2");
    assert_eq!(get(&running.url, "/search").text(), "answer 3");
    assert_eq!(search("{\"q\":1}"), "answer 1");
    let large = "x".repeat(2_000);
    assert_eq!((search(&large).as_str(), search(&large).as_str()), ("answer 4", "answer 5"));
}

fn answers_without_an_etag_get_one() {
    let app = App::start();
    let running = app.behind("[cache]\netags = \"1KB\"\n");
    let first = get(&running.url, "/a");
    let tag = first.header("etag").unwrap().to_owned();
    let other = get_with(&running.url, "/a", &format!("if-none-match: {tag}\r\n"));
    assert_eq!((other.status, other.text().as_str()), (200, "answer 2"), "it has changed");
    app.asked.lock().unwrap().insert("/a".into(), 0);
    let same = get_with(&running.url, "/a", &format!("if-none-match: {tag}\r\n"));
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, Some(tag.as_str())));
}

fn a_wrong_policy_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[app]\nto = \"http://127.0.0.1:9\"\n[[route]]\nmatch = \"/a\"\ncache = { tll = \"1m\" }\n\
                  [[route]]\nmatch = \"/b\"\ncache = { ttl = \"soon\" }\n[[route]]\nmatch = \"/c\"\ncache = \"yes\"\n\
                  [[route]]\nmatch = \"/d\"\ncache = { per = \"user\" }\n";
    std::fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let output = crate::support::seaworthy(folder.path(), &["config", "check"]);
    let said = crate::support::error_text(&output) + &crate::support::text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for wanted in ["did you mean `ttl`?", "`soon` does not start with a number", "true, false, or a table", "principal"]
    {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}
