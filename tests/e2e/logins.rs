//! Guessing at passwords, through the real binary, with and without a real Redis.

use std::{net::IpAddr, time::Duration};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    http::{Answer, get, send_from},
    rates::{REDIS, Redis, free_port, metric},
    support::{Running, error_text, program, seaworthy, test_with, until},
};

const PYTHON: (&str, &str) = ("python3", "the Debian package python3");
const NO_FLAGS: &[&str] = &[];

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("guessing_at_an_account_is_stopped_and_its_owner_gets_in", &[PYTHON], guessing),
        test_with("no_spelling_of_an_account_and_no_form_is_a_way_round", &[PYTHON], spellings),
        test_with("the_prover_sees_what_limits_there_are", &[PYTHON], proven),
        test_with("guesses_are_counted_by_all_nodes_and_without_their_redis", &[PYTHON, REDIS], shared),
    ]
}

/// The busy app behind this config.
pub fn busy(config: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/apps/busy/app.py");
    let app = format!("[app]\ncommand = \"'{}' '{app}' $PORT\"\nhealth = \"/health\"\n", program("python3"));
    std::fs::write(folder.path().join("seaworthy.toml"), app + config).unwrap();
    Running::start_in(folder, NO_FLAGS)
}

fn sign_in(node: &Running, from: u8, body: &str) -> Answer {
    let from = IpAddr::from([127, 0, 1, from]);
    let request =
        format!("POST /login HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    send_from(from, &node.url, request.as_bytes()).unwrap()
}

fn try_password(node: &Running, from: u8, account: &str, password: &str) -> Answer {
    sign_in(node, from, &format!("{{\"email\":\"{account}\",\"password\":\"{password}\"}}"))
}

fn guessing() {
    let node = busy("[[route]]\nmatch = \"POST /login\"\nlogin = { failures = 3, address = \"12/h\" }\n");
    let seen = || serde_json::from_str::<serde_json::Value>(&get(&node.url, "/seen").text()).unwrap();
    for from in 1..=4 {
        assert_eq!(try_password(&node, from, "Ann@example.com ", "hunter2-wrong").status, 401);
    }
    let body = "{\"email\":\"Ann@example.com \",\"password\":\"hunter2-wrong\"}";
    assert_eq!(seen()["last"], body, "the app gets the very bytes");
    // Whoever asks, in whatever spelling or format, and also with the right password.
    let refused = try_password(&node, 9, "ann@EXAMPLE.com", "right");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("SEA_PROTECTION_LOGIN_PAUSED")));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(sign_in(&node, 9, "email=ann%40example.com&password=right").status, 429);
    assert_eq!(sign_in(&node, 9, "{\"email\":\"x\",\"email\":\"ann@example.com\",\"password\":\"right\"}").status, 429);
    assert_eq!(seen()["logins"], 4, "the app has seen none of these");
    // A name that nobody has is treated just the same.
    assert_eq!(try_password(&node, 10, "bob@example.com", "wrong").status, 401, "another account");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(try_password(&node, 11, "ann@example.com", "right").status, 200, "the owner, after the pause");
    for from in 1..=4 {
        assert_eq!(try_password(&node, from, "ann@example.com", "wrong").status, 401, "from the beginning");
    }
    assert_eq!(try_password(&node, 12, "ann@example.com", "right").status, 429);
    assert_eq!(try_password(&node, 11, "ann@example.com", "right").status, 200, "from where she got in before");
    // One address that tries one account after the other.
    let statuses: Vec<u16> =
        (0..15).map(|number| try_password(&node, 77, &format!("user-{number}"), "wrong").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 12, "{statuses:?}");
    assert_eq!(statuses[14], 429);
    let large = format!("{{\"pad\":\"{}\",\"email\":\"ann@example.com\"}}", "x".repeat(70_000));
    assert_eq!(sign_in(&node, 30, &large).status, 413, "padding hides no name");
    // The log is written in batches.
    until("both events are in the log", Duration::from_secs(10), || {
        let log = node.stderr();
        log.contains("login_account_paused") && log.contains("login_address_limited")
    });
    let log = node.stderr();
    assert!(!log.contains("hunter2") && !log.to_lowercase().contains("ann@example"), "{log}");
    assert!(metric(&node, "seaworthy_login_failures_total").unwrap() >= 20.0);
}

