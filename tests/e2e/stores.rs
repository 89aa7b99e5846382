//! The prover on an app's store and database: real servers, and an app that makes the usual mistake or does not.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::{error_text, program, seaworthy, test_with, until};

const REDIS: (&str, &str) = ("redis-server", "the Debian package redis-server");
const PYTHON: (&str, &str) = ("python3", "the Debian package python3");

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("a_store_is_judged_by_what_runs", &[REDIS], a_store_is_judged_by_what_runs),
        test_with("an_injectable_app_is_found_and_a_bound_one_is_not", &[PYTHON], an_injectable_app_is_found),
    ]
}

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The verdict on each item, and the reasons.
fn check(folder: &Path, arguments: &[&str]) -> (Vec<String>, String) {
    let output = seaworthy(folder, &[&["check", "--json"], arguments, &["list.md"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error_text(&output)));
    let items = report["items"].as_array().unwrap();
    let of = |name: &str| items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    (of("verdict"), of("reason").join("\n"))
}

fn a_store_is_judged_by_what_runs() {
    let folder = tempfile::tempdir().unwrap();
    let list = "- [ ] Memory <!-- seaworthy: control=cache.store-limits -->\n\
                - [ ] Disk <!-- seaworthy: control=cache.store-persistence -->\n\
                - [ ] Failover <!-- seaworthy: control=cache.cluster -->\n";
    fs::write(folder.path().join("list.md"), list).unwrap();
    let port = free_port();
    let config = format!("[app.env]\nCACHE_URL = \"redis://:hunter22@127.0.0.1:{port}/0\"\n");
    fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let start = |settings: &[&str]| {
        let (data, port) = (tempfile::tempdir().unwrap(), port.to_string());
        let words = ["--port", &port, "--requirepass", "hunter22", "--dir", data.path().to_str().unwrap()];
        let mut command = Command::new(program("redis-server"));
        let child = command.args(words).args(settings).stdout(Stdio::null()).spawn().unwrap();
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).is_ok();
        until("the store listens", Duration::from_secs(10), listens);
        (Server(child), data)
    };
    let (verdicts, reasons) = check(folder.path(), &[]);
    assert!(!verdicts.contains(&"pass".to_owned()) && !verdicts.contains(&"fail".to_owned()), "{verdicts:?} {reasons}");
    let careless = start(&["--save", ""]);
    let (verdicts, reasons) = check(folder.path(), &[]);
    assert_eq!(verdicts, ["fail", "fail", "fail"], "{reasons}");
    assert!(!reasons.contains("hunter22"), "{reasons}");
    drop(careless);
    let _careful = start(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"]);
    let (verdicts, reasons) = check(folder.path(), &[]);
    assert_eq!(verdicts, ["pass", "pass", "fail"], "{reasons}");
}

const SHOP: &str = r#"import sqlite3, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = urlsplit(self.path)
        if asked.path != "/items":
            return self.answer(200 if asked.path == "/" else 404, "shop")
        name = parse_qs(asked.query).get("name", [""])[0]
        with sqlite3.connect(":memory:") as db:
            db.executescript("create table items (name text); insert into items values ('tea'), ('soap')")
            try:
                self.answer(200, str(QUERY))
            except sqlite3.Error:
                self.answer(500, "it failed")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
"#;

fn an_injectable_app_is_found() {
    let glued = "db.execute(f\"select name from items where name = '{name}'\").fetchall()";
    let bound = "db.execute(\"select name from items where name = ?\", (name,)).fetchall()";
    // The third has the mistake, and its source is not at hand: what runs is judged.
    for (query, source, verdict, word) in
        [(glued, glued, "fail", "shop.py:"), (bound, bound, "pass", "1 parameters"), (glued, bound, "fail", "?name=")]
    {
        let (folder, running) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("shop.py"), SHOP.replace("QUERY", source)).unwrap();
        fs::write(running.path().join("shop.py"), SHOP.replace("QUERY", query)).unwrap();
        let list = "- [ ] Injection <!-- seaworthy: control=protection.sql-injection -->\n";
        fs::write(folder.path().join("list.md"), list).unwrap();
        fs::write(folder.path().join("seaworthy.toml"), "[check]\npaths = [\"/items?name=tea\"]\n").unwrap();
        let port = free_port();
        let app = Command::new(program("python3")).arg(running.path().join("shop.py")).arg(port.to_string()).spawn();
        let _app = Server(app.unwrap());
        until("the app listens", Duration::from_secs(20), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let (verdicts, reasons) = check(folder.path(), &["--url", &format!("http://127.0.0.1:{port}")]);
        assert_eq!(verdicts, [verdict], "{query}: {reasons}");
        assert!(reasons.contains(word), "{reasons}");
    }
}
