//! Evidence: kept, carried over, reopened, vouched for, and never changed unseen.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    proxy::serve,
    support::{BINARY, error_text, seaworthy, test, test_with, text},
};

const GIT: (&str, &str) = ("git", "the Debian package git");

const LIST: &str = "- [ ] LICENSE file\n- [ ] Security audit completed by a third party\n";

const LICENCE: &str = "MIT License\n\nCopyright (c) 2026 Ann\n\nPermission is hereby granted, free of charge, to any person \
                       obtaining a copy of this software and associated documentation files (the \"Software\"), to deal in \
                       the Software without restriction\n\nTHE SOFTWARE IS PROVIDED \"AS IS\"\n";

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("prover_two_people_can_vouch_and_one_cannot", &[GIT], two_people_can_vouch),
        test_with("prover_an_altered_ledger_is_found_and_counts_for_nothing", &[GIT], an_altered_ledger),
        test_with("prover_what_is_seen_now_comes_before_what_was", &[GIT], evidence_of_another_release),
        test_with("prover_a_watch_reopens_boxes_by_itself", &[GIT], a_watch_reopens_boxes),
        test_with("prover_a_fix_is_a_diff_that_applies", &[GIT], a_fix_is_a_diff),
        test("prover_every_control_is_listed_with_its_state", every_control_is_listed),
        test("prover_a_hundred_checks_at_once_keep_one_chain", a_hundred_checks_at_once),
    ]
}

/// A repository with a licence and a list.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("LICENSE"), LICENCE).unwrap();
    fs::write(folder.path().join("list.md"), LIST).unwrap();
    git(folder.path(), &["init", "-q"]);
    commit(folder.path());
    folder
}

fn commit(folder: &Path) {
    git(folder, &["add", "LICENSE", "list.md"]);
    git(folder, &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]);
}

fn git(folder: &Path, arguments: &[&str]) {
    assert!(Command::new("git").arg("-C").arg(folder).args(arguments).status().unwrap().success());
}

fn verdicts(folder: &Path, more: &[&str]) -> Vec<String> {
    let output = seaworthy(folder, &[&["check", "--json", "list.md"], more].concat());
    let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error_text(&output)));
    object["items"].as_array().unwrap().iter().map(|item| item["verdict"].as_str().unwrap().to_owned()).collect()
}

fn ticked(folder: &Path) -> String {
    fs::read_to_string(folder.join(".seaworthy/reports/list.md")).unwrap()
}

fn two_people_can_vouch() {
    let folder = repository();
    let folder = folder.path();
    let attest = |arguments: &[&str]| {
        let output = seaworthy(folder, &[&["attest", "process.security-audit"], arguments].concat());
        (output.status.code().unwrap(), text(&output) + &error_text(&output))
    };
    let listed = seaworthy(folder, &["attest", "--list"]);
    assert!(listed.status.success() && !folder.join(".seaworthy").exists(), "looking leaves no trace");
    assert_eq!(verdicts(folder, &[]), ["pass", "not-run"]);
    assert_eq!(attest(&["--by", "Ann", "--because", "audit 17"]).0, 0);
    assert_eq!(verdicts(folder, &[]), ["pass", "not-run"], "one person is not enough");
    let (status, said) = attest(&["--approve", "--by", "ANN"]);
    assert!(status == 1 && said.contains("SEA_ATTEST_REFUSED"), "{said}");
    assert_eq!(attest(&["--approve", "--by", "Ben"]).0, 0);
    assert_eq!(verdicts(folder, &[]), ["pass", "attested"]);
    assert!(ticked(folder).contains("- [x] Security audit"));
    assert_eq!(attest(&["--withdraw", "--by", "Ben", "--because", "it was another system"]).0, 0);
    assert_eq!(verdicts(folder, &[]), ["pass", "not-run"]);
    let (status, said) = attest(&["--by", "Ann", "--because", "x", "--until", "2020-01-01"]);
    assert!(status == 1 && said.contains("has passed"), "{said}");
    let output = seaworthy(folder, &["attest", "process.security-audits", "--by", "Ann", "--because", "x"]);
    assert!(error_text(&output).contains("did you mean `process.security-audit`"), "{}", error_text(&output));
    // Both at once, for those who sit together.
    fs::write(folder.join("seaworthy.staging.toml"), "").unwrap();
    let for_staging = ["--by", "Ann", "--because", "audit 18", "--approver", "Ben", "--profile", "staging"];
    assert_eq!(attest(&for_staging).0, 0);
    assert_eq!(verdicts(folder, &["--profile", "staging"]), ["pass", "attested"]);
    assert_eq!(verdicts(folder, &[]), ["pass", "not-run"], "said of staging alone");
    assert_eq!(attest(&["--by", "Ann", "--because", "audit 18", "--approver", "Ben"]).0, 0);
    assert_eq!(verdicts(folder, &[]), ["pass", "attested"]);
    assert_eq!(seaworthy(folder, &["evidence", "verify"]).status.code(), Some(0));
}

