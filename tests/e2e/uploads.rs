//! Files that clients send, around a small app that counts what reaches it; malware against a real clamd with a signature of
//! its own for the test virus.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{
    http::{Answer, get, send},
    support::{Running, error_text, program, seaworthy, test_with, text, until},
};

pub const PYTHON: (&str, &str) = ("python3", "the Debian package python3");
const CLAMD: (&str, &str) = ("clamd", "the Debian package clamav-daemon");
pub const NO_FLAGS: &[&str] = &[];

const APP: &str = r#"
import hashlib, http.server, json, os, sys, time
COUNT = 0
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self): self.answer(COUNT)
    def do_POST(self):
        global COUNT
        if os.path.exists("fails"):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(500)
            self.send_header("content-length", "0")
            return self.end_headers()
        if os.path.exists("hangs"):
            with open("telling", "wb") as told: told.write(self.rfile.read(int(self.headers["content-length"])))
            os.rename("telling", "told")
            time.sleep(3600)
        COUNT += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        chunked = "transfer-encoding" in self.headers
        self.answer({"length": len(body), "sha256": hashlib.sha256(body).hexdigest(), "chunked": chunked,
                     "type": self.headers["content-type"], "body": body[:2000].decode("latin-1")})
    do_PUT = do_POST
    def log_message(self, *rest): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
"#;

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("uploads_reach_the_app_byte_by_byte_or_not_at_all", &[PYTHON], by_type),
        test_with("uploads_over_the_limit_leave_nothing", &[PYTHON], by_size),
        test_with("uploads_with_malware_are_refused_and_kept", &[PYTHON, CLAMD], malware),
        test_with("uploads_are_proved_by_the_prober_and_missed_when_off", &[PYTHON, CLAMD], proved),
        test_with("uploads_a_scan_without_a_scanner_is_refused", &[PYTHON], without_a_scanner),
    ]
}

pub fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), APP).unwrap();
    let app = format!("[app]\ncommand = \"'{}' app.py $PORT\"\nhealth = \"/\"\n", program("python3"));
    fs::write(folder.path().join("seaworthy.toml"), app + config).unwrap();
    folder
}

/// A request with this body; chunked when it is to have no length.
fn request(running: &Running, line: &str, kind: &str, body: &[u8], chunked: bool) -> Answer {
    let mut bytes =
        format!("{line} HTTP/1.1\r\nhost: app\r\nconnection: close\r\ncontent-type: {kind}\r\n").into_bytes();
    if chunked {
        bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
        for piece in body.chunks(7000) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
    } else {
        bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
        bytes.extend(body);
    }
    send(&running.url, &bytes).unwrap()
}

fn form(name: &str, kind: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--XY\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--XY\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n--XY--\r\n"].concat()
}

fn post(running: &Running, name: &str, kind: &str, content: &[u8]) -> Answer {
    request(running, "POST /files", "multipart/form-data; boundary=XY", &form(name, kind, content), false)
}

pub fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

pub fn reached(running: &Running) -> u64 {
    get(&running.url, "/").json().as_u64().unwrap()
}

const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

