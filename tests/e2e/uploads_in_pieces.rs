//! Resumable uploads (tus 1.0) through the binary, around the app of [`crate::uploads`].

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};

use crate::{
    http::{Answer, send},
    support::{Running, test_with, until},
    uploads::{NO_FLAGS, PYTHON, code, folder, reached},
};

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("resumable_uploads_go_on_after_a_kill_and_are_delivered_once", &[PYTHON], resumed),
        test_with("resumable_uploads_are_kept_while_the_app_fails_and_handed_over_as_a_file", &[PYTHON], by_reference),
        test_with("resumable_uploads_leave_the_app_its_file_after_a_kill", &[PYTHON], killed_in_between),
        test_with("resumable_uploads_check_a_piece_and_bind_it_to_its_place", &[PYTHON], pieces),
        test_with("resumable_uploads_are_for_pages_of_other_origins_and_by_piece", &[PYTHON], pages_and_keys),
    ]
}

/// A request of tus, and its answer.
fn tus(running: &Running, line: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!(
        "{line} HTTP/1.1\r\nhost: app\r\nconnection: close\r\ntus-resumable: 1.0.0\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    send(&running.url, &[head.as_bytes(), body].concat()).unwrap()
}

/// Status of HEAD, and how much there is: it has the length of a body that does not come.
fn head(running: &Running, place: &str) -> (u16, Option<usize>) {
    let request = format!("HEAD {place} HTTP/1.1\r\nhost: app\r\nconnection: close\r\ntus-resumable: 1.0.0\r\n\r\n");
    let mut stream = std::net::TcpStream::connect(&running.url).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let offset = answer.lines().find_map(|line| line.strip_prefix("upload-offset: ")?.parse().ok());
    (answer[9..12].parse().unwrap(), offset)
}

const PIECE: &str = "content-type: application/offset+octet-stream\r\n";

fn patch(running: &Running, place: &str, offset: usize, body: &[u8], more: &str) -> Answer {
    tus(running, &format!("PATCH {place}"), &format!("{PIECE}upload-offset: {offset}\r\n{more}"), body)
}

/// A new upload of `a.txt`; where it is.
fn begin(running: &Running, length: usize) -> String {
    // `a.txt`, and `note` with `hello`.
    let headers = format!("upload-length: {length}\r\nupload-metadata: filename YS50eHQ=,note aGVsbG8=\r\n");
    let answer = tus(running, "POST /files/tus?x=1", &headers, b"");
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.header("location").unwrap().to_owned()
}

const RESUMABLE: &str =
    "[[route]]\nmatch = \"POST /files\"\nupload = { max = \"50MB\", types = [\"txt\"], resumable = true }\n";

fn resumed() {
    let mut running = Running::start_in(folder(RESUMABLE), NO_FLAGS);
    let content: Vec<u8> = (0..3_000_000).map(|number: u32| b'a' + (number % 26) as u8).collect();
    let place = begin(&running, content.len());
    assert_eq!(patch(&running, &place, 0, &content[..1_000_000], "").status, 204);
    // A connection that is cut in the middle of a piece: what came is kept.
    let cut = format!(
        "PATCH {place} HTTP/1.1\r\nhost: app\r\ntus-resumable: 1.0.0\r\ncontent-length: 2000000\r\n{PIECE}upload-offset: \
         1000000\r\n\r\n"
    );
    let mut stream = std::net::TcpStream::connect(&running.url).unwrap();
    stream.write_all(&[cut.as_bytes(), &content[1_000_000..1_500_000]].concat()).unwrap();
    // Closed whole, a reset could overtake what was sent.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let offset = |running: &Running| head(running, &place).1.unwrap();
    until("the cut piece is kept", Duration::from_secs(10), || offset(&running) == 1_500_000);
    kill(running.pid(), Signal::SIGKILL).unwrap();
    running.ended(Duration::from_secs(10));
    let folder = std::mem::replace(&mut running.folder, tempfile::tempdir().unwrap());
    let running = Running::start_in(folder, NO_FLAGS);
    assert_eq!(offset(&running), 1_500_000, "what was acknowledged survives");
    assert_eq!(patch(&running, &place, 1_000_000, b"x", "").status, 409);
    let last = patch(&running, &place, 1_500_000, &content[1_500_000..], "");
    assert_eq!((last.status, last.header("upload-offset")), (204, Some("3000000")));
    assert_eq!(reached(&running), 1);
    let told = tus(&running, &format!("GET {place}"), "", b"").json();
    assert!(told["type"].as_str().unwrap().starts_with("multipart/form-data; boundary="), "{told}");
    let body = told["body"].as_str().unwrap();
    assert!(
        body.contains("name=\"note\"\r\n\r\nhello\r\n") && body.contains("name=\"file\"; filename=\"a.txt\""),
        "{body}"
    );
    assert!(body.contains("\r\n\r\nabcdefghijklmnopqrstuvwxyzabc"), "{body}");
    // Asked again, it says the same, and the app is not bothered.
    let again = patch(&running, &place, 3_000_000, b"", "prefer: return=representation\r\n");
    assert_eq!((again.status, again.json()), (200, told));
    assert_eq!((offset(&running), reached(&running)), (3_000_000, 1));
    assert_eq!(tus(&running, &format!("DELETE {place}"), "", b"").status, 204);
    assert_eq!(head(&running, &place).0, 404);
}

fn pieces() {
    let running = Running::start_in(folder(RESUMABLE), NO_FLAGS);
    let options = send(&running.url, b"OPTIONS /files/tus HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n").unwrap();
    assert_eq!((options.status, options.header("tus-max-size")), (204, Some("50000000")));
    let place = begin(&running, 4);
    // The SHA-1 of `test`.
    let sum = "upload-checksum: sha1 qUqP5cyxm6YcTAhz05Hph5gvu9M=\r\n";
    assert_eq!(code(&patch(&running, &place, 0, b"tesT", sum)), (460, "SEA_UPLOADS_TUS_CHECKSUM".into()));
    assert_eq!(head(&running, &place), (200, Some(0)));
    assert_eq!(patch(&running, &place, 0, b"tests", "").status, 413, "more than was announced");
    assert_eq!(reached(&running), 0);
    assert_eq!(patch(&running, &place, 0, b"test", sum).status, 204);
    assert_eq!(reached(&running), 1);
    // What is no text is found out in the end, and told whenever it is asked for.
    let wrong = begin(&running, 4);
    assert_eq!(code(&patch(&running, &wrong, 0, b"\0\x01\x02\x03", "")), (415, "SEA_UPLOADS_TYPE".into()));
    assert_eq!(code(&patch(&running, &wrong, 4, b"", "")), (415, "SEA_UPLOADS_TYPE".into()));
    assert_eq!(head(&running, &wrong).0, 415, "no client takes it for a success");
    let refused = [
        ("upload-length: 5\r\n", 415),
        ("upload-length: 5\r\nupload-metadata: filename YS5leGU=\r\n", 415),
        ("upload-length: 50000001\r\nupload-metadata: filename YS50eHQ=\r\n", 413),
        ("upload-metadata: filename YS50eHQ=\r\n", 400),
        ("upload-length: x\r\nupload-metadata: filename YS50eHQ=\r\n", 400),
    ];
    for (headers, status) in refused {
        assert_eq!(tus(&running, "POST /files/tus", headers, b"").status, status, "{headers}");
    }
    let other = format!("DELETE {place} HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n");
    assert_eq!(send(&running.url, other.as_bytes()).unwrap().status, 412, "without its version");
    assert_eq!(head(&running, "/files/tus/00000000000000000000000000000000").0, 404);
    assert_eq!(reached(&running), 1);
}

fn by_reference() {
    let config = RESUMABLE.replace("resumable = true", "resumable = true, deliver = \"reference\"");
    let running = Running::start_in(folder(&config), NO_FLAGS);
    let fails = running.folder.path().join("fails");
    fs::write(&fails, "").unwrap();
    let place = begin(&running, 4);
    assert_eq!(patch(&running, &place, 0, b"test", "").status, 500);
    assert_eq!(head(&running, &place).0, 500, "it is offered again");
    assert_eq!(reached(&running), 0);
    fs::remove_file(&fails).unwrap();
    assert_eq!(head(&running, &place), (200, Some(4)));
    assert_eq!((reached(&running), head(&running, &place).1, reached(&running)), (1, Some(4), 1), "once");
    let told = tus(&running, &format!("GET {place}"), "", b"").json();
    let order: serde_json::Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&order["name"], &order["size"], &order["fields"]["note"]),
        (&"a.txt".into(), &4.into(), &"hello".into())
    );
    let path = Path::new(order["path"].as_str().unwrap());
    assert_eq!(fs::read(path).unwrap(), b"test");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Killed while the app has the file, and has not answered: nobody knows whether it took it.