fn an_altered_ledger() {
    let folder = repository();
    let folder = folder.path();
    seaworthy(
        folder,
        &["attest", "process.security-audit", "--by", "Ann", "--because", "audit 17", "--approver", "Ben"],
    );
    assert_eq!(verdicts(folder, &[]), ["pass", "attested"]);
    let path = folder.join(".seaworthy/evidence.jsonl");
    let original = fs::read_to_string(&path).unwrap();
    fs::write(&path, original.replacen("audit 17", "audit 18", 1)).unwrap();
    let verify = || {
        let output = seaworthy(folder, &["evidence", "verify", "--json"]);
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), object["problems"].as_array().unwrap().len())
    };
    assert_eq!(verify().0, 1);
    let output = seaworthy(folder, &["check", "--json", "list.md"]);
    assert!(error_text(&output).contains("SEA_EVIDENCE_ALTERED"));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["items"][1]["verdict"], "not-run", "an altered word does not count");
    // One that was cut short, and one whose lines changed places.
    let lines: Vec<&str> = original.lines().collect();
    fs::write(&path, format!("{}\n", lines[..2].join("\n"))).unwrap();
    assert!(verify().1 > 0);
    fs::write(&path, format!("{}\n{}\n{}\n", lines[1], lines[0], lines[2..].join("\n"))).unwrap();
    assert!(verify().1 > 0);
    assert!(!text(&seaworthy(folder, &["evidence", "show"])).contains("PRIVATE"));
}

fn evidence_of_another_release() {
    let folder = repository();
    let folder = folder.path();
    assert_eq!(verdicts(folder, &[]), ["pass", "not-run"]);
    // The licence cannot be read from a place that is no repository, so what was seen before would have to stand.
    let attested = |until: &str| {
        seaworthy(
            folder,
            &["attest", "process.security-audit", "--by", "A", "--because", "b", "--approver", "C", "--until", until],
        )
    };
    attested(&today());
    assert_eq!(verdicts(folder, &[]), ["pass", "attested"], "its last day is a day");
    let text = fs::read_to_string(folder.join("LICENSE")).unwrap();
    fs::remove_file(folder.join("LICENSE")).unwrap();
    assert_eq!(verdicts(folder, &[]), ["fail", "attested"], "what is seen now comes first");
    assert!(ticked(folder).contains("- [ ] LICENSE"));
    fs::write(folder.join("LICENSE"), text).unwrap();
    assert_eq!(verdicts(folder, &[]), ["pass", "attested"]);
}

/// Today, by the clock of this machine (UTC).
fn today() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn a_watch_reopens_boxes() {
    let folder = repository();
    let folder = folder.path();
    let mut watching = Command::new(BINARY)
        .args(["check", "--watch", "list.md"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            thread::sleep(Duration::from_millis(50));
        }
    };
    let list = || fs::read_to_string(folder.join(".seaworthy/reports/list.md")).unwrap_or_default();
    until("the box is ticked", &|| list().contains("- [x] LICENSE"));
    // A moment later, so that the file's time is another one.
    thread::sleep(Duration::from_millis(300));
    fs::remove_file(folder.join("LICENSE")).unwrap();
    git(folder, &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "gone"]);
    until("the box is open again", &|| list().contains("- [ ] LICENSE"));
    fs::write(folder.join("LICENSE"), LICENCE).unwrap();
    commit(folder);
    until("the box is ticked again", &|| list().contains("- [x] LICENSE"));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(watching.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(143));
}

fn a_fix_is_a_diff() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let before =
        "# our own words\n[app]\nto = \"http://127.0.0.1:9\"\n\n[protection.headers]\nenabled = false # for now\n";
    fs::write(folder.join("seaworthy.toml"), before).unwrap();
    fs::write(folder.join("list.md"), "- [ ] Security headers\n").unwrap();
    let server = serve(|mut stream| {
        use std::io::{Read, Write};
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi",
        );
    });
    let url = format!("http://{server}");
    let output = seaworthy(folder, &["check", "--fix", "--url", &url, "list.md"]);
    assert!(text(&output).contains("+enabled = true"), "{}{}", text(&output), error_text(&output));
    assert_eq!(fs::read_to_string(folder.join("seaworthy.toml")).unwrap(), before, "only shown");
    let output = seaworthy(folder, &["check", "--json", "--url", &url, "list.md"]);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let advice = object["items"][0]["controls"][0]["advice"].as_str().unwrap();
    assert!(advice.contains("protection.headers.enabled = true (--fix writes it)"), "{advice}");
    let diff = fs::read_to_string(folder.join(".seaworthy/reports/fix.diff")).unwrap();
    assert!(diff.starts_with("--- a/seaworthy.toml\n+++ b/seaworthy.toml\n@@"), "{diff}");
    git(folder, &["apply", ".seaworthy/reports/fix.diff"]);
    let applied = fs::read_to_string(folder.join("seaworthy.toml")).unwrap();
    assert!(applied.starts_with("# our own words\n[app]") && applied.contains("enabled = true"), "{applied}");
}

fn every_control_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let output = seaworthy(folder.path(), &["check", "--controls", "--json"]);
    let controls: Vec<Value> = text(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(controls.len(), 218);
    for control in &controls {
        match control["state"].as_str().unwrap() {
            "probe" => assert!(control["probe"]["kind"].is_string(), "{control}"),
            "person" | "not-run" => assert!(control["why"].as_str().unwrap().len() > 20, "{control}"),
            other => panic!("{other}"),
        }
    }
    assert!(text(&seaworthy(folder.path(), &["check", "--controls"])).contains("218 controls:"));
}

fn a_hundred_checks_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("list.md"), "- [ ] Security headers\n- [ ] LICENSE file\n").unwrap();
    // The first makes the key, and the others begin while it does.
    let start = || {
        Command::new(BINARY)
            .args(["check", "--json", "list.md"])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    for _ in 0..10 {
        let mut running: Vec<_> = (0..10).map(|_| start()).collect();
        running.iter_mut().for_each(|one| assert!(one.wait().unwrap().code().is_some_and(|code| code != 101)));
    }
    let output = seaworthy(folder, &["evidence", "verify", "--json"]);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error_text(&output)));
    assert_eq!((object["ok"].as_bool(), object["records"].as_u64()), (Some(true), Some(200)), "{object}");
}
