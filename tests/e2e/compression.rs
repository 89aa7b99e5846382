//! Answers compressed on their way, read by clients that are not ours.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use libtest_mimic::Trial;

use crate::{
    http::{Answer, get_with, send},
    support::{Running, program, test, test_with},
};

const CURL: (&str, &str) = ("curl", "the Debian package curl");
const NODE: (&str, &str) = ("node", "the Debian package nodejs");
const PYTHON: (&str, &str) = ("python3", "the Debian package python3");

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("curl_reads_every_coding", &[CURL], curl_reads_every_coding),
        test_with("node_and_python_read_what_they_ask_for", &[NODE, PYTHON], node_and_python_read),
        test("a_slow_stream_is_compressed_and_does_not_wait", a_slow_stream_does_not_wait),
        test("conditions_hold_through_compression", conditions_hold_through_compression),
        test("a_cached_answer_is_compressed_once_for_all_who_take_it", a_cached_answer_is_compressed_once),
        test("pages_with_nonces_are_compressed_too", pages_with_nonces_are_compressed_too),
        test("files_go_out_in_the_smallest_variant_or_compressed_on_the_way", files_go_out_compressed),
        test("what_breaks_off_is_never_taken_for_whole", what_breaks_off_is_never_taken_for_whole),
    ]
}

/// An app with a page, and a stream that goes on when the test says so.
struct App {
    address: String,
    asked: Arc<AtomicUsize>,
    more: Sender<()>,
}

/// A page that compresses, with a script for a nonce.
fn page() -> String {
    let items: String = (0..2_000).map(|number| format!("<li>item {number} of the shop</li>\n")).collect();
    format!("<!doctype html><title>Shop</title><script>1</script><ul>{items}</ul>")
}

impl App {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (asked, (more, wait)) = (Arc::new(AtomicUsize::new(0)), channel());
        let (count, wait) = (asked.clone(), Arc::new(Mutex::new(wait)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, wait) = (count.clone(), wait.clone());
                thread::spawn(move || answer(stream, &count, &wait));
            }
        });
        Self { address, asked, more }
    }

    fn behind(&self, config: &str) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("[app]\nto = \"http://{}\"\n{config}", self.address);
        std::fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
        Running::start_in(folder, &[] as &[&str])
    }
}

fn answer(mut stream: TcpStream, count: &AtomicUsize, wait: &Mutex<Receiver<()>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap_or(0) > 2 {}
    let lower = head.to_ascii_lowercase();
    // Whoever only looks whether there is somebody sends nothing.
    let Some((method, rest)) = head.split_once(' ') else { return };
    let path = rest.split(' ').next().unwrap();
    count.fetch_add(1, Ordering::Relaxed);
    let mut send = |text: &str| stream.write_all(text.as_bytes()).is_ok();
    match path {
        "/stream" => {
            send("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n{\"line\": 1}\n");
            let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(20));
            send("{\"line\": 2}\n");
        }
        "/cut" => {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 100000\r\nconnection: close\r\n\r\n";
            send(&format!("{head}{}", "<p>half</p>".repeat(3_000)));
        }
        _ if lower.contains("if-none-match: \"v1\"") => {
            send("HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\nconnection: close\r\n\r\n");
        }
        _ => {
            let (page, caching) = (page(), if path == "/kept" { "cache-control: max-age=60\r\n" } else { "" });
            let length = page.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\netag: \"v1\"\r\ncontent-length: {length}\r\n\
                 connection: close\r\n{caching}\r\n"
            );
            send(&if method == "HEAD" { head } else { head + &page });
        }
    }
}

fn taking(running: &Running, path: &str, codings: &str) -> Answer {
    get_with(&running.url, path, &format!("accept-encoding: {codings}\r\n"))
}

