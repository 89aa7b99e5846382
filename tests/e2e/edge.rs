//! The edge as clients and operators meet it: reload, replacement, backpressure, refusals.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use tempfile::TempDir;

use crate::{
    http::{get, get_with, send, try_get},
    support::{BINARY, Running, test, until},
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("a_reload_under_load_fails_no_request_and_keeps_websockets", reload_under_load),
        test("a_bad_config_is_refused_whole", bad_config_is_refused),
        test("a_config_that_vanishes_changes_nothing", vanished_config_changes_nothing),
        test("a_killed_instance_fails_no_safe_request", killed_instance),
        test("a_reader_that_stops_holds_the_app_back", stopped_reader_holds_the_app_back),
        test("what_is_no_request_is_refused_and_logged", refusals_are_logged),
        test("names_that_are_not_served_are_refused", unknown_names),
        test("a_header_makes_no_other_method_of_a_request", method_override),
        test("trusted_proxies_speak_for_their_clients", trusted_proxies),
        test("https_is_served_and_plain_redirects", https_and_redirect),
        test("the_app_can_ask_its_own_api", app_api),
    ]
}

/// A folder with this config; `APP` stands for the demo's app.
fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, config);
    folder
}

fn write(folder: &TempDir, config: &str) {
    let app = format!("command = \"'{BINARY}' demo-app --port $PORT\"\nhealth = \"/health\"");
    fs::write(folder.path().join("seaworthy.toml"), config.replace("APP", &app)).unwrap();
}

const NO_FLAGS: &[&str] = &[];

fn reloads(running: &Running) -> (u64, u64) {
    let config = get(&running.admin, "/status").json()["config"].clone();
    (config["reloads"].as_u64().unwrap(), config["refused"].as_u64().unwrap())
}

/// Sends requests from several clients until stopped; returns how many were answered, and the failures.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(url: &str) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..4).map(|_| {
            let (stop, answered, url) = (stop.clone(), answered.clone(), url.to_owned());
            thread::spawn(move || {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match try_get(&url, "/health", "") {
                        Ok(answer) if answer.status == 200 => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Ok(answer) => failures.push(format!("{}: {}", answer.status, answer.text())),
                        Err(error) => failures.push(error.to_string()),
                    }
                }
                failures
            })
        });
        let clients = clients.collect();
        Self { stop, answered, clients }
    }

    fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (self.answered.load(Ordering::Relaxed), failures)
    }
}

/// An app that switches to a protocol of its own and echoes, as WebSocket servers do; answers 200 to everything else.
fn echoing_app() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || echo(stream));
        }
    });
    address
}

fn echo(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    if !String::from_utf8_lossy(&head).to_lowercase().contains("upgrade: echo") {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        return;
    }
    let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    let mut piece = [0; 1024];
    while let Ok(count) = stream.read(&mut piece) {
        if count == 0 || stream.write_all(&piece[..count]).is_err() {
            return;
        }
    }
}

fn reload_under_load() {
    let app = echoing_app();
    let config = |more: &str| format!("[app]\nto = \"http://{app}\"\n{more}");
    let running = Running::start_in(folder(&config("")), NO_FLAGS);
    let mut socket = TcpStream::connect(&running.url).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
    let mut seen = vec![0; 1024];
    let count = socket.read(&mut seen).unwrap();
    assert!(seen[..count].starts_with(b"HTTP/1.1 101"));
    let load = Load::on(&running.url);
    for round in 1..=5 {
        write(&running.folder, &config(&format!("[edge.timeouts]\nfirst_byte = \"{}s\"\n", 10 + round)));
        kill(running.pid(), Signal::SIGHUP).unwrap();
        until("the config is taken", Duration::from_secs(10), || reloads(&running).0 >= round);
        assert_eq!(get(&running.admin, "/status").json()["limits"]["first_byte_ms"], (10 + round) * 1000);
        // Reloads take milliseconds: without a pause there would be next to no load around them.
        let before = load.answered.load(Ordering::Relaxed);
        until("requests come", Duration::from_secs(10), || load.answered.load(Ordering::Relaxed) > before + 20);
    }
    let (answered, failures) = load.end();
    assert!(answered > 50, "{answered}");
    assert!(failures.is_empty(), "{} of {answered}: {}", failures.len(), failures[0]);
    socket.write_all(b"still there?").unwrap();
    let count = socket.read(&mut seen).unwrap();
    assert_eq!(&seen[..count], b"still there?");
}

fn bad_config_is_refused() {
    let running = Running::start_in(folder("[app]\nAPP\n[protection]\nbody_limit = \"1MB\"\n"), NO_FLAGS);
    write(&running.folder, "[app]\nAPP\n[protection]\nbody_limit = \"2MB\"\n[edge]\nworker = 3\n");
    until("it is refused", Duration::from_secs(10), || reloads(&running).1 == 1);
    let status = get(&running.admin, "/status").json();
    assert_eq!(status["limits"]["body_bytes"], 1_000_000, "nothing of a bad config is taken");
    assert!(status["config"]["error"].as_str().unwrap().contains("seaworthy.toml:"), "{status}");
    assert_eq!(get(&running.url, "/health").status, 200);
    write(&running.folder, "[app]\nAPP\n[protection]\nbody_limit = \"3MB\"\n");
    until("the next good one is taken", Duration::from_secs(10), || {
        get(&running.admin, "/status").json()["limits"]["body_bytes"] == 3_000_000
    });
}