fn by_type() {
    let config = "[[route]]\nmatch = \"POST /files\"\nupload = { max = \"1MB\", types = [\"gif\", \"txt\"] }\n[[route]]\nmatch = \
                  \"PUT /files/{name}\"\nupload = { types = [\"gif\"] }\n[[route]]\nmatch = \"POST /clean\"\nupload = { types = \
                  [\"txt\"], names = \"clean\" }\n";
    let running = Running::start_in(folder(config), NO_FLAGS);
    for chunked in [false, true] {
        let sent = form("a.gif", "image/gif", GIF);
        let answer = request(&running, "POST /files", "multipart/form-data; boundary=XY", &sent, chunked);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = answer.json();
        assert_eq!(seen["body"], sent.iter().map(|byte| char::from(*byte)).collect::<String>(), "byte by byte");
        assert_eq!(
            (seen["chunked"].as_bool(), seen["type"].as_str()),
            (Some(false), Some("multipart/form-data; boundary=XY"))
        );
    }
    assert_eq!(request(&running, "PUT /files/a.gif", "image/gif", GIF, true).json()["length"], GIF.len());
    let big: Vec<u8> = (0..900_000).map(|number: u32| b'a' + (number % 26) as u8).collect();
    assert_eq!(post(&running, "a.txt", "text/plain", &big).json()["length"], form("a.txt", "text/plain", &big).len());
    let renamed = form("../x.php.txt", "text/plain", b"x");
    let clean = request(&running, "POST /clean", "multipart/form-data; boundary=XY", &renamed, false);
    assert_eq!(clean.json()["body"], String::from_utf8(form("x_php.txt", "text/plain", b"x")).unwrap());
    let before = reached(&running);
    let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0";
    for (name, kind, content, refused) in [
        ("a.gif", "image/gif", &elf[..], "SEA_UPLOADS_TYPE"),
        ("a.txt", "text/plain", elf, "SEA_UPLOADS_TYPE"),
        ("a.gif.exe", "image/gif", GIF, "SEA_UPLOADS_TYPE"),
        ("a.php.gif", "image/gif", GIF, "SEA_UPLOADS_NAME"),
        ("../a.gif", "image/gif", GIF, "SEA_UPLOADS_NAME"),
        ("a.gif", "image/gif", &[GIF, b"<script>"].concat(), "SEA_UPLOADS_CONTENT"),
        ("a.gif\"; filename=\"b.gif", "image/gif", GIF, "SEA_UPLOADS_MALFORMED"),
    ] {
        assert_eq!(code(&post(&running, name, kind, content)).1, refused, "{name}");
    }
    let html = request(&running, "PUT /files/a.gif", "text/html", GIF, false);
    assert_eq!(code(&html), (415, "SEA_UPLOADS_TYPE".into()));
    assert_eq!(request(&running, "POST /files", "application/json", b"{}", false).status, 415);
    let cut = &form("a.gif", "image/gif", GIF)[..180];
    let cut = request(&running, "POST /files", "multipart/form-data; boundary=XY", cut, false);
    assert_eq!(code(&cut), (400, "SEA_UPLOADS_MALFORMED".into()));
    assert_eq!(reached(&running), before, "the app saw nothing of them");
    let metrics = get(&running.admin, "/metrics").text();
    assert!(metrics.contains("seaworthy_uploads_total{route=\"POST /files\",result=\"accepted\"} 3"), "{metrics}");
}