fn curl_reads_every_coding() {
    let app = App::start();
    let running = app.behind("[cache]\ncompression = true\n");
    for coding in ["zstd", "br", "gzip"] {
        // With a cookie there is padding in it, which is the harder case.
        for cookie in ["a: b", "cookie: sid=1"] {
            let output = Command::new(program("curl"))
                .args([
                    "-sS",
                    "--fail",
                    "--compressed",
                    "-H",
                    cookie,
                    "-H",
                    &format!("accept-encoding: {coding}"),
                    "-D",
                    "-",
                ])
                .arg(format!("http://{}/page", running.url))
                .output()
                .unwrap();
            assert!(output.status.success(), "{coding}: {}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.to_lowercase().contains(&format!("content-encoding: {coding}")), "{head}");
            assert!(body == page(), "{coding} {cookie}: {} bytes", body.len());
        }
    }
    let best = taking(&running, "/page", "gzip, deflate, br, zstd");
    assert_eq!((best.header("content-encoding"), best.header("vary")), (Some("zstd"), Some("accept-encoding")));
    assert!(best.body.len() < page().len() / 4, "{}", best.body.len());
    let plain = taking(&running, "/page", "identity");
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    assert!(plain.text() == page());
    let off = app.behind("[cache]\ncompression = true\n[[route]]\nmatch = \"/page\"\ncompression = false\n");
    assert_eq!(taking(&off, "/page", "gzip").header("content-encoding"), None);
    assert_eq!(taking(&off, "/other", "gzip").header("content-encoding"), Some("gzip"));
}

fn node_and_python_read() {
    let running = App::start().behind("[cache]\ncompression = true\n");
    let node = "const answer = await fetch(process.argv[1], { headers: { cookie: 'sid=1' } });\n\
                process.stderr.write(answer.headers.get('content-encoding'));\n\
                process.stdout.write(await answer.text());";
    let python = "import gzip, sys, urllib.request\n\
                  request = urllib.request.Request(sys.argv[1], headers={'Accept-Encoding': 'gzip', 'Cookie': 'sid=1'})\n\
                  answer = urllib.request.urlopen(request)\n\
                  sys.stderr.write(answer.headers['content-encoding'])\n\
                  sys.stdout.buffer.write(gzip.decompress(answer.read()))";
    for (name, arguments) in [("node", ["--input-type=module", "-e", node]), ("python3", ["-I", "-c", python])] {
        let url = format!("http://{}/page", running.url);
        let mut command = Command::new(program(name));
        if name == "node" {
            command.args(arguments).arg("--");
        } else {
            command.args(arguments);
        }
        let output = command.arg(url).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(["gzip", "br", "zstd"].iter().any(|coding| said.trim() == *coding), "{name}: {said}");
        assert!(output.stdout == page().as_bytes(), "{name}: {} bytes", output.stdout.len());
    }
}

fn a_slow_stream_does_not_wait() {
    let app = App::start();
    let running = app.behind("[cache]\ncompression = true\n");
    let mut stream = TcpStream::connect(&running.url).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let request =
        format!("GET /stream HTTP/1.1\r\nhost: {}\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n", running.url);
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    // The first line is there before the app says the second.
    while !bytes.ends_with(b"\x00\x00\xff\xff\r\n") {
        let length = stream.read(&mut piece).expect("the first line waits for the second");
        assert!(length > 0, "{}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..length]);
    }
    assert!(String::from_utf8_lossy(&bytes).to_lowercase().contains("content-encoding: gzip"));
    app.more.send(()).unwrap();
    stream.read_to_end(&mut bytes).unwrap();
    assert!(bytes.ends_with(b"0\r\n\r\n"), "it ends well");
}

fn conditions_hold_through_compression() {
    let app = App::start();
    let running = app.behind("[cache]\ncompression = true\n");
    let first = taking(&running, "/page", "br");
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(tag, "\"v1~br\"");
    let again = get_with(&running.url, "/page", &format!("accept-encoding: br\r\nif-none-match: {tag}\r\n"));
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(&*tag)));
    let plain = get_with(&running.url, "/page", "if-none-match: \"v1\"\r\n");
    assert_eq!((plain.status, plain.header("etag")), (304, Some("\"v1\"")));
    let head =
        format!("HEAD /page HTTP/1.1\r\nhost: {}\r\naccept-encoding: br\r\nconnection: close\r\n\r\n", running.url);
    let mut stream = TcpStream::connect(&running.url).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let text = text.to_lowercase();
    assert!(text.contains("content-encoding: br") && text.contains("etag: \"v1~br\""), "{text}");
    assert!(!text.contains("content-length") && text.ends_with("\r\n\r\n"), "{text}");
}

