//! The config from the command line: profiles, what counts, what is wrong, and secrets that nobody sees.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http::get,
    support::{BINARY, Running, error_text, seaworthy, test, test_with, text},
};

const BASH: (&str, &str) = ("bash", "the Debian package bash");

pub fn tests() -> Vec<Trial> {
    vec![
        test("config_a_profile_is_laid_over_the_file", a_profile_is_laid_over),
        test("config_run_takes_the_profile_and_refuses_an_insecure_one", run_takes_the_profile),
        test("config_a_profile_without_a_file_is_explained", a_profile_without_a_file),
        test("config_check_finds_every_problem_in_both_files", check_finds_every_problem),
        test("config_check_says_what_it_read", check_says_what_it_read),
        test("config_secrets_are_shown_nowhere", secrets_are_shown_nowhere),
        test("config_show_can_be_read_again", show_can_be_read_again),
        test("config_schema_describes_the_file", schema_describes_the_file),
        test("config_explain_tells_everything_about_a_key", explain_tells_everything),
        test_with("config_completions_are_taken_by_bash", &[BASH], completions_are_taken_by_bash),
    ]
}

const BASE: &str = "[app]\ncommand = \"x\"\n[edge]\nlisten = \"127.0.0.1:1\"\nworkers = 1\n\n[[route]]\nmatch = \"/a\"\n\
                    first_byte = \"1s\"\nbody_limit = \"1KB\"\n";
const PRODUCTION: &str =
    "[edge]\nworkers = 2\n[[route]]\nmatch = \"/b\"\n[[route]]\nmatch = \"/a\"\nbody_limit = \"2KB\"\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// With these variables and none of ours from outside.
fn with_variables(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env_remove("SEAWORTHY_PROFILE");
    command.envs(variables.iter().copied()).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&text(output)).unwrap_or_else(|_| panic!("no JSON: {}{}", text(output), error_text(output)))
}

/// `value` and where it came from, of one key of `config show --json`.
fn shown(answer: &Value, key: &str) -> (Value, String) {
    let found = answer["values"].as_array().unwrap().iter().find(|value| value["key"] == key);
    let found = found.unwrap_or_else(|| panic!("{key} is missing in {answer}"));
    let place = match found["source"].as_str().unwrap() {
        "file" => format!("{}:{}", found["file"].as_str().unwrap(), found["line"]),
        "variable" => found["variable"].as_str().unwrap().to_owned(),
        other => other.to_owned(),
    };
    (found["value"].clone(), place)
}

fn a_profile_is_laid_over() {
    let folder = folder(&[("seaworthy.toml", BASE), ("seaworthy.production.toml", PRODUCTION)]);
    let variables = [("SEAWORTHY_EDGE__TIMEOUTS__CONNECT", "3s")];
    let by_flag = ["config", "show", "--json", "--defaults", "--profile", "production"];
    let answer = json(&with_variables(folder.path(), &by_flag, &variables));
    for (key, value, place) in [
        ("edge.listen", "127.0.0.1:1".into(), "seaworthy.toml:4"),
        ("edge.workers", 2.into(), "seaworthy.production.toml:2"),
        ("edge.timeouts.connect", "3s".into(), "SEAWORTHY_EDGE__TIMEOUTS__CONNECT"),
        ("edge.timeouts.first_byte", "1m".into(), "default"),
        ("route.0.first_byte", "1s".into(), "seaworthy.toml:9"),
        ("route.0.body_limit", "2KB".into(), "seaworthy.production.toml:7"),
        ("route.1.match", Value::from("/b"), "seaworthy.production.toml:4"),
    ] {
        assert_eq!(shown(&answer, key), (value, place.to_owned()), "{key}");
    }
    assert_eq!(answer["profile"], "production");
    assert_eq!(answer["files"], serde_json::json!(["seaworthy.toml", "seaworthy.production.toml"]));

    let plain = ["config", "show", "--json"];
    let by_variable = json(&with_variables(folder.path(), &plain, &[("SEAWORTHY_PROFILE", "production")]));
    assert_eq!(shown(&by_variable, "edge.workers").0, 2);
    let without = json(&with_variables(folder.path(), &plain, &[]));
    assert_eq!(shown(&without, "edge.workers").0, 1);
    assert_eq!(without["profile"], Value::Null);
}

