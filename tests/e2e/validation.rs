//! Requests against the app's OpenAPI document, around a small app in Python that serves one and checks nothing.

use std::{fs, time::Duration};

use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http::{Answer, get, send},
    support::{Running, error_text, program, seaworthy, test_with, text, until},
};

const PYTHON: (&str, &str) = ("python3", "the Debian package python3");
const NO_FLAGS: &[&str] = &[];

const APP: &str = r#"
import http.server, json, os, sys
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path == "/openapi.json": return self.answer(open("document.json", "rb").read())
        self.answer(b"{}")
    def do_POST(self):
        body = b""
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(body)
    def log_message(self, *rest): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
"#;

const DOCUMENT: &str = r#"{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {
    "/items": {
        "get": {"parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": MOST}}]},
        "post": {"requestBody": {"required": true, "content": {"application/json": {"schema": {
            "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "password": {"type": "string", "minLength": 9}}}}}}}},
    "/old": {"get": {}}}}"#;

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("validation_refuses_what_the_document_of_the_app_does_not_allow", &[PYTHON], refuses),
        test_with("validation_follows_a_document_that_changes", &[PYTHON], follows),
        test_with("validation_reports_what_it_would_refuse", &[PYTHON], reports),
        test_with("validation_refuses_a_file_that_is_no_document", &[PYTHON], wrong_file),
        test_with("validation_holds_limits_on_json_without_a_document", &[PYTHON], json_limits),
    ]
}

fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), APP).unwrap();
    fs::write(folder.path().join("document.json"), DOCUMENT.replace("MOST", "100")).unwrap();
    let app = format!("[app]\ncommand = \"'{}' app.py $PORT\"\n", program("python3"));
    fs::write(folder.path().join("seaworthy.toml"), app + config).unwrap();
    folder
}

fn post(running: &Running, path: &str, body: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n");
    sent(running, &format!("{head}content-length: {}\r\n\r\n{body}", body.len()))
}

fn sent(running: &Running, request: &str) -> Answer {
    send(&running.url, request.as_bytes()).unwrap()
}

fn refuses() {
    let running = Running::start_in(folder("[validation]\nopenapi = \"/openapi.json\"\n"), NO_FLAGS);
    let odd = "{ \"name\" :\t\"\\u00fc\" }";
    assert_eq!(post(&running, "/items", odd).text(), odd, "as it came");
    let refused = post(&running, "/items", "{\"name\":7,\"password\":\"hunter2\"}");
    assert_eq!((refused.status, refused.header("content-type")), (422, Some("application/problem+json")));
    let told = refused.json();
    assert_eq!(told["code"], "SEA_PROTECTION_INVALID_REQUEST");
    assert_eq!(told["errors"].as_array().unwrap().len(), 2);
    assert!(
        told["errors"].to_string().contains("/password") && !refused.text().contains("hunter2"),
        "{}",
        refused.text()
    );
    assert_eq!(get(&running.url, "/items?limit=101").status, 422);
    assert_eq!(get(&running.url, "/items?limit=100").status, 200);
    assert_eq!(get(&running.url, "/not-described").status, 200);
    let chunked = "POST /items HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let right = sent(&running, &format!("{chunked}8\r\n{{\"name\":\r\n4\r\n\"x\"}}\r\n0\r\n\r\n"));
    assert_eq!((right.status, right.text().as_str()), (200, "{\"name\":\"x\"}"));
    assert_eq!(sent(&running, &format!("{chunked}3\r\n{{}} \r\n0\r\n\r\n")).status, 422);
    let log = running.access_log();
    assert!(!log.iter().any(|line| line.to_string().contains("hunter2")));
}

fn follows() {
    let mut running = Running::start_in(folder("[validation]\nopenapi = \"/openapi.json\"\n"), NO_FLAGS);
    assert_eq!(get(&running.url, "/items?limit=50").status, 200);
    fs::write(running.folder.path().join("document.json"), DOCUMENT.replace("MOST", "10")).unwrap();
    let config = running.folder.path().join("seaworthy.toml");
    let before = fs::read_to_string(&config).unwrap();
    fs::write(&config, before.replace("[app]\n", "[app]\nenv = { RELEASE = \"2\" }\n")).unwrap();
    let replaced = || get(&running.url, "/items?limit=50").status == 422;
    until("the new instance's document is in force", Duration::from_secs(30), replaced);
    running.terminate();
    assert!(running.ended(Duration::from_secs(20)).success());
}

fn reports() {
    let config = "[validation]\nopenapi = \"document.json\"\nmode = \"report\"\n[[route]]\nmatch = \"/strict/*\"\nvalidate = \"enforce\"\n";
    let running = Running::start_in(folder(config), NO_FLAGS);
    assert_eq!(post(&running, "/items", "{\"password\":\"hunter2\"}").status, 200);
    assert_eq!(get(&running.url, "/secret-admin").status, 200);
    let told = seaworthy(running.folder.path(), &["openapi", "--admin", &running.admin]);
    let shown = text(&told);
    for line in ["POST /items", "body /name: is missing", "GET /secret-admin", "never asked for", "GET /old"] {
        assert!(shown.contains(line), "{line} is not in\n{shown}{}", error_text(&told));
    }
    let told = seaworthy(running.folder.path(), &["openapi", "--admin", &running.admin, "--json"]);
    let report: Value = serde_json::from_str(&text(&told)).unwrap();
    assert_eq!((&report["mode"], &report["loaded"]), (&"report".into(), &true.into()));
    assert!(!text(&told).contains("hunter2"));
}

fn wrong_file() {
    let folder = folder("[validation]\nopenapi = \"app.py\"\n");
    let output = seaworthy(folder.path(), &["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(error_text(&output).contains("SEA_RUN_OPENAPI"), "{}", error_text(&output));
}

fn json_limits() {
    let running = Running::start_in(folder("[validation.json]\neverywhere = true\ndepth = 4\n"), NO_FLAGS);
    assert_eq!(post(&running, "/any", "{\"a\":1,\"a\":2}").status, 422);
    assert_eq!(post(&running, "/any", "[[[[[]]]]]").status, 422);
    assert_eq!(post(&running, "/any", "{\"a\":[1]}").status, 200);
}
