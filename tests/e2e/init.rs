//! `seaworthy init` as a person uses it.

use std::{fs, path::Path};

use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{error_text, seaworthy, test, text};

pub fn tests() -> Vec<Trial> {
    vec![
        test("init_says_what_it_found_and_writes_two_files", says_what_it_found),
        test("init_never_overwrites_unasked", never_overwrites),
        test("init_shows_no_value_of_an_env_file", shows_no_secret),
        test("init_tells_when_it_recognises_nothing", recognises_nothing),
        test("init_for_a_machine", for_a_machine),
    ]
}

fn project() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "package.json", r#"{"scripts": {"start": "node web.js"}, "dependencies": {"express": "5"}}"#);
    let code = "const app = require('express')()\nconst url = process.env.DATABASE_URL\napp.listen(process.env.PORT)\n";
    write(folder.path(), "web.js", code);
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

fn says_what_it_found() {
    let folder = project();
    let dry = seaworthy(folder.path(), &["init", "--dry-run"]);
    let shown = text(&dry);
    assert!(
        dry.status.success() && shown.contains("would write seaworthy.toml") && shown.contains("--- .env.example"),
        "{shown}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a dry run writes nothing");
    let output = seaworthy(folder.path(), &["init"]);
    let shown = text(&output);
    assert!(output.status.success(), "{}", error_text(&output));
    for part in [
        "found Express: express in package.json",
        "starts with    node web.js",
        "sees host      right",
        "sees scheme    wrong: add to web.js",
        "sees client    wrong: the same helps",
        "wrote seaworthy.toml",
        "wrote .env.example  1 variable",
        "next  seaworthy run",
    ] {
        assert!(shown.contains(part), "{part} is missing in:\n{shown}");
    }
    assert!(
        fs::read_to_string(folder.path().join("seaworthy.toml")).unwrap().contains("\ncommand = \"node web.js\"\n")
    );
    assert!(fs::read_to_string(folder.path().join(".env.example")).unwrap().contains("\n# web.js:2\nDATABASE_URL=\n"));
    let again = seaworthy(folder.path(), &["init"]);
    assert!(again.status.success() && text(&again).contains("kept  seaworthy.toml"), "{}", error_text(&again));
}

fn never_overwrites() {
    let folder = project();
    write(folder.path(), "seaworthy.toml", "[app]\ncommand = \"node other.js\"\n");
    let output = seaworthy(folder.path(), &["init"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("differs: other values for app.command; it lacks edge.listen"), "{}", text(&output));
    assert!(
        error_text(&output).contains("seaworthy.toml was left as it is; --force replaces it"),
        "{}",
        error_text(&output)
    );
    let read = || fs::read_to_string(folder.path().join("seaworthy.toml")).unwrap();
    assert!(read().contains("other.js"));
    assert!(folder.path().join(".env.example").exists(), "what is not there yet is written all the same");
    assert!(seaworthy(folder.path(), &["init", "--force"]).status.success());
    assert!(read().contains("node web.js"));
}

fn shows_no_secret() {
    let folder = project();
    write(folder.path(), ".env", "DATABASE_URL=hunter2\n");
    write(folder.path(), ".env.example", "OTHER=hunter2\n");
    write(folder.path(), "seaworthy.toml", "[app]\ncommand = \"hunter2\"\n");
    for arguments in [["init", "--json"], ["init", "--dry-run"], ["init", "--force"]] {
        let output = seaworthy(folder.path(), &arguments);
        assert!(!text(&output).contains("hunter2") && !error_text(&output).contains("hunter2"), "{}", text(&output));
    }
    assert_eq!(fs::read_to_string(folder.path().join(".env")).unwrap(), "DATABASE_URL=hunter2\n");
    assert!(!fs::read_to_string(folder.path().join(".env.example")).unwrap().contains("hunter2"));
}

fn recognises_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = seaworthy(folder.path(), &["init"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = error_text(&output);
    assert!(
        shown.contains("nothing was recognised in .; looked for ") && shown.contains("FastAPI, Fastify, Flask"),
        "{shown}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(seaworthy(folder.path(), &["init", "--force"]).status.success());
    assert!(fs::read_to_string(folder.path().join("seaworthy.toml")).unwrap().contains("./your-app"));
    let missing = seaworthy(folder.path(), &["init", "nowhere"]);
    assert!(missing.status.code() == Some(1) && error_text(&missing).contains("SEA_INIT_FOLDER"));
}

fn for_a_machine() {
    let folder = project();
    let output = seaworthy(folder.path(), &["init", "--json", "--probe"]);
    assert_eq!(output.status.code(), Some(1), "the code does not trust us");
    let said: Value = serde_json::from_str(&text(&output)).unwrap();
    assert_eq!(said["found"]["command"], "node web.js");
    assert_eq!(said["found"]["behind"]["client"]["right"], false);
    assert_eq!(said["found"]["behind"]["client"]["file"], "web.js");
    assert_eq!(said["variables"][0]["places"][0], "web.js:2");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a probe writes nothing");
    let output = seaworthy(folder.path(), &["init", "--json"]);
    let said: Value = serde_json::from_str(&text(&output)).unwrap();
    assert_eq!((said["files"][0]["state"].as_str(), said["next"].as_str()), (Some("new"), Some("seaworthy run")));
}