fn vanished_config_changes_nothing() {
    let running = Running::start_in(folder("[app]\nAPP\n[edge]\nhosts = [\"shop.test\"]\n"), NO_FLAGS);
    let file = running.folder.path().join("seaworthy.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    until("it is refused", Duration::from_secs(10), || reloads(&running).1 >= 1);
    assert_eq!(get(&running.url, "/health").status, 421);
    fs::write(&file, text).unwrap();
    until("it is back", Duration::from_secs(10), || reloads(&running).0 >= 1);
    assert_eq!(get(&running.url, "/health").status, 421);
}

fn killed_instance() {
    let running = Running::start_in(folder("[app]\nAPP\ninstances = 3\n"), NO_FLAGS);
    let ready = |count: usize| {
        until("instances are ready", Duration::from_secs(15), || {
            let instances = get(&running.admin, "/status").json()["instances"].clone();
            instances.as_array().unwrap().iter().filter(|instance| instance["state"] == "ready").count() == count
        });
    };
    ready(3);
    let load = Load::on(&running.url);
    thread::sleep(Duration::from_millis(300));
    let instances = get(&running.admin, "/status").json()["instances"].clone();
    let pid = i32::try_from(instances[1]["pid"].as_i64().unwrap()).unwrap();
    kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    thread::sleep(Duration::from_millis(700));
    let (answered, failures) = load.end();
    assert!(answered > 50, "{answered}");
    // Safe requests go to another instance, those in flight included.
    assert!(failures.is_empty(), "{} of {answered}: {}", failures.len(), failures[0]);
    ready(3);
    let metrics = get(&running.admin, "/metrics").text();
    for instance in ["app-1", "app-2", "app-3"] {
        assert!(
            metrics.contains(&format!("seaworthy_upstream_requests_total{{instance=\"{instance}\"}}")),
            "{metrics}"
        );
    }
}

fn stopped_reader_holds_the_app_back() {
    const WHOLE: usize = 64 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    thread::spawn(move || {
        // The first connections are health checks, which send nothing or little.
        for mut stream in listener.incoming().map_while(Result::ok) {
            let counted = counted.clone();
            thread::spawn(move || {
                let mut head = [0; 4096];
                if stream.read(&mut head).unwrap_or(0) == 0 {
                    return;
                }
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {WHOLE}\r\n\r\n").as_bytes());
                let piece = vec![b'x'; 64 * 1024];
                while counted.load(Ordering::Relaxed) < WHOLE && stream.write_all(&piece).is_ok() {
                    counted.fetch_add(piece.len(), Ordering::Relaxed);
                }
            });
        }
    });
    let running = Running::start(&["--to", &format!("http://{address}")]);
    let mut client = TcpStream::connect(&running.url).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(1500));
    // What the kernel holds on four sockets, and a buffer of ours; not the answer.
    let early = sent.load(Ordering::Relaxed);
    assert!(early > 0 && early < WHOLE / 2, "{early} of {WHOLE} bytes were taken for a client that reads nothing");
    let mut read = 0;
    let mut piece = vec![0; 256 * 1024];
    while read < WHOLE {
        read += match client.read(&mut piece).unwrap() {
            0 => panic!("the answer ended after {read} bytes"),
            count => count,
        };
    }
}

