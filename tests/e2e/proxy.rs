//! The way of a request and of a process, with the demo's app behind.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    http::{get, get_with, post, send, try_get},
    support::{BINARY, Running, test, until, was_killed},
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("a_killed_app_comes_back", a_killed_app_comes_back),
        test("sigterm_answers_what_is_in_flight", sigterm_answers_what_is_in_flight),
        test("no_request_fails_while_it_drains_under_load", no_request_fails_while_it_drains_under_load),
        test("a_second_signal_ends_at_once", a_second_signal_ends_at_once),
        test("large_bodies_pass_unharmed_both_ways", large_bodies_pass_unharmed_both_ways),
        test("an_upgraded_connection_passes_bytes", an_upgraded_connection_passes_bytes),
        test("limits_of_a_route_hold_there_alone", limits_of_a_route_hold_there_alone),
        test(
            "a_kept_connection_that_the_app_closed_costs_no_request",
            a_kept_connection_that_the_app_closed_costs_no_request,
        ),
        test("a_client_that_leaves_is_logged", a_client_that_leaves_is_logged),
        test("a_length_that_contradicts_the_chunks_is_dropped", a_length_that_contradicts_the_chunks_is_dropped),
        test(
            "no_post_is_lost_to_a_connection_that_the_app_closes",
            no_post_is_lost_to_a_connection_that_the_app_closes,
        ),
        test("a_closed_standard_error_stops_nothing", a_closed_standard_error_stops_nothing),
        test("what_the_app_started_gets_its_grace", what_the_app_started_gets_its_grace),
        test("requests_are_answered_while_the_app_starts", requests_are_answered_while_the_app_starts),
        test("bad_hosts_are_refused_and_old_clients_served", bad_hosts_are_refused_and_old_clients_served),
        test("a_broken_upload_is_the_clients_fault", a_broken_upload_is_the_clients_fault),
    ]
}

fn demo_app() -> Running {
    Running::start(&["--health", "/health", "--", BINARY, "demo-app", "--port", "$PORT"])
}

fn app_pid(running: &Running) -> Pid {
    let status = get(&running.admin, "/status").json();
    Pid::from_raw(i32::try_from(status["instances"][0]["pid"].as_i64().unwrap()).unwrap())
}

fn a_killed_app_comes_back() {
    let running = demo_app();
    let first = app_pid(&running);
    kill(first, Signal::SIGKILL).unwrap();
    until("a new process is ready", Duration::from_secs(10), || {
        let instance = &get(&running.admin, "/status").json()["instances"][0];
        instance["state"] == "ready" && instance["pid"] != first.as_raw()
    });
    assert_eq!(get(&running.url, "/health").status, 200);
    assert_eq!(get(&running.admin, "/status").json()["instances"][0]["restarts"], 1);
}

fn sigterm_answers_what_is_in_flight() {
    let mut running = demo_app();
    let (url, admin) = (running.url.clone(), running.admin.clone());
    let app = app_pid(&running);
    let slow = thread::spawn(move || get(&url, "/slow?seconds=1.5"));
    thread::sleep(Duration::from_millis(400));
    running.terminate();
    until("not ready while draining", Duration::from_secs(1), || get(&admin, "/readyz").status == 503);
    assert_eq!(get(&admin, "/livez").status, 200);
    until("no new connections", Duration::from_secs(1), || TcpStream::connect(&running.url).is_err());
    let answer = slow.join().unwrap();
    assert_eq!((answer.status, answer.json()["seconds"].as_f64()), (200, Some(1.5)));
    let status = running.ended(Duration::from_secs(10));
    assert!(status.success() && !was_killed(status), "{status}");
    assert!(kill(app, None).is_err(), "the app must not outlive Seaworthy");
}

