//! The prover on real targets: what it ticks must be there.

use std::{fs, path::Path, process::Command};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    http::get,
    support::{BINARY, Running, error_text, program, seaworthy, test, test_with, text},
};

const GIT: (&str, &str) = ("git", "the Debian package git");

const UVICORN: (&str, &str) = ("uvicorn", "the PyPI packages fastapi and uvicorn into target/test-python");

/// One line for each control that needs HTTPS, two instances, or files, and how it comes out around the app in
/// `fixtures/checked`.
const EDGE: [(&str, &str); 15] = [
    ("HTTPS only", "pass"),
    // Nobody but ourselves has signed it.
    ("TLS certificate valid", "fail"),
    ("Request timeout", "pass"),
    ("Request size limit", "pass"),
    ("Load balancing", "pass"),
    ("API error handler", "pass"),
    ("API returns correct status codes", "pass"),
    ("Multiple workers", "pass"),
    ("Graceful shutdown", "pass"),
    ("Crashed instances recover automatically", "pass"),
    ("Application starts without errors", "pass"),
    ("Validate environment variables at startup", "pass"),
    ("Separate environments dev staging production", "pass"),
    ("Static assets cached", "pass"),
    // The app itself lets everybody.
    ("CORS restricted to the production origins", "pass"),
];

const LIST: &str = "# Launch\n\n## Edge\n- [ ] **Security headers** on all responses\n- [x] Request IDs\n\n## Operations\n\
                    - [ ] Access logs\n- [ ] Graceful shutdown\n- [ ] Buy a cake\n- [ ] LICENSE file\n";

pub fn tests() -> Vec<Trial> {
    vec![
        test("match_prints_one_object_an_item", match_prints_one_object_an_item),
        test("a_bare_app_is_not_given_what_it_lacks", a_bare_app_is_not_given_what_it_lacks),
        test_with("behind_seaworthy_the_same_list_closes", &[GIT], behind_seaworthy_the_same_list_closes),
        test("a_rate_is_held_and_proven", a_rate_is_held_and_proven),
        test("an_address_where_nobody_is_proves_nothing", an_address_where_nobody_is_proves_nothing),
        test_with("a_secret_that_was_deleted_is_still_found", &[GIT], a_secret_that_was_deleted_is_still_found),
        test("a_wrapper_that_swallows_the_signal_proves_nothing", a_wrapper_that_swallows_the_signal),
        test_with("a_shallow_clone_proves_nothing_of_its_history", &[GIT], a_shallow_clone),
        test("an_app_that_is_down_is_not_judged", an_app_that_is_down),
        test("an_interrupted_check_leaves_no_process", an_interrupted_check),
        test("the_demo_proves_more_behind_than_bare", the_demo_proves_more_behind_than_bare),
        test_with("behind_https_every_control_of_the_edge_is_proven", &[UVICORN], behind_https),
    ]
}

fn match_prints_one_object_an_item() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list.md"), LIST).unwrap();
    let output = seaworthy(folder.path(), &["check", "--match", "--json", "list.md"]);
    let items: Vec<Value> = text(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items.len(), 6);
    let first = items[0].as_object().unwrap();
    let keys: Vec<&str> = first.keys().map(String::as_str).collect();
    assert_eq!(keys, ["file", "line", "text", "form", "ticked", "control", "also", "confidence"]);
    assert_eq!((items[1]["line"].as_u64(), items[1]["ticked"].as_bool()), (Some(5), Some(true)));
    assert_eq!(items[4]["control"], Value::Null);
    assert!(!folder.path().join(".seaworthy").exists(), "matching writes nothing");
}

/// Runs `check --json` and gives its object and exit status.
fn check(folder: &Path, arguments: &[&str]) -> (Value, i32) {
    let output = seaworthy(folder, &[&["check", "--json"], arguments].concat());
    let object = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error_text(&output)));
    (object, output.status.code().unwrap())
}

fn verdicts(report: &Value) -> Vec<&str> {
    report["items"].as_array().unwrap().iter().map(|item| item["verdict"].as_str().unwrap()).collect()
}

