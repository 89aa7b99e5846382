//! Rates by who asks, and counted by several nodes in a real Redis.

use std::{
    fs,
    net::{IpAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;

use crate::{
    http::{get, send_from, try_get},
    identity::{GUNICORN, PYJWT, issue, start, token},
    support::{Running, program, test, test_with, until},
};

pub const REDIS: (&str, &str) = ("redis-server", "the Debian package redis-server");
const NO_FLAGS: &[&str] = &[];

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("a_user_has_one_budget_wherever_it_asks_from", &[GUNICORN, PYJWT], one_budget),
        test("a_rate_holds_whatever_a_client_says_of_itself", as_a_client),
        test_with("two_nodes_and_one_redis_allow_n", &[REDIS], two_nodes),
        test_with("a_redis_that_is_killed_fails_no_request_and_frees_none", &[REDIS], killed_redis),
    ]
}

fn one_budget() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = issue("pyjwt", folder.path());
    let running = start(
        folder,
        "[identity]\nauth = \"optional\"\n[identity.tokens]\nkeys = [\"file:FOLDER/ES256\", \"file:FOLDER/HS256\"]\n\
         [[route]]\nmatch = \"GET /get\"\nrate = [\"10/h per user\", \"1000/min\"]\n\
         [[route]]\nmatch = \"GET /bytes/{n}\"\nrate = \"10/h\"\ncost = 5\n",
    );
    let ask = |from: &str, path: &str, token: Option<&str>| {
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{token}\r\n");
        send_from(from.parse().unwrap(), &running.url, request.as_bytes()).unwrap()
    };
    let user = token(&tokens, "ES256");
    // The same user with another token of another key.
    let again = token(&tokens, "HS256");
    for number in 0..10 {
        let from = if number % 2 == 0 { "127.0.0.2" } else { "127.0.0.3" };
        let answer = ask(from, "/get", Some(if number < 5 { user } else { again }));
        assert_eq!(answer.status, 200, "{number}: {}", answer.text());
        let state = answer.header("ratelimit").unwrap();
        assert!(state.starts_with(&format!("\"user-3600s\";r={};", 9 - number)), "{state}");
    }
    let refused = ask("127.0.0.4", "/get", Some(user));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("SEA_PROTECTION_RATE_LIMITED")));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((340..=360).contains(&wait), "{wait}");
    assert_eq!(ask("127.0.0.2", "/get", None).status, 200, "who is anonymous there has a budget by address");
    let (first, second) = (ask("127.0.0.2", "/bytes/1", None).status, ask("127.0.0.2", "/bytes/1", None).status);
    assert_eq!((first, second, ask("127.0.0.2", "/bytes/1", None).status), (200, 200, 429), "5 each");
}

/// As a user would try it with `curl`.
fn as_a_client() {
    let node = |more: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("public")).unwrap();
        fs::write(folder.path().join("public/index.html"), "hello").unwrap();
        let root = folder.path().join("public").display().to_string();
        let config = format!(
            "{more}[[route]]\nmatch = \"GET /*\"\nrate = \"4/h per user\"\nfiles = {{ root = \"{root}\" }}\n\
             [protection]\nrate_headers = \"both\"\n"
        );
        fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
        Running::start_in(folder, NO_FLAGS)
    };
    let ask = |node: &Running, method: &str, head: &str| {
        let request = format!("{method} /index.html HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{head}\r\n");
        send_from(IpAddr::from([127, 0, 0, 9]), &node.url, request.as_bytes()).unwrap()
    };
    let alone = node("");
    // Nobody is signed in: it is the address that counts, whatever it says.
    for (number, head) in ["x-forwarded-for: 192.0.2.1\r\n", "forwarded: for=192.0.2.2\r\n", "x-real-ip: 192.0.2.3\r\n"]
        .into_iter()
        .enumerate()
    {
        let answer = ask(&alone, "GET", head);
        let left = 3 - number;
        assert_eq!(answer.status, 200, "{head}");
        assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=4;w=3600"));
        assert!(
            answer.header("ratelimit").unwrap().starts_with(&format!("\"default\";r={left};t=")),
            "{}",
            answer.head
        );
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
    }
    assert_eq!(ask(&alone, "HEAD", "authorization: Bearer made-up\r\n").status, 200, "HEAD counts as GET");
    let refused = ask(&alone, "GET", "cf-connecting-ip: 192.0.2.4\r\naccept: application/json\r\n");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("SEA_PROTECTION_RATE_LIMITED")));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((890..=900).contains(&wait) && refused.header("ratelimit").unwrap().starts_with("\"default\";r=0;t="));
    let page = ask(&alone, "GET", "accept: text/html\r\n");
    assert_eq!((page.status, page.header("content-type")), (429, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("try again in 15 minutes"), "{}", page.text());
    assert_eq!(ask(&alone, "HEAD", "").status, 429);
    // A proxy that is trusted speaks for its clients, and a network of IPv6 is one of them.
    let behind = node("[edge]\ntrusted_proxies = [\"127.0.0.9\"]\n");
    let of = |client: &str| ask(&behind, "GET", &format!("x-forwarded-for: 203.0.113.1, {client}\r\n")).status;
    for host in 1..=4 {
        assert_eq!(of(&format!("2001:db8::{host}")), 200);
    }
    assert_eq!((of("2001:db8::5"), of("2001:db8:0:1::5"), of("192.0.2.1")), (429, 200, 200));
}

