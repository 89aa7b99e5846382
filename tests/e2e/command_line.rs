//! What a person sees who makes a mistake.

use std::fs;

use libtest_mimic::Trial;

use crate::{
    http::get,
    support::{BINARY, Running, error_text, seaworthy, test, text},
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("a_wrong_config_shows_every_place_and_starts_nothing", a_wrong_config),
        test("a_command_that_does_not_exist_is_explained", a_missing_command),
        test("a_command_that_never_listens_is_explained_with_its_output", a_silent_command),
        test("a_lost_port_is_noticed", a_lost_port),
        test("a_port_in_use_is_explained", a_port_in_use),
        test("no_app_is_explained", no_app),
        test("secrets_reach_the_app_and_nobody_else", secrets_reach_the_app),
        test("help_has_examples", help_has_examples),
    ]
}

fn a_wrong_config() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("seaworthy.toml"),
        "[app]\ncommand = \"x\"\n[edge]\nlisen = \"a\"\n[edge.timeouts]\nconnect = \"soon\"\n",
    )
    .unwrap();
    let output = seaworthy(folder.path(), &["run"]);
    let shown = error_text(&output);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    for part in [
        "unknown key `lisen`",
        "did you mean `listen`?",
        "seaworthy.toml:4:",
        "`soon` does not start with a number",
        "SEA_CONFIG_UNKNOWN_KEY",
        "──",
    ] {
        assert!(shown.contains(part), "{part} is missing in:\n{shown}");
    }
}

fn a_missing_command() {
    let folder = tempfile::tempdir().unwrap();
    let output = seaworthy(
        folder.path(),
        &["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--", "no-such-program-here"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(error_text(&output).contains("cannot start `no-such-program-here`"), "{}", error_text(&output));
}

fn a_silent_command() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo I want a database; exit 3";
    let output = seaworthy(
        folder.path(),
        &["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--", "sh", "-c", script],
    );
    let shown = error_text(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for part in ["it ended with exit status: 3", "| I want a database", "SEA_RUN_APP"] {
        assert!(shown.contains(part), "{part} is missing in:\n{shown}");
    }
    assert!(!shown.contains("'$PORT'"), "it ended by itself, which says nothing of its port:\n{shown}");
}

fn a_lost_port() {
    let folder = tempfile::tempdir().unwrap();
    let output = seaworthy(folder.path(), &["run", "--", "uvicorn", "app:app", "--port", ""]);
    assert!(error_text(&output).contains("your shell has replaced $PORT by nothing"), "{}", error_text(&output));
}

fn a_port_in_use() {
    let running = Running::start(&["--", BINARY, "demo-app", "--port", "$PORT"]);
    let folder = tempfile::tempdir().unwrap();
    let again =
        ["run", "--listen", &running.url, "--admin", "127.0.0.1:0", "--", BINARY, "demo-app", "--port", "$PORT"];
    let output = seaworthy(folder.path(), &again);
    assert!(error_text(&output).contains("is already in use"), "{}", error_text(&output));
    assert_eq!(get(&running.url, "/health").status, 200);
}

fn no_app() {
    let folder = tempfile::tempdir().unwrap();
    let output = seaworthy(folder.path(), &["run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(error_text(&output).contains("there is no app to run"));
}

fn secrets_reach_the_app() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "hunter2-of-the-file\n").unwrap();
    let config = format!(
        "[app]\ncommand = \"sh -c 'test \\\"$DB_KEY\\\" = hunter2-of-the-file && exec \\\"{BINARY}\\\" demo-app --port $PORT'\"\n\
         [app.env]\nDB_KEY = \"file:key\"\n"
    );
    fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let running = Running::start_in(folder, &[] as &[&str]);
    assert_eq!(get(&running.url, "/health").status, 200);
    let everything = format!("{}{}{:?}", running.stderr(), get(&running.admin, "/status").text(), running.access_log());
    assert!(!everything.contains("hunter2"), "{everything}");

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("seaworthy.toml"), "[app]\ncommand = \"x\"\n[app.env]\nK = \"env:SURELY_NOT_SET\"\n")
        .unwrap();
    let output = seaworthy(folder.path(), &["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert!(error_text(&output).contains("app.env.K: environment variable `SURELY_NOT_SET` is not set"));
}

fn help_has_examples() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "run",
        "check",
        "demo",
        "config",
        "config check",
        "config show",
        "config schema",
        "config explain",
        "completions",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let output = seaworthy(folder.path(), &words);
        assert!(output.status.success() && text(&output).contains("Examples:"), "{command}");
    }
    assert!(text(&seaworthy(folder.path(), &["--version"])).starts_with("seaworthy "));
}
