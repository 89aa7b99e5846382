//! Headers, content security policy and traces, around a small app in Python that is careless about all of them.

use std::{fs, time::Duration};

use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http::{Answer, get, get_with, send},
    support::{Running, error_text, program, seaworthy, test_with, text, until},
};

const PYTHON: (&str, &str) = ("python3", "the Debian package python3");
const CHROMIUM: (&str, &str) = ("chromium", "the Debian package chromium");
const NO_FLAGS: &[&str] = &[];

const APP: &str = r#"
import gzip, http.server, json, sys
PAGE = b"<!doctype html><html lang=en><title>Shop</title><style>h1{color:green}</style><h1 id=told>waits</h1>" \
       b"<script>document.getElementById('told').textContent = 'ran'</script><script src=/own.js></script>"
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, kind, body, **headers):
        if "gzip" in self.headers.get("accept-encoding", ""):
            body, headers = gzip.compress(body), {**headers, "content_encoding": "gzip"}
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path == "/health": return self.answer(200, "text/plain", b"ok")
        if self.path == "/own.js": return self.answer(200, "text/javascript", b"document.body.dataset.own = 'ran'")
        if self.path == "/json-trace":
            trace = 'Traceback (most recent call last):\n  File "/app/secret.py"'
            return self.answer(500, "application/json", json.dumps({"detail": trace}).encode())
        if self.path == "/debug": return self.answer(404, "text/html", b"you have DEBUG = True in your Django settings file")
        if self.path == "/zipped": return self.answer(200, "text/html", gzip.compress(PAGE), content_encoding="gzip")
        if self.path == "/own-policy": return self.answer(200, "text/html", PAGE, content_security_policy="script-src 'self'")
        if self.headers.get("if-none-match"): return self.answer(304, "text/html", b"")
        self.answer(200, "text/html; charset=utf-8", PAGE, etag='"1"', cache_control="public, max-age=60", x_powered_by="Python/3")
    def log_message(self, *rest): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
"#;

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("headers_are_added_removed_and_changed_by_route", &[PYTHON], by_route),
        test_with("headers_each_page_has_its_own_nonce", &[PYTHON], nonces),
        test_with("headers_reports_become_a_proposal", &[PYTHON], reports),
        test_with("headers_traces_are_taken_back_and_logged", &[PYTHON], traces),
        test_with("headers_a_policy_that_browsers_would_ignore_is_refused", &[PYTHON], wrong_policies),
        test_with("headers_nonces_hold_in_a_real_browser", &[PYTHON, CHROMIUM], in_a_browser),
    ]
}

fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), APP).unwrap();
    let app = format!("[app]\ncommand = \"'{}' app.py $PORT\"\nhealth = \"/health\"\n", program("python3"));
    fs::write(folder.path().join("seaworthy.toml"), app + config).unwrap();
    folder
}

fn start(config: &str) -> Running {
    Running::start_in(folder(config), NO_FLAGS)
}

/// As a browser asks for a page.
fn page(running: &Running, path: &str) -> Answer {
    get_with(&running.url, path, "accept: text/html,*/*\r\naccept-encoding: gzip\r\n")
}