/// A Redis of our own; dropped, it is killed.
pub struct Redis {
    process: Child,
    pub port: u16,
}

impl Redis {
    pub fn start(port: u16) -> Self {
        let mut command = Command::new(program("redis-server"));
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("Redis listens", Duration::from_secs(20), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { process, port }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A node that serves one file under this rate for all clients together.
fn node(redis: &Redis, rate: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("public")).unwrap();
    fs::write(folder.path().join("public/index.html"), "hello").unwrap();
    let config = format!(
        "[store]\nredis = \"redis://127.0.0.1:{}\"\npatience = \"500ms\"\n[[route]]\nmatch = \"/*\"\nrate = \"{rate}\"\n\
         files = {{ root = \"{}\" }}\n",
        redis.port,
        folder.path().join("public").display()
    );
    fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    Running::start_in(folder, NO_FLAGS)
}

pub fn metric(node: &Running, name: &str) -> Option<f64> {
    let metrics = get(&node.admin, "/metrics").text();
    let line = metrics.lines().find(|line| line.starts_with(name) && !line.starts_with('#'))?;
    line.split(' ').next_back()?.parse().ok()
}

fn joined(nodes: &[&Running]) {
    until("the nodes see each other", Duration::from_secs(20), || {
        nodes.iter().all(|node| {
            metric(node, "seaworthy_store_up") == Some(1.0)
                && metric(node, "seaworthy_store_nodes") == Some(nodes.len() as f64)
        })
    });
}

fn two_nodes() {
    let redis = Redis::start(free_port());
    let (one, other) = (node(&redis, "400/h per route"), node(&redis, "400/h per route"));
    joined(&[&one, &other]);
    let passed = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = [&one.url, &other.url, &one.url, &other.url]
        .into_iter()
        .map(|url| {
            let (url, passed) = (url.clone(), passed.clone());
            thread::spawn(move || {
                for _ in 0..200 {
                    match get(&url, "/index.html").status {
                        200 => passed.fetch_add(1, Ordering::Relaxed),
                        status => {
                            assert_eq!(status, 429);
                            0
                        }
                    };
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let passed = passed.load(Ordering::Relaxed);
    // 1 % either way; a few more may have come back meanwhile.
    assert!((396..=408).contains(&passed), "{passed} of 800 passed");
    // A node that is started again finds the budget as it was.
    drop(one);
    let again = node(&redis, "400/h per route");
    until("it counts with the others", Duration::from_secs(20), || metric(&again, "seaworthy_store_up") == Some(1.0));
    let refused = (0..20).filter(|_| get(&again.url, "/index.html").status == 429).count();
    assert!(refused >= 15, "{refused} of 20");
}

fn killed_redis() {
    let mut redis = Some(Redis::start(free_port()));
    let port = redis.as_ref().unwrap().port;
    let (one, other) =
        (node(redis.as_ref().unwrap(), "300/h per route"), node(redis.as_ref().unwrap(), "300/h per route"));
    joined(&[&one, &other]);
    let stop = Arc::new(AtomicBool::new(false));
    let counts: Arc<[AtomicUsize; 2]> = Arc::default();
    let clients: Vec<_> = [one.url.clone(), other.url.clone()]
        .into_iter()
        .map(|url| {
            let (stop, counts) = (stop.clone(), counts.clone());
            thread::spawn(move || {
                let mut slowest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let status = try_get(&url, "/index.html", "").unwrap().status;
                    slowest = slowest.max(began.elapsed());
                    assert!(status == 200 || status == 429, "{status}");
                    counts[usize::from(status == 429)].fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
                slowest
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    drop(redis.take());
    until("both are loud", Duration::from_secs(20), || {
        [&one, &other].iter().all(|node| {
            node.stderr().contains("the store does not answer") && metric(node, "seaworthy_store_up") == Some(0.0)
        })
    });
    // Alone, each holds its half: refused in the end, and no more than both halves beside what was spent before.
    until("it is refused by the nodes alone", Duration::from_secs(60), || counts[1].load(Ordering::Relaxed) > 50);
    let alone = counts[0].load(Ordering::Relaxed);
    assert!(alone <= 620, "{alone} passed: at most what the store gave, and half of the rate on each node");
    let refused = counts[1].load(Ordering::Relaxed);
    let back = Redis::start(port);
    until("both count together again", Duration::from_secs(30), || {
        [&one, &other].iter().all(|node| metric(node, "seaworthy_store_up") == Some(1.0))
    });
    // An empty Redis has forgotten: the budget is whole, once for both, and then it is refused again.
    until("refused again", Duration::from_secs(60), || counts[1].load(Ordering::Relaxed) > refused + 50);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let slowest = client.join().unwrap();
        assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    }
    let passed = counts[0].load(Ordering::Relaxed);
    assert!(passed <= alone + 330, "{passed} after {alone}");
    drop(back);
}