fn a_bare_app_is_not_given_what_it_lacks() {
    let running = Running::start(&["--", BINARY, "demo-app", "--port", "$PORT"]);
    let bare = get(&running.admin, "/status").json()["instances"][0]["address"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list.md"), LIST).unwrap();
    let start = format!("'{BINARY}' demo-app --port {{port}}");
    fs::write(folder.path().join("seaworthy.toml"), "[check]\nslow_path = \"/slow?seconds={seconds}\"\n").unwrap();
    let (report, status) = check(folder.path(), &["--url", &bare, "--start", &start, "list.md"]);
    assert_eq!(verdicts(&report), ["fail", "fail", "not-run", "fail", "not-run", "fail"], "{report:#}");
    assert_eq!(status, 1);
    assert_eq!(report["summary"]["fail"], 4);
    assert_eq!(report["target"]["url"], bare.as_str());
    for item in report["items"].as_array().unwrap() {
        assert!(!item["reason"].as_str().unwrap().is_empty());
        for control in item["controls"].as_array().unwrap() {
            assert!(control["planned"].is_u64() && control["executed"].is_u64() && control["observed"].is_string());
        }
    }
    let ticked = fs::read_to_string(folder.path().join(".seaworthy/reports/list.md")).unwrap();
    assert!(
        ticked.contains("- [ ] Request IDs <!-- seaworthy: fail"),
        "a claim that does not hold is unticked: {ticked}"
    );
}

fn behind_seaworthy_the_same_list_closes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list.md"), LIST.replace("- [ ] Buy a cake\n", "")).unwrap();
    fs::write(folder.path().join("LICENSE"), "MIT License\n\nPermission is hereby granted, free of charge, to any person\nTHE SOFTWARE IS PROVIDED \"AS IS\"\n").unwrap();
    let config = format!(
        "[app]\ncommand = \"'{BINARY}' demo-app --port $PORT\"\nhealth = \"/health\"\n[check]\nslow_path = \"/slow?seconds={{seconds}}\"\n"
    );
    fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let running = Running::start_in(folder, &[] as &[&str]);
    let folder = running.folder.path();
    let (report, status) = check(folder, &["--url", &running.url, "--admin", &running.admin, "list.md"]);
    assert_eq!(verdicts(&report), ["pass"; 5], "{report:#}");
    assert_eq!(status, 0);
    let evidence = fs::read_to_string(folder.join(".seaworthy/evidence.jsonl")).unwrap();
    let records: Vec<Value> = evidence.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 5);
    for record in &records {
        assert_eq!(record["experiment"]["right"], true, "{record:#}");
        assert_eq!(record["planned"], record["executed"]);
    }
    let ticked = fs::read_to_string(folder.join(".seaworthy/reports/list.md")).unwrap();
    assert_eq!(ticked.matches("- [x] ").count(), 5, "{ticked}");
}

fn a_rate_is_held_and_proven() {
    let tried = |protection: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("list.md"), "- [ ] Rate limiting\n").unwrap();
        let config = format!(
            "[app]\ncommand = \"'{BINARY}' demo-app --port $PORT\"\nhealth = \"/health\"\n[protection]\n{protection}\n"
        );
        fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
        let running = Running::start_in(folder, &[] as &[&str]);
        check(running.folder.path(), &["--url", &running.url, "--admin", &running.admin, "list.md"])
    };
    let (report, status) = tried("rate = \"60/min\"");
    assert_eq!((verdicts(&report)[0], status), ("pass", 0), "{report:#}");
    let reason = report["items"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("with Retry-After 1 s; 4 forged headers buy nothing; after 1 s one passes"), "{reason}");
    assert_eq!(verdicts(&tried("").0), ["fail"], "without it nobody is refused");
}

fn an_address_where_nobody_is_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list.md"), "- [ ] Security headers\n- [ ] Request IDs\n").unwrap();
    let (report, status) = check(folder.path(), &["--url", "http://127.0.0.1:9", "list.md"]);
    assert_eq!(verdicts(&report), ["inconclusive", "inconclusive"]);
    assert_eq!(status, 3, "nothing ran");
    let output = seaworthy(folder.path(), &["check", "--url", "ftp://x", "list.md"]);
    assert_eq!(output.status.code(), Some(3));
    let output = seaworthy(folder.path(), &["check", "no-such-list.md"]);
    assert!(output.status.code() == Some(3) && error_text(&output).contains("SEA_CHECK_FILE"));
}