fn by_route() {
    let running = start(
        "[protection.headers]\npermissions_policy = \"camera=()\"\n[[route]]\nmatch = \"/own.js\"\nheaders = { frame = \"none\", \
         cross_origin_resource_policy = \"same-site\", csp = { directives = \"off\" } }\n",
    );
    let home = page(&running, "/");
    assert_eq!(home.header("permissions-policy"), Some("camera=()"));
    assert_eq!(home.header("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!((home.header("server"), home.header("x-powered-by")), (None, None));
    assert_eq!(home.header("content-encoding"), Some("gzip"), "nothing is rewritten");
    let script = get(&running.url, "/own.js");
    assert_eq!(script.header("x-frame-options"), Some("DENY"));
    assert_eq!(script.header("cross-origin-resource-policy"), Some("same-site"));
    assert_eq!(
        (script.header("content-security-policy"), script.header("permissions-policy")),
        (None, Some("camera=()"))
    );
    let own = page(&running, "/own-policy");
    assert_eq!(own.header("content-security-policy"), Some("script-src 'self'"));
}

fn nonces() {
    let running = start("[protection.headers.csp]\nnonces = true\n");
    let nonce = |answer: &Answer| {
        let policy = answer.header("content-security-policy").unwrap();
        policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned()
    };
    let (one, two) = (page(&running, "/"), page(&running, "/"));
    assert_ne!(nonce(&one), nonce(&two));
    let tag = format!("<script nonce=\"{}\">", nonce(&one));
    assert!(one.text().contains(&tag), "{}", one.text());
    assert!(one.text().contains(&format!("<script src=/own.js nonce=\"{}\">", nonce(&one))), "{}", one.text());
    assert_eq!(one.header("cache-control"), Some("private, no-cache"));
    assert_eq!((one.header("etag"), one.header("content-encoding")), (Some("W/\"1\""), None));
    let unchanged = get_with(&running.url, "/", "accept: text/html\r\nif-none-match: W/\"1\"\r\n");
    assert_eq!((unchanged.status, unchanged.header("content-security-policy")), (304, None));
    // An app that compresses whatever it is asked for.
    let zipped = page(&running, "/zipped");
    assert!(zipped.text().contains(&format!("<script nonce=\"{}\">", nonce(&zipped))), "{}", zipped.head);
    assert_eq!(zipped.header("content-encoding"), None);
    // What is no page keeps its coding, and gets no nonce.
    let script = get_with(&running.url, "/own.js", "accept: */*\r\naccept-encoding: gzip\r\n");
    assert_eq!(script.header("content-encoding"), Some("gzip"));
    assert!(!script.header("content-security-policy").unwrap().contains("nonce"));
}

fn reports() {
    let running = start("[protection.headers.csp]\nreport_only = true\n[edge]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let home = page(&running, "/");
    assert_eq!(home.header("content-security-policy"), Some("frame-ancestors 'self'"));
    let policy = home.header("content-security-policy-report-only").unwrap();
    assert!(policy.contains("report-uri /.well-known/csp-reports"), "{policy}");
    let report = |client: u8, host: &str, blocked: &str| {
        let body = format!(
            "{{\"csp-report\":{{\"document-uri\":\"http://{host}/cart?key=secret\",\"blocked-uri\":\"{blocked}\",\
             \"effective-directive\":\"script-src-elem\"}}}}"
        );
        let head = format!(
            "POST /.well-known/csp-reports HTTP/1.1\r\nhost: {}\r\nx-forwarded-for: 198.51.100.{client}\r\nconnection: close\r\n\
             content-type: application/csp-report\r\ncontent-length: {}\r\n\r\n{body}",
            running.url,
            body.len()
        );
        send(&running.url, head.as_bytes()).unwrap().status
    };
    assert_eq!(report(1, &running.url, "https://cdn.example/a.js"), 204);
    assert_eq!(report(2, &running.url, "https://cdn.example/b.js"), 204);
    assert_eq!(report(3, &running.url, "https://evil.example/x.js"), 204);
    assert_eq!(report(4, "other.example", "https://evil.example/x.js"), 204);
    let output = seaworthy(running.folder.path(), &["csp", "--admin", &running.admin]);
    let said = text(&output);
    assert!(output.status.success(), "{}", error_text(&output));
    assert!(said.contains("script-src = \"'self' https://cdn.example\""), "{said}");
    assert!(said.contains("https://evil.example: too few addresses reported it") && !said.contains("secret"), "{said}");
    let output = seaworthy(running.folder.path(), &["csp", "--admin", &running.admin, "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((told["ignored"].as_u64(), told["seen"].as_array().unwrap().len()), (Some(1), 2));
    let nobody = seaworthy(running.folder.path(), &["csp", "--admin", "127.0.0.1:9"]);
    assert!(
        nobody.status.code() == Some(1) && error_text(&nobody).contains("SEA_CSP_ADMIN"),
        "{}",
        error_text(&nobody)
    );
}

fn traces() {
    let running = start("[[route]]\nmatch = \"/open/*\"\ntraces = \"pass\"\n");
    let failed = get_with(&running.url, "/json-trace", "accept-encoding: gzip\r\nx-request-id: seen-1\r\n");
    let problem = failed.json();
    assert_eq!((failed.status, problem["code"].as_str()), (500, Some("SEA_PROTECTION_TRACE_REMOVED")));
    assert_eq!(problem["request_id"], "seen-1");
    assert!(!failed.text().contains("secret"));
    let debug = get(&running.url, "/debug");
    assert_eq!((debug.status, debug.text().contains("Django")), (404, false));
    until("the log says so", Duration::from_secs(5), || {
        let log = running.stderr();
        log.contains("seen-1") && log.contains("a Python trace")
    });
}

fn wrong_policies() {
    for (csp, said) in [
        ("directives = { script-src = \"self\" }", "'self'"),
        ("directives = { scrpt-src = \"'self'\" }", "did you mean `script-src`?"),
        ("directives = \"script-src 'nonce-abc'\"", "nonces = true"),
        ("report = \"csp\"", "no place for reports"),
        ("directives = 5", "neither a policy's text"),
    ] {
        let folder = folder(&format!("[protection.headers.csp]\n{csp}\n"));
        let output = seaworthy(folder.path(), &["config", "check"]);
        let errors = error_text(&output) + &text(&output);
        assert!(output.status.code() == Some(2) && errors.contains(said), "{csp}: {errors}");
    }
    let folder =
        folder("[[route]]\nmatch = \"/a\"\nheaders = { strict_transport_security = \"max-age=1; preload\" }\n");
    let output = seaworthy(folder.path(), &["config", "check"]);
    assert!(error_text(&output).contains("includeSubDomains"), "{}", error_text(&output));
}

/// The probe opens the page in Chromium, sees its own scripts run, and plants one that must not.
fn in_a_browser() {
    let verdict = |csp: &str| {
        let running = start(csp);
        fs::write(running.folder.path().join("list.md"), "- [ ] Content Security Policy\n").unwrap();
        let (url, admin) = (format!("http://{}", running.url), running.admin.clone());
        let output =
            seaworthy(running.folder.path(), &["check", "--json", "--url", &url, "--admin", &admin, "list.md"]);
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error_text(&output)));
        (report["items"][0]["verdict"].as_str().unwrap().to_owned(), report)
    };
    let (with, report) = verdict(
        "[protection.headers.csp]\nnonces = true\ndirectives = \"default-src 'self'; object-src 'none'; base-uri 'self'\"\n",
    );
    assert_eq!(with, "pass", "{report:#}");
    // Without nonces the same policy forbids the page its own script.
    let (without, report) =
        verdict("[protection.headers.csp]\ndirectives = \"default-src 'self'; object-src 'none'; base-uri 'self'\"\n");
    assert_eq!(without, "fail", "{report:#}");
}