fn killed_in_between() {
    let config = RESUMABLE.replace("resumable = true", "resumable = true, deliver = \"reference\"");
    let mut running = Running::start_in(folder(&config), NO_FLAGS);
    fs::write(running.folder.path().join("hangs"), "").unwrap();
    let place = begin(&running, 4);
    let piece = format!(
        "PATCH {place} HTTP/1.1\r\nhost: app\r\ntus-resumable: 1.0.0\r\ncontent-length: 4\r\n{PIECE}upload-offset: \
         0\r\n\r\ntest"
    );
    let mut stream = std::net::TcpStream::connect(&running.url).unwrap();
    stream.write_all(piece.as_bytes()).unwrap();
    let told = running.folder.path().join("told");
    until("the app has it", Duration::from_secs(20), || told.exists());
    kill(running.pid(), Signal::SIGKILL).unwrap();
    running.ended(Duration::from_secs(10));
    let order = |told: &Path| -> serde_json::Value { serde_json::from_slice(&fs::read(told).unwrap()).unwrap() };
    let path = PathBuf::from(order(&told)["path"].as_str().unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"test");
    let folder = std::mem::replace(&mut running.folder, tempfile::tempdir().unwrap());
    fs::remove_file(folder.path().join("hangs")).unwrap();
    let running = Running::start_in(folder, NO_FLAGS);
    assert_eq!(fs::read(&path).unwrap(), b"test", "the start takes nothing from the app");
    assert_eq!(head(&running, &place), (200, Some(4)));
    let again = tus(&running, &format!("GET {place}"), "", b"").json();
    let again: serde_json::Value = serde_json::from_str(again["body"].as_str().unwrap()).unwrap();
    assert_eq!(again["path"].as_str().map(Path::new), Some(path.as_path()), "the same file");
    assert_eq!(tus(&running, &format!("DELETE {place}"), "", b"").status, 204);
    assert_eq!(fs::read(&path).unwrap(), b"test", "it is the app's own");
}