fn no_request_fails_while_it_drains_under_load() {
    let mut running = demo_app();
    let address = running.url.clone();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || {
                let (mut answered, deadline) = (0, Instant::now() + Duration::from_secs(10));
                while Instant::now() < deadline {
                    // Refused is the end of the service; after an accepted connection there must be an answer.
                    match try_get(&address, "/health", "") {
                        Ok(answer) => assert_eq!(answer.status, 200),
                        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return answered,
                        Err(error) => panic!("after {answered} answers: {error}"),
                    }
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    running.terminate();
    let answered: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(answered > 20, "{answered}");
    assert!(running.ended(Duration::from_secs(10)).success());
}

fn a_second_signal_ends_at_once() {
    let mut running = demo_app();
    let address = running.url.clone();
    let slow = thread::spawn(move || try_get(&address, "/slow?seconds=20", ""));
    thread::sleep(Duration::from_millis(300));
    running.terminate();
    // The same order twice in a moment is one order.
    running.terminate();
    thread::sleep(Duration::from_millis(1200));
    let started = Instant::now();
    running.terminate();
    assert_eq!(running.ended(Duration::from_secs(5)).code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(4));
    // Cut, or told so when the app went first.
    assert!(!slow.join().unwrap().is_ok_and(|answer| answer.status != 502));
}

fn large_bodies_pass_unharmed_both_ways() {
    let address = echo_server();
    let running = Running::start(&["--to", &format!("http://{address}")]);
    let body: Vec<u8> = (0..20_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let answer = post(&running.url, "/echo", &body);
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "{} of {} bytes", answer.body.len(), body.len());
    // The same without a length: read and write must run at the same time.
    let head = format!(
        "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    );
    let request = [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let mut stream = TcpStream::connect(&running.url).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || writer.write_all(&request).unwrap());
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    writing.join().unwrap();
    assert!(bytes.windows(1000).any(|window| window == &body[body.len() - 1000..]), "{} bytes came back", bytes.len());
}

/// Answers a request's body with itself, read to its end first.
fn echo_server() -> std::net::SocketAddr {
    serve(|mut stream| {
        let mut bytes = Vec::new();
        let mut piece = [0; 65536];
        let head_end = loop {
            let count = stream.read(&mut piece).unwrap();
            bytes.extend_from_slice(&piece[..count]);
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if count == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).to_lowercase();
        let mut body = bytes.split_off(head_end);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let done = |body: &[u8]| length.map_or(body.ends_with(b"0\r\n\r\n"), |length| body.len() >= length);
        while !done(&body) {
            let count = stream.read(&mut piece).unwrap();
            body.extend_from_slice(&piece[..count]);
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
    })
}

/// A server of one thread a connection, for as long as the test process lives.
pub fn serve(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn an_upgraded_connection_passes_bytes() {
    let address = serve(|mut stream| {
        let mut request = Vec::new();
        let mut byte = [0; 1];
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).unwrap() == 0 {
                return;
            }
            request.push(byte[0]);
        }
        assert!(String::from_utf8_lossy(&request).to_lowercase().contains("upgrade: echo"));
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
        let mut piece = [0; 1024];
        while let Ok(count) = stream.read(&mut piece)
            && count > 0
        {
            stream.write_all(&piece[..count]).unwrap();
        }
    });
    let running = Running::start(&["--to", &format!("http://{address}")]);
    let mut stream = TcpStream::connect(&running.url).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    for message in [&b"one"[..], b"two and more", b"\x00\xff"] {
        stream.write_all(message).unwrap();
        let mut echo = vec![0; message.len()];
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(echo, message);
    }
}

fn limits_of_a_route_hold_there_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[app]\ncommand = \"'{BINARY}' demo-app --port $PORT\"\nhealth = \"/health\"\n\n[[route]]\nmatch = \"POST /api/documents\"\n\
         body_limit = \"1KB\"\n\n[[route]]\nmatch = \"/slow\"\nfirst_byte = \"300ms\"\n"
    );
    std::fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let running = Running::start_in(folder, &[] as &[&str]);
    assert_eq!(post(&running.url, "/api/documents", &[b'x'; 1000]).status, 201);
    let refused = post(&running.url, "/api/documents", &[b'x'; 1001]);
    assert_eq!((refused.status, refused.json()["code"].as_str()), (413, Some("SEA_PROTECTION_BODY_TOO_LARGE")));
    assert_eq!(post(&running.url, "/elsewhere", &[b'x'; 1001]).status, 404);
    // A large body that is refused is still an answer and not a reset.
    assert_eq!(post(&running.url, "/api/documents", &vec![b'x'; 5_000_000]).status, 413);
    let late = get(&running.url, "/slow?seconds=5");
    assert_eq!((late.status, late.json()["code"].as_str()), (504, Some("SEA_EDGE_UPSTREAM_TIMEOUT")));
    assert_eq!(get(&running.url, "/slow?seconds=0.1").status, 200);
    let page = get_with(&running.url, "/slow?seconds=5", "accept: text/html\r\n");
    assert!(page.text().starts_with("<!doctype html>") && page.text().contains("SEA_EDGE_UPSTREAM_TIMEOUT"));
    let metrics = get(&running.admin, "/metrics").text();
    assert!(metrics.contains("route=\"POST /api/documents\",method=\"POST\",status=\"413\"} 2"), "{metrics}");
}

fn a_kept_connection_that_the_app_closed_costs_no_request() {
    // Promises keep-alive and closes after each answer all the same, as workers do that end by a count of requests.
    let address = serve(|mut stream| {
        let mut request = [0; 4096];
        if stream.read(&mut request).unwrap_or(0) > 0 {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let running = Running::start(&["--to", &format!("http://{address}")]);
    at_once(8, || {
        for number in 0..300 {
            let answer = get(&running.url, "/");
            assert_eq!(answer.status, 200, "request {number}: {}", answer.text());
        }
    });
}

fn a_client_that_leaves_is_logged() {
    let running = demo_app();
    let mut stream = TcpStream::connect(&running.url).unwrap();
    stream.write_all(b"GET /slow?seconds=20 HTTP/1.1\r\nhost: x\r\nx-request-id: left-early\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(300));
    drop(stream);
    until("the line of the request", Duration::from_secs(5), || {
        running
            .access_log()
            .iter()
            .any(|line| line["request_id"] == "left-early" && line["status"] == 499 && line["aborted"] == true)
    });
    let head = send(&running.url, b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// An upstream that answers each connection's first request with these bytes and closes.
fn answering(bytes: &'static [u8]) -> std::net::SocketAddr {
    serve(move |mut stream| {
        if stream.read(&mut [0; 65536]).unwrap_or(0) > 0 {
            let _ = stream.write_all(bytes);
        }
    })
}

fn a_length_that_contradicts_the_chunks_is_dropped() {
    let address = answering(
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n7\r\nhalyard\r\n0\r\n\r\n",
    );
    let running = Running::start(&["--to", &format!("http://{address}")]);
    let answer = get(&running.url, "/");
    assert_eq!((answer.text().as_str(), answer.header("content-length")), ("halyard", None));
}

fn no_post_is_lost_to_a_connection_that_the_app_closes() {
    let address = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let running = Running::start(&["--to", &format!("http://{address}")]);
    at_once(8, || {
        for number in 0..300 {
            assert_eq!(post(&running.url, "/", b"body").status, 200, "request {number}");
        }
    });
}

/// The same in several threads; a panic in one is one of the test.
fn at_once(threads: usize, body: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(&body);
        }
    });
}

fn a_closed_standard_error_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(BINARY);
    command.args(["run", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--health", "/health", "--"]);
    command.args([BINARY, "demo-app", "--port", "$PORT"]).current_dir(folder.path());
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    let addresses: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = addresses["listen"].as_str().unwrap().to_owned();
    let slow = thread::spawn(move || get(&address, "/slow?seconds=1"));
    thread::sleep(Duration::from_millis(300));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(slow.join().unwrap().status, 200);
    assert!(child.wait().unwrap().success());
}

fn what_the_app_started_gets_its_grace() {
    let folder = tempfile::tempdir().unwrap();
    // The shell dies of SIGTERM at once; the program that it started first needs a moment to clean up.
    let script = format!(
        "sh -c 'trap \"sleep 0.5; touch clean; exit 0\" TERM; while :; do sleep 0.1; done' & '{BINARY}' demo-app --port $1"
    );
    let mut running = Running::start_in(folder, &["--", "sh", "-c", &script, "sh", "$PORT"]);
    running.terminate();
    assert!(running.ended(Duration::from_secs(10)).success());
    assert!(running.folder.path().join("clean").exists());
}

fn requests_are_answered_while_the_app_starts() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(BINARY);
    command.args(["run", "--listen", &free, "--admin", "127.0.0.1:0", "--", "sleep", "30"]).current_dir(folder.path());
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    until("the edge listens", Duration::from_secs(5), || TcpStream::connect(&free).is_ok());
    let answer = get(&free, "/");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["code"], "SEA_EDGE_APP_NOT_READY");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

fn bad_hosts_are_refused_and_old_clients_served() {
    let running = demo_app();
    let send = |request: &[u8]| send(&running.url, request).unwrap();
    assert_eq!(send(b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n").status, 400);
    assert_eq!(send(b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n").json()["code"], "SEA_EDGE_BAD_HOST");
    assert_eq!(send(b"GET /health HTTP/1.0\r\n\r\n").status, 200);
    let absolute = |target: &str| {
        send(format!("GET {target} HTTP/1.1\r\nhost: other.test\r\nconnection: close\r\n\r\n").as_bytes()).status
    };
    assert_eq!(absolute("http://shop.test/health"), 200);
    // RFC 9110, 4.2.4: a name before the host is there to deceive.
    assert_eq!(absolute("http://user@shop.test/health"), 400);
}

fn a_broken_upload_is_the_clients_fault() {
    let running = demo_app();
    let bad_chunk =
        b"POST /api/documents HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\n";
    let answer = send(&running.url, bad_chunk).unwrap();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("SEA_EDGE_REQUEST_BODY_BROKEN")));
    assert!(!running.stderr().contains("ended the connection"), "{}", running.stderr());
}