fn spellings() {
    let node = busy("[[route]]\nmatch = \"POST /login\"\nlogin = { failures = 3, pause = \"60s\" }\n");
    let ask = |from: u8, head: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "POST /login HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{head}content-length: {length}\r\n\r\n{body}"
        );
        send_from(IpAddr::from([127, 0, 2, from]), &node.url, request.as_bytes()).unwrap().status
    };
    let parts = "content-type: multipart/form-data; boundary=b\r\n";
    let part =
        |name: &str, value: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let in_parts = format!("{}{}--b--\r\n", part("email", "Ann"), part("password", "wrong"));
    // Four tries at one account, from four addresses and in four forms.
    assert_eq!(ask(1, "", "email=%EF%BD%81nn+&password=wrong"), 401);
    assert_eq!(ask(2, "", "{\"email\":\"a\u{200b}nn\",\"password\":\"wrong\"}"), 401);
    assert_eq!(ask(3, parts, &in_parts), 401);
    assert_eq!(ask(4, "", "password=wrong;email=ann"), 401);
    for (number, (head, body)) in [
        ("", "email=ann&password=right"),
        ("", "email=decoy&email=\u{ff21}nn&password=right"),
        ("", "{\"email\":\"x\",\"email\":\"ANN\",\"password\":\"right\"}"),
        (parts, in_parts.as_str()),
        ("authorization: Basic YW5uOnJpZ2h0\r\n", ""),
        ("", "{\"email\":\"ann\", and no more of it is JSON"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(ask(10 + number as u8, head, body), 429, "{head}{body}");
    }
    assert_eq!(ask(20, "", "email=bob&password=right"), 200);
    // What cannot be read counts for its client alone, and the log says so.
    for _ in 0..4 {
        assert_eq!(ask(30, "content-encoding: gzip\r\n", "email"), 401);
    }
    assert_eq!(ask(30, "content-encoding: gzip\r\n", "email"), 429);
    assert_eq!(ask(31, "content-encoding: gzip\r\n", "email"), 401);
    until("the log says why", Duration::from_secs(10), || node.stderr().contains("(unreadable)"));
}

fn shared() {
    let mut redis = Some(Redis::start(free_port()));
    let config = format!(
        "[store]\nredis = \"redis://127.0.0.1:{}\"\npatience = \"500ms\"\n[[route]]\nmatch = \"POST /login\"\n\
         login = {{ failures = 3, pause = \"30s\" }}\n",
        redis.as_ref().unwrap().port
    );
    let (one, other) = (busy(&config), busy(&config));
    until("both nodes count in it", Duration::from_secs(20), || {
        [&one, &other].iter().all(|node| metric(node, "seaworthy_store_up") == Some(1.0))
    });
    for (number, node) in [&one, &other, &one, &other].into_iter().enumerate() {
        assert_eq!(try_password(node, number as u8, "ann", "wrong").status, 401);
    }
    for node in [&one, &other] {
        assert_eq!(try_password(node, 9, "ann", "right").status, 429);
    }
    // Without it each node goes on from what it has heard.
    drop(redis.take());
    until("its loss is seen", Duration::from_secs(20), || {
        [&one, &other].iter().all(|node| metric(node, "seaworthy_store_up") == Some(0.0))
    });
    for node in [&one, &other] {
        assert_eq!(try_password(node, 10, "ann", "right").status, 429);
        let statuses: Vec<u16> = (20..26).map(|from| try_password(node, from, "bob", "wrong").status).collect();
        assert_eq!(statuses, [401, 401, 401, 401, 429, 429]);
    }
}

fn proven() {
    let tried = |config: &str| {
        let node = busy(config);
        let list = "- [ ] Rate limiting\n- [ ] Rate limit headers\n- [ ] Brute force on login is stopped\n- [ ] Rate limiting per user, not per IP\n";
        std::fs::write(node.folder.path().join("list.md"), list).unwrap();
        let output = seaworthy(
            node.folder.path(),
            &["check", "--json", "--url", node.url.as_str(), "--admin", node.admin.as_str(), "list.md"],
        );
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error_text(&output)));
        let items = report["items"].as_array().unwrap().clone();
        items.iter().map(|item| format!("{} {}", item["verdict"].as_str().unwrap(), item["reason"])).collect::<Vec<_>>()
    };
    let login = "[check.login]\npath = \"/login\"\n";
    let bare = tried(login);
    assert!(bare[..3].iter().all(|item| item.starts_with("fail ")), "{bare:#?}");
    // The admin API tells of the route.
    let held = tried("[protection]\nrate = \"60/min\"\n[[route]]\nmatch = \"POST /login\"\nlogin = {}\n");
    assert!(held[..3].iter().all(|item| item.starts_with("pass ")), "{held:#?}");
    assert!(held[3].starts_with("not-run ") && held[3].contains("tokens"), "{held:#?}");
}