fn a_secret_that_was_deleted_is_still_found() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@localhost"]).args(arguments).current_dir(folder.path());
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    };
    let key = format!("{}{}", "ghp_", "16C7e42F292c6912E7710c838347Ae178B4a");
    fs::write(folder.path().join("deploy.sh"), format!("TOKEN={key}\n")).unwrap();
    fs::write(folder.path().join("list.md"), "- [ ] No hardcoded secrets in code\n").unwrap();
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    fs::write(folder.path().join("deploy.sh"), "TOKEN=$1\n").unwrap();
    git(&["commit", "-q", "-am", "two"]);
    let (report, status) = check(folder.path(), &["list.md"]);
    assert_eq!((verdicts(&report)[0], status), ("fail", 1), "{report:#}");
    let shown = report.to_string() + &fs::read_to_string(folder.path().join(".seaworthy/evidence.jsonl")).unwrap();
    assert!(shown.contains("in deploy.sh:1 (history") && !shown.contains(&key), "{shown}");
}

fn the_demo_proves_more_behind_than_bare() {
    let folder = tempfile::tempdir().unwrap();
    let output = seaworthy(folder.path(), &["demo", "--once", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", error_text(&output));
    let shown = text(&output);
    assert_eq!(shown.lines().count(), 1);
    let result: Value = serde_json::from_str(&shown).unwrap();
    let count = |side: &str, verdict: &str| result[side]["summary"][verdict].as_u64().unwrap();
    assert_eq!(count("bare", "pass"), 0, "the bare app has none of it: {result:#}");
    // Twelve on a quiet machine; beside other tests a drill may find too much noise to tell.
    assert!(count("behind", "pass") >= 10, "{result:#}");
    assert!(count("behind", "fail") >= 3, "what only the app can change still fails: {result:#}");
    assert_eq!(count("behind", "error") + count("bare", "error"), 0);
}

fn a_wrapper_that_swallows_the_signal() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("list.md"),
        "- [ ] Graceful shutdown\n- [ ] Crashed instances recover automatically\n",
    )
    .unwrap();
    fs::write(folder.path().join("seaworthy.toml"), "[check]\nslow_path = \"/slow?seconds={seconds}\"\n").unwrap();
    let start = format!("sh -c '\"{BINARY}\" demo-app --port {{port}}; true'");
    let (report, _) = check(folder.path(), &["--url", "http://127.0.0.1:9", "--start", &start, "list.md"]);
    assert_eq!(verdicts(&report), ["fail", "fail"], "{report:#}");
    assert!(report["items"][0]["reason"].as_str().unwrap().contains("the signal stopped at a wrapper"), "{report:#}");
}

fn a_shallow_clone() {
    let folder = tempfile::tempdir().unwrap();
    let git = |folder: &Path, arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@localhost"]).args(arguments).current_dir(folder);
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    };
    let origin = folder.path().join("origin");
    fs::create_dir(&origin).unwrap();
    fs::write(origin.join(".env"), "KEY=1\n").unwrap();
    git(&origin, &["init", "-q"]);
    git(&origin, &["add", "."]);
    git(&origin, &["commit", "-q", "-m", "with .env"]);
    fs::remove_file(origin.join(".env")).unwrap();
    fs::write(origin.join(".gitignore"), ".env\n").unwrap();
    git(&origin, &["add", "-A"]);
    git(&origin, &["commit", "-q", "-m", "without"]);
    let url = format!("file://{}", origin.display());
    git(folder.path(), &["clone", "-q", "--depth", "1", &url, "clone"]);
    fs::write(folder.path().join("list.md"), "- [ ] .gitignore .env\n- [ ] No hardcoded secrets in code\n").unwrap();
    let (report, _) = check(folder.path(), &["--repo", "clone", "list.md"]);
    assert_eq!(verdicts(&report), ["inconclusive", "inconclusive"], "{report:#}");
    let (report, _) = check(folder.path(), &["--repo", "origin", "list.md"]);
    assert_eq!(verdicts(&report), ["fail", "pass"], "{report:#}");
}