fn refusals_are_logged() {
    let running = Running::start(&["--health", "/health", "--", BINARY, "demo-app", "--port", "$PORT"]);
    let cases: [(&[u8], u16, &str); 6] = [
        (
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "SEA_EDGE_BAD_FRAMING",
        ),
        (b"GET / HTTP/1.1\nhost: a\n\n", 400, "SEA_EDGE_BAD_FRAMING"),
        (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400, "SEA_EDGE_BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "SEA_EDGE_BAD_HOST"),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501, "SEA_EDGE_UNKNOWN_CODING"),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 400, "SEA_EDGE_BAD_TARGET"),
    ];
    for (bytes, status, code) in &cases {
        let bytes = if *code == "SEA_EDGE_BAD_HOST" { b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n" } else { *bytes };
        let answer = send(&running.url, bytes).unwrap();
        assert_eq!((answer.status, answer.json()["code"].as_str()), (*status, Some(*code)));
        assert!(answer.header("proxy-status").unwrap().starts_with("seaworthy; error="), "{}", answer.head);
        assert!(answer.header("x-request-id").is_some());
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(100_000));
    assert_eq!(send(&running.url, long.as_bytes()).unwrap().status, 414);
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: 1\r\n".repeat(2000));
    assert_eq!(send(&running.url, many.as_bytes()).unwrap().status, 431);
    until("every refusal has its line", Duration::from_secs(5), || {
        running.access_log().iter().filter(|line| line["problem"].is_string()).count() == cases.len() + 2
    });
}

fn unknown_names() {
    let running = Running::start_in(folder("[app]\nAPP\n[edge]\nhosts = [\"shop.test\", \"*.shop.test\"]\n"), NO_FLAGS);
    let status = |host: &str| {
        let request = format!("GET /health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        send(&running.url, request.as_bytes()).unwrap().status
    };
    assert_eq!([status("shop.test"), status("SHOP.test:80"), status("eu.shop.test")], [200, 200, 200]);
    assert_eq!([status("other.test"), status("a.b.shop.test"), status("127.0.0.1")], [421, 421, 421]);
    assert_eq!([status("[::1]:80"), status(".shop.test"), status("evilshop.test")], [421, 421, 421]);
    // The target's own host counts in absolute form (RFC 9112, 3.2.2), and what a stranger says of another counts nowhere.
    let target = |target: &str, more: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nhost: shop.test\r\n{more}connection: close\r\n\r\n");
        send(&running.url, request.as_bytes()).unwrap().status
    };
    assert_eq!(target("http://other.test/health", ""), 421);
    assert_eq!(target("/health", "x-forwarded-host: other.test\r\nx-host: other.test\r\n"), 200);
}

fn trusted_proxies() {
    let running = Running::start_in(folder("[app]\nAPP\n[edge]\ntrusted_proxies = [\"127.0.0.1\"]\n"), NO_FLAGS);
    let answer =
        get_with(&running.url, "/health", "x-forwarded-for: 198.51.100.7, 127.0.0.1\r\nx-forwarded-proto: https\r\n");
    assert_eq!(answer.status, 200);
    // The client came over HTTPS, as the proxy says.
    assert!(answer.header("strict-transport-security").is_some(), "{}", answer.head);
    until("the line is there", Duration::from_secs(5), || !running.access_log().is_empty());
    assert_eq!(running.access_log()[0]["client"], "198.51.100.7");
}

fn https_and_redirect() {
    let config = "[app]\nAPP\n[edge]\nhttps = \"127.0.0.1:0\"\nhosts = [\"localhost\"]\n";
    let running = Running::start_in(folder(config), NO_FLAGS);
    let status = get(&running.admin, "/status").json();
    let https = status["https"].as_str().unwrap();
    let port = https.rsplit(':').next().unwrap();
    let request =
        b"POST /api/documents?x=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let answer = send(&running.url, request).unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, Some(&*format!("https://localhost:{port}/api/documents?x=1")))
    );
    assert_eq!(status["certificates"][0]["source"], "self-signed");
    // TLS alone is spoken there: what is no handshake gets an alert (record type 21), or nothing.
    let mut stream = TcpStream::connect(https).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut first = [0; 1];
    assert_eq!(
        stream.read(&mut first).unwrap_or(0),
        usize::from(first[0] == 21),
        "no HTTP in the clear on the port of TLS"
    );
}

fn app_api() {
    let folder = tempfile::tempdir().unwrap();
    let script = "import http.server, os\n\
                  open('environment', 'w').write(os.environ['SEAWORTHY_URL'] + ' ' + os.environ['SEAWORTHY_TOKEN'])\n\
                  http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()\n";
    fs::write(folder.path().join("app.py"), script).unwrap();
    let running = Running::start_in(folder, &["--", "python3", "app.py"]);
    let environment = fs::read_to_string(running.folder.path().join("environment")).unwrap();
    let (url, token) = environment.split_once(' ').unwrap();
    let address = url.strip_prefix("http://").unwrap();
    assert_eq!(get(address, "/v1/app").status, 401);
    let answer = get_with(address, "/v1/app", &format!("authorization: Bearer {token}\r\n"));
    assert_eq!((answer.status, answer.json()["instances"][0]["id"].as_str()), (200, Some("app-1")));
    let status = get(&running.admin, "/status").text();
    assert!(!status.contains(token) && !running.stderr().contains(token));
}

fn method_override() {
    let config = "[app]\nAPP\n[[route]]\nmatch = \"DELETE /*\"\nrate = \"1/h per route\"\n";
    let running = Running::start_in(folder(config), NO_FLAGS);
    let ask = |headers: &str| get_with(&running.url, "/health", headers);
    for name in ["X-HTTP-Method-Override", "x_http_method_override", "X-HTTP-Method", "X-Method-Override"] {
        let refused = ask(&format!("{name}: DELETE\r\n"));
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (400, Some("SEA_EDGE_METHOD_OVERRIDE")),
            "{name}"
        );
        assert_eq!(ask(&format!("{name}: get\r\n")).status, 200, "{name}: it is that method");
    }
    drop(running);
    let config = "[app]\nAPP\n[edge]\nmethod_override = \"pass\"\n";
    let running = Running::start_in(folder(config), NO_FLAGS);
    assert_eq!(get_with(&running.url, "/health", "X-HTTP-Method-Override: DELETE\r\n").status, 200);
}