fn by_size() {
    let config = "[[route]]\nmatch = \"/files\"\nupload = { max = \"100KB\", total = \"150KB\", files = 2, types = [\"txt\"] }\n";
    let running = Running::start_in(folder(config), NO_FLAGS);
    let text = vec![b'x'; 100_001];
    assert_eq!(post(&running, "a.txt", "text/plain", &text[..100_000]).status, 200);
    assert_eq!(request(&running, "PUT /files", "text/plain", &text[..100_000], true).status, 200);
    let before = reached(&running);
    for chunked in [false, true] {
        let form = form("a.txt", "text/plain", &text);
        let answer = request(&running, "POST /files", "multipart/form-data; boundary=XY", &form, chunked);
        assert_eq!(code(&answer), (413, "SEA_UPLOADS_TOO_LARGE".into()));
        assert_eq!(request(&running, "PUT /files", "text/plain", &text, chunked).status, 413);
    }
    assert_eq!(reached(&running), before);
    let left: Vec<_> = fs::read_dir(running.folder.path().join(".seaworthy/uploads")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A clamd of its own, which ends with the test.
struct Clamd(Child, TempDir);

impl Clamd {
    fn start(folder: TempDir) -> Self {
        let path = folder.path();
        // Assembled here, so that no scanner finds the test itself.
        let signature: String = eicar().iter().map(|byte| format!("{byte:02x}")).collect();
        fs::create_dir_all(path.join("db")).unwrap();
        fs::write(path.join("db/test.ndb"), format!("Test.Virus:0:0:{signature}\n")).unwrap();
        let (socket, db) = (path.join("clamd.sock"), path.join("db"));
        let config = format!(
            "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nStreamMaxLength 4M\nMaxFileSize 4M\nMaxScanSize 16M\n",
            socket.display(),
            db.display()
        );
        fs::write(path.join("clamd.conf"), config).unwrap();
        let mut command = Command::new(program("clamd"));
        command.arg("--config-file").arg(path.join("clamd.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        until("clamd listens", Duration::from_secs(60), || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        Self(child, folder)
    }

    fn stop(&mut self) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGTERM).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn eicar() -> Vec<u8> {
    b"*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$}7)CC7)^P(45XZP\\4[PA@%P!O5X".iter().rev().copied().collect()
}

/// A zip file, by Python: a writer that is not ours.
fn zipped(folder: &Path, name: &str, content: &[u8]) -> Vec<u8> {
    let (inside, archive) = (folder.join("inside"), folder.join("archive.zip"));
    fs::write(&inside, content).unwrap();
    let code = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z: z.write(sys.argv[2], sys.argv[3])";
    let done = Command::new(program("python3")).args(["-c", code]).arg(&archive).arg(&inside).arg(name).status();
    assert!(done.unwrap().success());
    fs::read(archive).unwrap()
}

fn malware() {
    let mut clamd = Clamd::start(tempfile::tempdir().unwrap());
    let socket = clamd.1.path().join("clamd.sock").display().to_string();
    let config = format!(
        "[uploads]\nclamd = \"unix:{socket}\"\nscan_max = \"3MB\"\nquarantine = \"1MB\"\n[[route]]\nmatch = \"POST \
         /files\"\nupload = {{ max = \"20MB\", types = [\"txt\", \"zip\"], scan = true }}\n"
    );
    let running = Running::start_in(folder(&config), NO_FLAGS);
    let (virus, scratch) = (eicar(), tempfile::tempdir().unwrap());
    let padded = |length: usize| [virus.clone(), vec![b' '; length]].concat();
    let zip = |name: &str, content: &[u8]| zipped(scratch.path(), name, content);
    let nested = zip("b.zip", &zip("a.txt", &virus));
    for (name, content, refused) in [
        ("a.txt", virus.clone(), "SEA_UPLOADS_INFECTED"),
        ("a.txt", padded(2_000_000), "SEA_UPLOADS_INFECTED"),
        ("a.zip", zip("a.txt", &virus), "SEA_UPLOADS_INFECTED"),
        ("a.zip", nested, "SEA_UPLOADS_INFECTED"),
        // What the scanner would skip in silence is not taken for clean.
        ("a.txt", padded(3_500_000), "SEA_UPLOADS_CONTENT"),
        ("a.txt", padded(5_000_000), "SEA_UPLOADS_CONTENT"),
    ] {
        assert_eq!(
            code(&post(&running, name, "application/octet-stream", &content)).1,
            refused,
            "{name} {}",
            content.len()
        );
    }
    let skipped = zip(
        "a.txt",
        &[virus.clone(), vec![b' '; 4_500_000], (0..60_000).map(|n: u32| b'a' + (n * n % 25) as u8).collect()].concat(),
    );
    assert_eq!(
        post(&running, "a.zip", "application/zip", &skipped).status,
        422,
        "its inner file is larger than the scanner reads"
    );
    assert_eq!(reached(&running), 0);
    assert_eq!(post(&running, "a.txt", "text/plain", &vec![b' '; 2_000_000]).status, 200, "the clean twin");
    assert_eq!(post(&running, "a.zip", "application/zip", &zip("a.txt", b"clean")).status, 200);
    in_quarantine(&running);
    clamd.stop();
    let answer = post(&running, "a.txt", "text/plain", b"clean");
    assert_eq!((code(&answer), answer.header("retry-after")), ((503, "SEA_UPLOADS_SCANNER_DOWN".into()), Some("10")));
    assert_eq!(reached(&running), 2);
    let status = get(&running.admin, "/status").json();
    assert!(status["uploads"]["scanner"].as_str().unwrap().starts_with("down: "), "{status}");
    until("it is said loudly", Duration::from_secs(5), || running.stderr().contains("the malware scanner is down"));
    let folder = std::mem::replace(&mut clamd.1, tempfile::tempdir().unwrap());
    let _again = Clamd::start(folder);
    assert_eq!(post(&running, "a.txt", "text/plain", b"clean").status, 200, "it is back at once");
}

fn in_quarantine(running: &Running) {
    let listed = get(&running.admin, "/uploads/quarantine").json();
    let listed = listed.as_array().unwrap();
    let small = listed.iter().all(|one| one["size"].as_u64().unwrap() < 1_000_000);
    assert!(listed.len() >= 3 && small, "the one of 2 MB does not fit into 1 MB: {listed:?}");
    assert!(listed.iter().all(|one| one["found"].as_str().unwrap().starts_with("Test.Virus")), "{listed:?}");
    assert_eq!(listed[0]["sha256"], "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f");
    let id = listed[0]["id"].as_str().unwrap();
    let kept = running.folder.path().join(format!(".seaworthy/uploads/quarantine/{id}.bin"));
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(running.stderr().contains("security.malware_upload"), "{}", running.stderr());
    let delete = |id: &str| {
        let head = format!("DELETE /uploads/quarantine/{id} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        send(&running.admin, head.as_bytes()).unwrap().status
    };
    assert_eq!((delete(id), delete(id), delete("..%2f..%2fx")), (200, 404, 404));
    assert!(!kept.exists());
}

fn without_a_scanner() {
    let folder = folder("[[route]]\nmatch = \"POST /files\"\nupload = { types = [\"txt\"], scan = true }\n");
    let output = seaworthy(folder.path(), &["run", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(error_text(&output).contains("name `clamd`"), "{}{}", error_text(&output), text(&output));
    let mut config = fs::OpenOptions::new().append(true).open(folder.path().join("seaworthy.toml")).unwrap();
    writeln!(config, "[[route]]\nmatch = \"POST /other\"\nupload = {{ types = [\"exe\"] }}").unwrap();
    let output = seaworthy(folder.path(), &["config", "check"]);
    assert!((error_text(&output) + &text(&output)).contains("no kind of file whose content can be told"));
}

/// What the prover says of the four controls: the first letters of the verdicts, and all that it said.
fn verdicts(running: &Running) -> (String, String) {
    let output = seaworthy(
        running.folder.path(),
        &["check", "--json", "--url", &running.url, "--admin", &running.admin, "list.md"],
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let items = report["items"].as_array().unwrap();
    let controls = items.iter().flat_map(|item| item["controls"].as_array().unwrap());
    let verdicts: Vec<&str> = controls.map(|control| control["verdict"].as_str().unwrap()).collect();
    (verdicts.join(" "), format!("{report:#}{}", error_text(&output)))
}

fn proved() {
    let clamd = Clamd::start(tempfile::tempdir().unwrap());
    let socket = clamd.1.path().join("clamd.sock").display().to_string();
    let names = ["validation", "size-limit", "virus-scan", "chunked"];
    let pins: String = names.map(|name| format!("\"line {name}\" = \"protection.upload-{name}\"\n")).concat();
    let lines: String = names.map(|name| format!("- [ ] line {name}\n")).concat();
    let on = format!(
        "[uploads]\nclamd = \"unix:{socket}\"\nscan_max = \"3MB\"\n[[route]]\nmatch = \"POST /files\"\nupload = \
         {{ max = \"2MB\", types = [\"txt\", \"zip\", \"png\"], scan = true, resumable = true }}\n[check.map]\n{pins}"
    );
    let off = format!("[check]\nupload = \"POST /files\"\nupload_max = \"2MB\"\n[check.map]\n{pins}");
    for (config, expected) in [(on, "pass pass pass pass"), (off, "fail fail fail not-run")] {
        let folder = folder(&config);
        fs::write(folder.path().join("list.md"), &lines).unwrap();
        let running = Running::start_in(folder, NO_FLAGS);
        let (found, said) = verdicts(&running);
        assert_eq!(found, expected, "{said}");
    }
}
