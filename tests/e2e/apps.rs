//! Apps that nobody here wrote.

use std::{fs, path::Path, time::Duration};

use libtest_mimic::Trial;

use crate::{
    http::{get, get_with, post},
    support::{Running, program, test_with, until, was_killed},
};

const GUNICORN: (&str, &str) =
    ("gunicorn", "the PyPI packages gunicorn and httpbin into target/test-python (see .ci/run)");
const DATASETTE: (&str, &str) = ("datasette", "the PyPI package datasette into target/test-python (see .ci/run)");
const SQLITE: (&str, &str) = ("python3", "the Debian package python3");

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("httpbin_under_gunicorn", &[GUNICORN], httpbin_under_gunicorn),
        test_with("httpbin_over_a_unix_socket", &[GUNICORN], httpbin_over_a_unix_socket),
        test_with("datasette", &[DATASETTE, SQLITE], datasette),
    ]
}

fn httpbin_under_gunicorn() {
    let gunicorn = program("gunicorn");
    let command =
        ["--health", "/status/200", "--", &gunicorn, "--bind", "127.0.0.1:$PORT", "--threads", "4", "httpbin:app"];
    let mut running = Running::start(&command);
    let url = running.url.clone();

    let seen = get_with(
        &url,
        "/headers?show_env=1",
        "x-forwarded-for: 6.6.6.6\r\nx-mark: kept\r\nconnection: x-hop\r\nx-hop: 1\r\n",
    )
    .json();
    let seen = &seen["headers"];
    assert_eq!(seen["X-Mark"], "kept");
    assert_eq!(seen["X-Forwarded-For"], "127.0.0.1", "a client cannot choose its address");
    assert_eq!(seen["X-Forwarded-Host"], url.as_str());
    assert_eq!(seen["Host"], url.as_str());
    assert!(seen.get("X-Hop").is_none(), "what Connection names must not pass");
    assert_eq!(seen["X-Request-Id"].as_str().unwrap().len(), 32);

    for status in [200, 204, 301, 404, 418] {
        assert_eq!(get(&url, &format!("/status/{status}")).status, status);
    }
    assert_eq!(get(&url, "/bytes/100000?seed=1").body.len(), 100_000);
    assert_eq!(get(&url, "/stream-bytes/50000?seed=1&chunk_size=777").body.len(), 50_000);
    let body: Vec<u8> = (0..200_000_u32).map(|number| b'a' + (number % 26) as u8).collect();
    assert_eq!(post(&url, "/post", &body).json()["data"].as_str().unwrap().as_bytes(), body);

    // httpbin's own error page is HTML; ours names the request.
    let error = get_with(&url, "/status/500", "x-request-id: my-id\r\n");
    assert_eq!(error.header("content-type"), Some("application/problem+json"));
    assert_eq!(error.json()["request_id"], "my-id");
    assert_eq!(error.json()["code"], "SEA_EDGE_APP_ERROR");

    running.terminate();
    let status = running.ended(Duration::from_secs(15));
    assert!(status.success() && !was_killed(status), "{status}: {}", running.stderr());
    let log = running.access_log();
    assert!(log.iter().any(|line| line["request_id"] == "my-id" && line["status"] == 500), "{log:?}");
    assert!(log.iter().all(|line| line["kind"] == "access" && line["duration_ms"].is_number()));
}

fn httpbin_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let mut app = std::process::Command::new(program("gunicorn"));
    app.args(["--bind", &format!("unix:{}", socket.display()), "httpbin:app"]).stderr(std::process::Stdio::null());
    let mut app = app.spawn().unwrap();
    let running = Running::start(&["--to", &format!("unix:{}", socket.display()), "--health", "/status/200"]);
    assert_eq!(get(&running.url, "/get?a=1").json()["args"]["a"], "1");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(app.id() as i32), nix::sys::signal::Signal::SIGTERM).unwrap();
    app.wait().unwrap();
    until("the admin side says that the app is gone", Duration::from_secs(10), || {
        get(&running.admin, "/readyz").status == 503
    });
    assert_eq!(get(&running.url, "/get").json()["code"], "SEA_EDGE_UPSTREAM_UNREACHABLE");
}

fn datasette() {
    let folder = tempfile::tempdir().unwrap();
    make_database(&folder.path().join("ships.db"));
    fs::write(
        folder.path().join("seaworthy.toml"),
        format!(
            "[app]\ncommand = \"{} serve ships.db --host 127.0.0.1 --port $PORT\"\nhealth = \"/-/versions.json\"\n",
            program("datasette")
        ),
    )
    .unwrap();
    let running = Running::start_in(folder, &[] as &[&str]);
    let rows = get(&running.url, "/ships/ship.json?_shape=array").json();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    let page = get_with(&running.url, "/ships/ship", "accept: text/html\r\n");
    assert!(page.status == 200 && page.text().contains("Cutty Sark"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(get(&running.admin, "/readyz").status, 200);
    let metrics = get(&running.admin, "/metrics").text();
    assert!(
        metrics.contains("seaworthy_http_requests_total{route=\"*\",method=\"GET\",status=\"200\"} 2"),
        "{metrics}"
    );
}

fn make_database(path: &Path) {
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('create table ship (name text)'); \
                  c.executemany('insert into ship values (?)', [('Vasa',), ('Cutty Sark',), ('Gorch Fock',)]); c.commit()";
    let made = std::process::Command::new(program("python3")).args(["-c", script]).arg(path).status().unwrap();
    assert!(made.success());
}