fn an_app_that_is_down() {
    let running = Running::start(&["--", BINARY, "demo-app", "--port", "$PORT"]);
    let status = get(&running.admin, "/status").json();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(status["instances"][0]["pid"].as_i64().unwrap()).unwrap());
    // Stopped, not killed: it would be started again.
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list.md"), "- [ ] Security headers\n- [ ] Prometheus metrics\n").unwrap();
    let (report, _) = check(folder.path(), &["--url", &running.url, "--admin", &running.admin, "list.md"]);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert_eq!(verdicts(&report), ["inconclusive", "inconclusive"], "{report:#}");
}

fn an_interrupted_check() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list.md"), "- [ ] Graceful shutdown\n").unwrap();
    fs::write(folder.path().join("seaworthy.toml"), "[check]\nslow_path = \"/slow?seconds={seconds}\"\n").unwrap();
    // The mark tells this copy from every other process of the machine.
    let mark = folder.path().display().to_string();
    let start = format!("sh -c 'exec \"{BINARY}\" demo-app --port $1' {mark} {{port}}");
    let mut command = Command::new(BINARY);
    command.args(["check", "--url", "http://127.0.0.1:9", "--start", &start, "list.md"]).current_dir(folder.path());
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let copies = || {
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
        let child_of = |stat: &String| {
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok()) == Some(pid.as_raw())
        };
        processes.filter(child_of).filter_map(|stat| stat.split(' ').next()?.parse::<i32>().ok()).collect::<Vec<_>>()
    };
    crate::support::until("a copy runs", std::time::Duration::from_secs(10), || !copies().is_empty());
    std::thread::sleep(std::time::Duration::from_millis(500));
    let started = copies();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    for copy in started {
        assert!(!Path::new(&format!("/proc/{copy}")).exists(), "process {copy} is left");
    }
}

fn behind_https() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/checked");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let read = |name: &str| fs::read_to_string(fixture.join(name)).unwrap();
    write("app.py", &read("app.py"));
    write("seaworthy.toml", &read("seaworthy.toml").replace("\"uvicorn ", &format!("\"{} ", program("uvicorn"))));
    write("seaworthy.production.toml", "[observability]\nlevel = \"warn\"\n");
    fs::create_dir(folder.path().join("static")).unwrap();
    write("static/site-3f2a9c1b.css", "p{margin:0}");
    write("list.md", &EDGE.map(|(line, _)| format!("- [ ] {line}\n")).concat());
    let running = Running::start_in(folder, &[] as &[&str]);
    let folder = running.folder.path();
    // Only the admin API is named: it tells the address, which is HTTPS under a name that is served.
    let wanted = EDGE.map(|(_, verdict)| verdict);
    let mut seen = check(folder, &["--admin", &running.admin, "list.md"]);
    if verdicts(&seen.0) != wanted {
        // Some of these measure seconds, and other tests run beside this one: one more look, and no third.
        seen = check(folder, &["--admin", &running.admin, "list.md"]);
    }
    let (report, status) = seen;
    assert_eq!(verdicts(&report), wanted, "{report:#}");
    assert_eq!(status, 1);
    let https = get(&running.admin, "/status").json()["https"].as_str().unwrap().to_owned();
    let port = https.rsplit(':').next().unwrap();
    assert_eq!(report["target"]["url"], format!("https://localhost:{port}"));
    let reason = |line: usize| report["items"][line]["reason"].as_str().unwrap();
    assert!(reason(0).starts_with("http://localhost:") && reason(0).contains(" redirected; "), "{}", reason(0));
    assert!(reason(1).contains("signed by itself"), "{}", reason(1));
    assert!(reason(4).contains("app-1 ") && reason(4).contains("app-2 "), "{}", reason(4));
    assert!(reason(7).contains("2 processes take requests"), "{}", reason(7));
}