fn run_takes_the_profile() {
    let config = format!("[app]\ncommand = \"'{BINARY}' demo-app --port $PORT\"\n");
    let production = "[[route]]\nmatch = \"/upload\"\nbody_limit = \"1B\"\n[app.env]\nAPI_TOKEN = \"env:PATH\"\n";
    let folder = folder(&[("seaworthy.toml", &config), ("seaworthy.production.toml", production)]);
    let running = Running::start_in(folder, &["--profile", "production"]);
    assert_eq!(get(&running.url, "/health").status, 200);

    let insecure = "[app.env]\nAPI_TOKEN = \"hunter2\"\n";
    fs::write(running.folder.path().join("seaworthy.production.toml"), insecure).unwrap();
    let output = seaworthy(running.folder.path(), &["run", "--profile", "production", "--listen", "127.0.0.1:0"]);
    let said = error_text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("SEA_CONFIG_INSECURE") && said.contains("seaworthy.production.toml:2:"), "{said}");
    assert!(said.contains("env:NAME") && !said.contains("hunter2"), "{said}");
}

fn a_profile_without_a_file() {
    let folder = folder(&[("seaworthy.toml", BASE), ("seaworthy.staging.toml", "")]);
    for command in [["run"].as_slice(), &["config", "check"], &["config", "show"]] {
        let words = [command, &["--profile", "production"]].concat();
        let output = seaworthy(folder.path(), &words);
        let said = error_text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("SEA_CONFIG_PROFILE") && said.contains("exist here: staging"), "{said}");
    }
    let output = seaworthy(folder.path(), &["config", "check", "--profile", "../staging"]);
    assert_eq!(output.status.code(), Some(2));
}

fn check_finds_every_problem() {
    let base = "[edge]\nlisten = 7\nworkers = 3\n";
    let production = "[edge]\nlisen = \"x\"\n[edge.timeouts]\nconnect = \"soon\"\n[egde]\n";
    let folder = folder(&[("seaworthy.toml", base), ("seaworthy.production.toml", production)]);
    let check = ["config", "check", "--profile", "production"];
    let variables = [("SEAWORTHY_EDGE__WORKERS", "9999"), ("SEAWORTHY_NOBODY__KEY", "x")];
    let output = with_variables(folder.path(), &[&check[..], &["--json"]].concat(), &variables);
    assert_eq!(output.status.code(), Some(2));
    let answer = json(&output);
    assert_eq!(answer["ok"], false);
    let problems = answer["problems"].as_array().unwrap();
    for (what, code, file, line) in [
        ("integer `7`", "SEA_CONFIG_WRONG_VALUE", Some("seaworthy.toml"), Some(2)),
        ("unknown key `lisen`", "SEA_CONFIG_UNKNOWN_KEY", Some("seaworthy.production.toml"), Some(2)),
        ("`soon` does not start", "SEA_CONFIG_WRONG_VALUE", Some("seaworthy.production.toml"), Some(4)),
        ("unknown section `egde`", "SEA_CONFIG_UNKNOWN_SECTION", Some("seaworthy.production.toml"), Some(5)),
        ("variable SEAWORTHY_EDGE__WORKERS", "SEA_CONFIG_RANGE", None, None),
        ("variable SEAWORTHY_NOBODY__KEY", "SEA_CONFIG_UNKNOWN_SECTION", None, None),
    ] {
        let found = problems.iter().find(|problem| problem["message"].as_str().unwrap().contains(what));
        let found = found.unwrap_or_else(|| panic!("{what} is missing in {answer}"));
        assert_eq!((&found["code"], &found["file"]), (&Value::from(code), &Value::from(file)), "{what}");
        assert_eq!(found["line"], Value::from(line), "{what}");
    }
    assert_eq!(problems.len(), 6, "{answer}");
    let output = with_variables(folder.path(), &check, &variables);
    assert_eq!(output.status.code(), Some(2));
    assert!(error_text(&output).contains("seaworthy.production.toml:4:"), "{}", error_text(&output));

    fs::write(folder.path().join("seaworthy.toml"), "[edge\n").unwrap();
    fs::write(folder.path().join("seaworthy.production.toml"), "x = \n").unwrap();
    let answer = json(&with_variables(folder.path(), &[&check[..], &["--json"]].concat(), &[]));
    let files: Vec<&Value> = answer["problems"].as_array().unwrap().iter().map(|problem| &problem["file"]).collect();
    assert_eq!(files, ["seaworthy.toml", "seaworthy.production.toml"]);
}