fn a_cached_answer_is_compressed_once() {
    let app = App::start();
    let running = app.behind("[cache]\npolicy = true\ncompression = true\n");
    let first = taking(&running, "/kept", "gzip, deflate, br, zstd");
    for same in ["zstd, br, gzip", "br;q=0.9, gzip;q=0.9, zstd;q=0.9", "*"] {
        let hit = taking(&running, "/kept", same);
        assert!(hit.header("age").is_some() && hit.body == first.body, "{same}");
        assert_eq!((hit.header("content-encoding"), hit.header("etag")), (Some("zstd"), Some("\"v1~zstd\"")));
        assert!(hit.header("content-length").is_some(), "its length is known now");
    }
    assert_eq!(app.asked.load(Ordering::Relaxed), 1);
    let known = get_with(&running.url, "/kept", "accept-encoding: zstd, br, gzip\r\nif-none-match: \"v1~zstd\"\r\n");
    assert_eq!((known.status, app.asked.load(Ordering::Relaxed)), (304, 1));
    // Other codings are other variants; parts are cut from the plain one.
    assert_eq!(taking(&running, "/kept", "gzip").header("content-encoding"), Some("gzip"));
    assert!(taking(&running, "/kept", "identity").text() == page());
    assert_eq!(app.asked.load(Ordering::Relaxed), 3);
    let part = get_with(&running.url, "/kept", "accept-encoding: zstd, br, gzip\r\nrange: bytes=0-14\r\n");
    assert_eq!((part.status, part.text().as_str(), part.header("content-encoding")), (206, "<!doctype html>", None));
    let mixed =
        get_with(&running.url, "/kept", "accept-encoding: gzip\r\nrange: bytes=5-9\r\nif-range: \"v1~gzip\"\r\n");
    assert_eq!(mixed.status, 200, "a part of the plain answer is no part of the compressed one");
    assert_eq!(app.asked.load(Ordering::Relaxed), 3);
}

fn pages_with_nonces_are_compressed_too() {
    let running = App::start().behind(
        "[cache]\npolicy = true\ncompression = true\n[protection.headers]\nenabled = true\n[protection.headers.csp]\nnonces = true\n",
    );
    let page = get_with(&running.url, "/kept", "accept: text/html\r\naccept-encoding: gzip\r\n");
    let policy = page.header("content-security-policy").unwrap();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    assert_eq!(page.header("content-encoding"), Some("gzip"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.gz");
    std::fs::write(&file, &page.body).unwrap();
    let output = Command::new("gzip").args(["-dc"]).arg(&file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains(&format!("<script nonce=\"{nonce}\">")), "{}", &text[..200]);
}

fn files_go_out_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dist");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("built.js"), page()).unwrap();
    std::fs::write(root.join("built.js.br"), "as the build left it").unwrap();
    std::fs::write(root.join("plain.js"), page()).unwrap();
    std::fs::write(root.join("picture.png"), page()).unwrap();
    let config = "[cache]\ncompression = true\n[[route]]\nmatch = \"/*\"\nfiles = { root = \"dist\" }\n";
    std::fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let running = Running::start_in(folder, &[] as &[&str]);
    let all = "gzip, deflate, br, zstd";
    let built = taking(&running, "/built.js", all);
    assert_eq!((built.text().as_str(), built.header("content-encoding")), ("as the build left it", Some("br")));
    let plain = taking(&running, "/plain.js", all);
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (Some("zstd"), Some("accept-encoding")));
    assert_eq!(plain.head.to_lowercase().matches("accept-encoding").count(), 1, "{}", plain.head);
    let picture = taking(&running, "/picture.png", all);
    assert_eq!((picture.header("content-encoding"), picture.header("vary")), (None, None));
    for path in ["/built.js", "/plain.js"] {
        let tag = taking(&running, path, all).header("etag").unwrap().to_owned();
        let again = get_with(&running.url, path, &format!("accept-encoding: {all}\r\nif-none-match: {tag}\r\n"));
        assert_eq!((again.status, again.header("etag")), (304, Some(&*tag)), "{path}");
    }
    let part = get_with(&running.url, "/plain.js", &format!("accept-encoding: {all}\r\nrange: bytes=0-14\r\n"));
    assert_eq!((part.status, part.text().as_str()), (206, "<!doctype html>"));
}

fn what_breaks_off_is_never_taken_for_whole() {
    let running = App::start().behind("[cache]\ncompression = true\n");
    for coding in ["gzip", "br", "zstd", "identity"] {
        let request = format!(
            "GET /cut HTTP/1.1\r\nhost: {}\r\naccept-encoding: {coding}\r\nconnection: close\r\n\r\n",
            running.url
        );
        assert!(send(&running.url, request.as_bytes()).is_err(), "{coding}");
    }
}
