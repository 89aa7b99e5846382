//! A build served beside its app: what a browser, a cache, a player and an attacker get.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    time::{Duration, SystemTime},
};

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::{
    http::{get, get_with, post},
    support::{BINARY, Running, error_text, seaworthy, test, until},
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("files_and_the_app_share_one_address", files_and_the_app_share_one_address),
        test("answers_of_files_keep_the_connection_in_step", answers_of_files_keep_the_connection_in_step),
        test("nothing_outside_of_the_folder_is_served", nothing_outside_of_the_folder_is_served),
        test("a_file_that_shrinks_cuts_the_answer", a_file_that_shrinks_cuts_the_answer),
        test("a_large_file_takes_no_memory", a_large_file_takes_no_memory),
        test("a_download_resumes_where_it_broke_off", a_download_resumes_where_it_broke_off),
        test("a_folder_that_is_not_there_stops_the_start", a_folder_that_is_not_there_stops_the_start),
        test("a_wrong_key_of_files_is_found", a_wrong_key_of_files_is_found),
    ]
}

/// A folder with a build, an hour old, and a config that serves it around the demo's app.
fn site() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[app]\ncommand = \"'{BINARY}' demo-app --port $PORT\"\nhealth = \"/health\"\n\n\
         [[route]]\nmatch = \"/health\"\n\n[[route]]\nmatch = \"/api/*\"\n\n\
         [[route]]\nmatch = \"/static/*\"\nfiles = {{ root = \"public\", max_age = \"5m\" }}\n\n\
         [[route]]\nmatch = \"/*\"\nfiles = {{ root = \"dist\", spa = true }}\n"
    );
    fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    fs::write(folder.path().join("secret.txt"), "SECRET").unwrap();
    write(&folder, "dist/index.html", b"<h1>app</h1>");
    write(&folder, "dist/assets/index-BxY12abc.js", b"let app = 1;");
    write(&folder, "dist/assets/index-BxY12abc.js.br", b"BROTLI");
    write(&folder, "public/logo.svg", b"<svg/>");
    write(&folder, "public/.env", b"SECRET=1");
    folder
}

fn write(folder: &TempDir, path: &str, bytes: &[u8]) {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    settle(&path);
}

/// Old enough for strong validators.
fn settle(path: &std::path::Path) {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(path).unwrap().set_modified(hour_ago).unwrap();
}

fn running() -> Running {
    Running::start_in(site(), &[] as &[&str])
}

fn files_and_the_app_share_one_address() {
    let running = running();
    assert_eq!(get(&running.url, "/health").status, 200);
    assert_eq!(post(&running.url, "/api/documents", b"x").status, 201, "the app's routes stay the app's");
    let script = get_with(&running.url, "/assets/index-BxY12abc.js", "accept-encoding: gzip, br\r\n");
    assert_eq!((script.status, script.text().as_str()), (200, "BROTLI"));
    assert_eq!(script.header("content-encoding"), Some("br"));
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(script.header("x-content-type-options"), Some("nosniff"), "the other layers apply to files too");
    assert!(script.header("x-request-id").is_some());
    let logo = get(&running.url, "/static/logo.svg");
    assert_eq!((logo.status, logo.header("cache-control")), (200, Some("max-age=300")));
    let page = get_with(&running.url, "/orders/7", "accept: text/html,*/*;q=0.8\r\n");
    assert_eq!((page.status, page.text().as_str()), (200, "<h1>app</h1>"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let gone = get(&running.url, "/assets/gone-BxY12abc.js");
    assert_eq!((gone.status, gone.json()["code"].as_str()), (404, Some("SEA_EDGE_FILE_NOT_FOUND")));
    assert_eq!(gone.header("cache-control"), Some("no-store"));
    let refused = post(&running.url, "/static/logo.svg", b"x");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    until("the lines of the requests", Duration::from_secs(5), || {
        running.access_log().iter().any(|line| line["route"] == "/static/*" && line["status"] == 200)
    });
}

/// Each kind of answer, one after the other on one connection: a wrong length would shift all that follow.
fn answers_of_files_keep_the_connection_in_step() {
    let running = running();
    let tag = get(&running.url, "/static/logo.svg").header("etag").unwrap().to_owned();
    let requests = [
        "GET /static/logo.svg HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        format!("GET /static/logo.svg HTTP/1.1\r\nhost: x\r\nif-none-match: {tag}\r\n\r\n"),
        "HEAD /static/logo.svg HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "GET /static/logo.svg HTTP/1.1\r\nhost: x\r\nrange: bytes=0-1,4-5\r\n\r\n".to_owned(),
        "GET /static/logo.svg HTTP/1.1\r\nhost: x\r\nrange: bytes=99-\r\n\r\n".to_owned(),
        "GET /static HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n".to_owned(),
        "GET /static/l%6fgo.svg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
    ];
    let mut stream = TcpStream::connect(&running.url).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(requests.concat().as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "304", "200", "206", "416", "200", "308"], "{text}");
}

fn nothing_outside_of_the_folder_is_served() {
    let folder = site();
    symlink("../secret.txt", folder.path().join("public/link")).unwrap();
    symlink("..", folder.path().join("public/up")).unwrap();
    let running = Running::start_in(folder, &[] as &[&str]);
    for path in [
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/..%5csecret.txt",
        "/static/%252e%252e/secret.txt",
        "/static//etc/passwd",
        "/static/.env",
        "/static/%2eenv",
        "/static/link",
        "/static/up/secret.txt",
        "/static/up/seaworthy.toml",
        "/../secret.txt",
        "/../../../../etc/passwd",
    ] {
        let answer = get(&running.url, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains("SECRET") && !answer.text().contains("root:"), "{path}");
    }
}

fn a_file_that_shrinks_cuts_the_answer() {
    let running = running();
    let path = running.folder.path().join("public/film.mp4");
    let length = 64 << 20;
    File::create(&path).unwrap().set_len(length).unwrap();
    let mut stream = TcpStream::connect(&running.url).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET /static/film.mp4 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 1024]).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let mut rest = Vec::new();
    // The end of the connection, politely or not; a hang would be a time-out here.
    let ended = stream.read_to_end(&mut rest);
    assert!(ended.is_ok() || ended.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
    assert!(u64::try_from(rest.len()).unwrap() < length);
    assert_eq!(get(&running.url, "/static/logo.svg").status, 200);
}