fn check_says_what_it_read() {
    let config = "[app]\ncommand = \"x\"\n[app.env]\nKEY = \"env:SURELY_NOT_SET\"\n";
    let folder = folder(&[("seaworthy.toml", config)]);
    let variables = [("SEAWORTHY_EDGE__WORKERS", "3")];
    let output = with_variables(folder.path(), &["config", "check"], &variables);
    let said = text(&output);
    assert!(output.status.success(), "{said}{}", error_text(&output));
    for part in ["seaworthy.toml", "SEAWORTHY_EDGE__WORKERS", "3 values set", "`SURELY_NOT_SET` is not set"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let answer = json(&with_variables(folder.path(), &["config", "check", "--json"], &variables));
    assert_eq!((&answer["ok"], &answer["values"]), (&Value::from(true), &Value::from(3)));
    assert_eq!(answer["problems"], serde_json::json!([]));
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 1);
}

fn secrets_are_shown_nowhere() {
    let base = "[app]\nto = \"http://me:hunter2@127.0.0.1:1/\"\nhealth = \"/?token=hunter2\"\n[app.env]\nA = \"hunter2\"\n\
                B = \"env:HIDDEN\"\nC = \"file:secret.txt\"\nD = \"pg://u:hunter2@db/x\"\n";
    // The same with something wrong beside each secret, so that errors show those lines.
    let wrong = base.replace("A = ", "lvl = 1\nA = ").replace("[app.env]", "heath = 1\n[app.env]");
    let typing_error = base.replace("A = \"hunter2\"", "A = \"hunter2");
    let variables = [
        ("HIDDEN", "hunter2"),
        ("SEAWORTHY_APP__ENV__V", "hunter2"),
        ("SEAWORTHY_APP__COMMAND", "x --password hunter2"),
        ("SEAWORTHY_CHECK__PATHS", "[\"http://a:hunter2@b\"]"),
    ];
    for config in [base, &wrong, &typing_error] {
        let folder =
            folder(&[("seaworthy.toml", config), ("secret.txt", "hunter2\n"), ("seaworthy.production.toml", "")]);
        for command in [
            ["config", "check"].as_slice(),
            &["config", "check", "--json"],
            &["config", "check", "--profile", "production"],
            &["config", "show"],
            &["config", "show", "--defaults"],
            &["config", "show", "--json"],
            &["config", "schema"],
            &["config", "explain", "app.to"],
            &["config", "explain", "app.env"],
            &["config", "explain", "app.env.A", "--json"],
            &["config", "explain", "check.paths"],
            &["run"],
        ] {
            let output = with_variables(folder.path(), command, &variables);
            let said = format!("{}{}", text(&output), error_text(&output));
            assert!(!said.contains("hunter2"), "{command:?} shows a secret:\n{said}");
        }
    }
    // What is masked in a good config is said to be there, and references are shown as such.
    let good = "[app]\ncommand = \"x --password hunter2\"\n[app.env]\nA = \"hunter2\"\nB = \"env:HIDDEN\"\n";
    let folder = folder(&[("seaworthy.toml", good)]);
    let said = text(&seaworthy(folder.path(), &["config", "show"]));
    for part in ["A = \"***\"", "B = \"env:HIDDEN\"", "command = \"x --password ***\""] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let answer = json(&seaworthy(folder.path(), &["config", "explain", "app.env.A", "--json"]));
    assert_eq!((&answer["secret"], &answer["values"][0]["value"]), (&Value::from(true), &Value::from("***")));
}