/// What stands around the places for pieces: pages of other origins, and keys of requests that may be repeated.
fn pages_and_keys() {
    let origin = "https://app.example.com";
    // Methods and headers of tus are added by themselves.
    let cors = format!("[protection.cors]\norigins = [\"{origin}\"]\nmethods = [\"GET\"]\n");
    let config = format!("{cors}[api]\nidempotency = true\n{RESUMABLE}");
    let running = Running::start_in(folder(&config), NO_FLAGS);
    let asks = format!(
        "OPTIONS /files/tus HTTP/1.1\r\nhost: app\r\nconnection: close\r\norigin: {origin}\r\naccess-control-request-method: \
         PATCH\r\naccess-control-request-headers: tus-resumable,upload-offset,content-type\r\n\r\n"
    );
    let may = send(&running.url, asks.as_bytes()).unwrap();
    assert_eq!((may.status, may.header("access-control-allow-origin")), (204, Some(origin)));
    assert!(may.header("access-control-allow-methods").unwrap().contains("PATCH"), "{}", may.head);
    assert_eq!(may.header("access-control-allow-headers"), Some("tus-resumable,upload-offset,content-type"));
    let headers = format!("origin: {origin}\r\nupload-length: 4\r\nupload-metadata: filename YS50eHQ=\r\n");
    let made = tus(&running, "POST /files/tus/", &headers, b"");
    assert_eq!(made.status, 201, "{}", made.text());
    let exposed = made.header("access-control-expose-headers").unwrap();
    for field in ["location", "upload-offset", "upload-length", "upload-metadata", "tus-resumable", "upload-expires"] {
        assert!(exposed.split(", ").any(|name| name == field), "{field}: {exposed}");
    }
    let place = made.header("location").unwrap();
    // A key is for a request that the app gets; two pieces under one key are two pieces.
    let key = "idempotency-key: \"one\"\r\n";
    assert_eq!(patch(&running, place, 0, b"te", key).status, 204);
    let last = patch(&running, place, 2, b"st", key);
    assert_eq!((last.status, last.header("upload-offset"), reached(&running)), (204, Some("4"), 1));
    for odd in ["/files/tus/tus", "/files/tus/x", "/files/%74us"] {
        let answer = tus(&running, &format!("POST {odd}"), &headers, b"");
        assert_eq!(code(&answer), (404, "SEA_UPLOADS_TUS_UNKNOWN".into()), "{odd}");
    }
}