fn a_large_file_takes_no_memory() {
    let running = running();
    let length = 256 << 20;
    File::create(running.folder.path().join("public/film.mp4")).unwrap().set_len(length).unwrap();
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB").to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    get(&running.url, "/static/logo.svg");
    let before = resident();
    let mut stream = TcpStream::connect(&running.url).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /static/film.mp4 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let (mut received, mut most, mut piece) = (0, 0, vec![0; 1 << 20]);
    loop {
        let count = stream.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        received += u64::try_from(count).unwrap();
        most = most.max(resident());
    }
    assert!(received > length, "{received} bytes came");
    // Pieces that the reading threads have freed and the allocator keeps a while; not a quarter of the file.
    assert!(most < before + 64_000, "grew from {before} kB to {most} kB");
}

fn a_download_resumes_where_it_broke_off() {
    let folder = site();
    let bytes: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    write(&folder, "public/data.bin", &bytes);
    let running = Running::start_in(folder, &[] as &[&str]);
    let first = get_with(&running.url, "/static/data.bin", "range: bytes=0-999999\r\n");
    assert_eq!((first.status, first.header("content-range")), (206, Some("bytes 0-999999/2000000")));
    let resume = format!("range: bytes=1000000-\r\nif-range: {}\r\n", first.header("etag").unwrap());
    let second = get_with(&running.url, "/static/data.bin", &resume);
    assert_eq!(second.status, 206);
    assert!([first.body, second.body].concat() == bytes);
    write_again(&running);
    let changed = get_with(&running.url, "/static/data.bin", &resume);
    assert_eq!((changed.status, changed.text().as_str()), (200, "new"), "another file is sent whole");
}

fn write_again(running: &Running) {
    let path = running.folder.path().join("public/data.bin");
    fs::write(&path, "new").unwrap();
    settle(&path);
}

fn a_folder_that_is_not_there_stops_the_start() {
    let folder = site();
    fs::remove_dir_all(folder.path().join("dist")).unwrap();
    let output = seaworthy(folder.path(), &["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert!(!output.status.success());
    let text = error_text(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("SEA_RUN_EDGE") && text.contains("dist"), "{text}");
}

fn a_wrong_key_of_files_is_found() {
    let folder = site();
    let config = "[[route]]\nmatch = \"/*\"\nfiles = { rot = \"dist\", strip = \"assets\" }\n";
    fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let output = seaworthy(folder.path(), &["run", "--to", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(2));
    let text = error_text(&output);
    for expected in ["did you mean `root`", "SEA_CONFIG_EMPTY", "SEA_CONFIG_PATH"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