fn show_can_be_read_again() {
    let folder = folder(&[("seaworthy.toml", BASE), ("seaworthy.production.toml", PRODUCTION)]);
    let first = seaworthy(folder.path(), &["config", "show", "--defaults", "--profile", "production"]);
    assert!(first.status.success(), "{}", error_text(&first));
    fs::write(folder.path().join("again.toml"), &first.stdout).unwrap();
    let answer = json(&seaworthy(folder.path(), &["config", "show", "--json", "--config", "again.toml"]));
    for (key, value) in [("edge.workers", Value::from(2)), ("route.0.body_limit", "2KB".into())] {
        assert_eq!(shown(&answer, key).0, value);
    }
    assert!(!text(&first).contains('\u{1b}'));
}

fn schema_describes_the_file() {
    let folder = folder(&[]);
    let schema = json(&seaworthy(folder.path(), &["config", "schema"]));
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for section in ["app", "edge", "route", "protection", "observability", "admin", "check"] {
        assert!(schema["properties"][section]["title"].is_string(), "{section}");
    }
    let described = |node: &Value| node["description"].as_str().is_some_and(|about| !about.is_empty());
    assert!(
        described(&schema["properties"]["edge"]) && described(&schema["properties"]["edge"]["properties"]["listen"])
    );
}

fn explain_tells_everything() {
    let folder = folder(&[("seaworthy.toml", BASE)]);
    let explain = |words: &[&str]| with_variables(folder.path(), &[&["config", "explain"], words].concat(), &[]);
    let said = text(&explain(&["edge.workers"]));
    for part in
        ["Cores that serve requests", "whole number", "default   0", "1  (seaworthy.toml:5)", "SEAWORTHY_EDGE__WORKERS"]
    {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let answer = json(&explain(&["edge.timeouts.first_byte", "--json"]));
    assert_eq!((&answer["type"], &answer["default"]), (&Value::from("duration"), &Value::from("1m")));
    assert_eq!(shown(&answer, "edge.timeouts.first_byte"), ("1m".into(), "default".into()));
    let section = text(&explain(&["edge"]));
    assert!(section.contains("edge.listen") && section.contains("edge.timeouts.connect"), "{section}");
    assert!(text(&explain(&[])).contains("protection"));
    let route = text(&explain(&["route.first_byte"]));
    assert!(route.contains("route.0.first_byte = \"1s\"  (seaworthy.toml:9)"), "{route}");
    let unknown = explain(&["edge.wokers"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(error_text(&unknown).contains("did you mean edge.workers"), "{}", error_text(&unknown));

    fs::write(folder.path().join("seaworthy.toml"), "[edge\n").unwrap();
    let said = explain(&["edge.workers"]);
    assert!(said.status.success() && text(&said).contains("Cores that serve"), "{}", error_text(&said));
}

fn completions_are_taken_by_bash() {
    let folder = folder(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let output = seaworthy(folder.path(), &["completions", shell]);
        assert!(output.status.success() && text(&output).contains("explain"), "{shell}");
        assert!(!text(&output).contains("demo-app"), "{shell} offers a hidden command");
        fs::write(folder.path().join(shell), &output.stdout).unwrap();
    }
    let script = "set -eu; source ./bash; COMP_WORDS=(seaworthy config ''); COMP_CWORD=2; \
                  _seaworthy seaworthy '' config; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["--norc", "-c", script]).current_dir(folder.path()).output().unwrap();
    let said = text(&output);
    assert!(
        output.status.success() && said.contains("check") && said.contains("schema"),
        "{said}{}",
        error_text(&output)
    );
    assert_eq!(seaworthy(folder.path(), &["completions", "tcsh"]).status.code(), Some(2));
}
