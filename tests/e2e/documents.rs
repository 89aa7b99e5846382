//! Documentation is tested: every `$ seaworthy …` line in it is run.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{BINARY, find, test_with};

const PYTHON: (&str, &str) = ("python3", "the Debian package python3");

pub fn tests() -> Vec<Trial> {
    vec![test_with("every_command_in_the_documentation_works", &[PYTHON], every_command)]
}

fn every_command() {
    let mut commands = Vec::new();
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("$ seaworthy "));
        commands.extend(lines.map(|line| (file.clone(), line.split("  #").next().unwrap().trim().to_owned())));
    }
    assert!(commands.len() >= 5, "only {commands:?}");
    for (file, line) in commands {
        println(&format!("{}: {line}", file.display()));
        run(&line);
    }
}

fn println(line: &str) {
    eprintln!("{line}");
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let docs = fs::read_dir(root.join("docs/guide")).unwrap().map(|entry| entry.unwrap().path());
    files.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    files
}

/// Runs one line in a folder with what a reader would have: an app, its config, a list.
fn run(line: &str) {
    let folder = tempfile::tempdir().unwrap();
    let app = "import http.server, sys\nhttp.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')\n";
    fs::write(folder.path().join("app.py"), app).unwrap();
    fs::write(folder.path().join("CHECKLIST.md"), "- [ ] Security headers\n- [ ] LICENSE file\n").unwrap();
    let config = format!("[app]\ncommand = \"'{}' app.py $PORT\"\n", find("python3").unwrap().display());
    fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    fs::write(folder.path().join("seaworthy.production.toml"), "[observability]\nformat = \"json\"\n").unwrap();
    let words = shell_words(line);
    let (name, mut words) = (words[0].clone(), words);
    match name.as_str() {
        "run" => {
            let free = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json"].map(String::from);
            words.retain(|word| word != "--json");
            let skip = words.iter().position(|word| word == "--listen");
            if let Some(at) = skip {
                words.drain(at..at + 2);
            }
            words.splice(1..1, free);
            // An app that already runs is one that nobody started here.
            let to = words.iter().position(|word| word == "--to");
            let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            if let Some(at) = to {
                words[at + 1] = format!("http://{}", upstream.local_addr().unwrap());
            }
            serves(folder.path(), &words, line);
        }
        "init" => {
            fs::remove_file(folder.path().join("seaworthy.toml")).unwrap();
            fs::write(folder.path().join("Procfile"), "web: python3 app.py $PORT\n").unwrap();
            ends(folder.path(), &words, &[0], line);
        }
        "demo" => ends(folder.path(), &["demo", "--once", "--json"].map(String::from), &[0], line),
        "check" => {
            let url = words.iter().position(|word| word == "--url");
            if let Some(at) = url {
                words[at + 1] = "http://127.0.0.1:9".into();
            }
            // A line may go on with another command, which finds what the first has left.
            let (first, second) = match words.iter().position(|word| word == "&&") {
                Some(at) => (words[..at].to_vec(), words[at + 2..].to_vec()),
                None => (words, Vec::new()),
            };
            ends(folder.path(), &first, &[0, 1, 2, 3], line);
            if !second.is_empty() {
                ends(folder.path(), &second, &[0], line);
            }
        }
        "evidence" => {
            ends(folder.path(), &["check", "CHECKLIST.md"].map(String::from), &[0, 1, 2, 3], line);
            ends(folder.path(), &words, &[0], line);
        }
        // Whether somebody runs here whom it could ask is no matter.
        "csp" | "deprecated" => ends(folder.path(), &words, &[0, 1], line),
        _ => ends(folder.path(), &words, &[0], line),
    }
}

fn serves(folder: &Path, words: &[String], line: &str) {
    let errors = fs::File::create(folder.join("stderr.log")).unwrap();
    let mut child =
        Command::new(BINARY).args(words).current_dir(folder).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let said = fs::read_to_string(folder.join("stderr.log")).unwrap();
    assert!(first.contains("\"listen\""), "`{line}` does not serve: {first}{said}");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success(), "`{line}` does not end well");
}

fn ends(folder: &Path, words: &[String], allowed: &[i32], line: &str) {
    let output = Command::new(BINARY).args(words).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| allowed.contains(&code)), "`{line}`: {} {said}", output.status);
    assert!(!said.contains("unexpected argument"), "`{line}`: {said}");
}

/// Splits at spaces; single quotes keep a word together, as in the documentation.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, piece) in line.split('\'').enumerate() {
        match index % 2 {
            1 => words.push(piece.to_owned()),
            _ => words.extend(piece.split_whitespace().map(String::from)),
        }
    }
    words
}
