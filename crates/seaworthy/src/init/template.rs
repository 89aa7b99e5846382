//! The two files that `init` writes, as text.

use std::path::{Path, PathBuf};

use super::{health::HealthPath, start::Chosen};
use seaworthy_repository::{Variables, is_secret};

/// What the config is made of.
#[derive(Debug)]
pub enum Content<'a> {
    /// An app with a process.
    App {
        /// The stack's name.
        name: &'a str,
        /// How it is started.
        chosen: &'a Chosen<'a>,
        /// Its health check.
        health: Option<&'a HealthPath>,
    },
    /// A folder of files.
    Site {
        /// The stack's name.
        name: &'a str,
        /// The folder.
        root: &'a Path,
        /// Unknown paths answer index.html.
        spa: bool,
    },
    /// Nothing is known.
    Nothing,
}

/// Makes variables of a file `.env`, in any POSIX shell.
pub const LOAD_ENV: &str = "set -a; . ./.env; set +a";

/// `seaworthy.toml`.
pub fn config(content: &Content<'_>) -> String {
    let text = match content {
        Content::App { name, chosen, health } => app(name, chosen, *health),
        Content::Site { name, root, spa } => site(name, root, *spa),
        Content::Nothing => nothing(),
    };
    format!("{}\n", text.trim_end())
}

/// `.env.example`; `None` when the code reads no variable.
pub fn example(variables: &Variables) -> Option<String> {
    if variables.all.is_empty() {
        return None;
    }
    let mut text =
        "# Every environment variable that the code reads, with the code's own defaults (`seaworthy init`).\n\
                    # Copy it to .env, fill it in, and keep that file out of the repository. Nothing reads .env by\n\
                    # itself; this sets its variables for what is started afterwards in the same shell:\n"
            .to_owned();
    text.push_str(&format!("#   {LOAD_ENV}\n"));
    for (name, variable) in &variables.all {
        let shown = variable.shown_default(name);
        let mark = if is_secret(name) || (variable.default.is_some() && shown.is_none()) { "secret; " } else { "" };
        let value = shown.map(quoted).unwrap_or_default();
        text.push_str(&format!("\n# {mark}{}\n{name}={value}\n", places(&variable.places)));
    }
    Some(text)
}

const EDGE: &str = "[edge]
listen = \"127.0.0.1:8080\"            # \"0.0.0.0:8080\" serves everyone who reaches this machine
# hosts = [\"app.example.com\"]        # the names that it answers to
";

const ROUTE: &str = "# What is different for some requests:
# [[route]]
# match = \"POST /upload\"
# body_limit = \"100MB\"
";

fn app(name: &str, chosen: &Chosen<'_>, health: Option<&HealthPath>) -> String {
    let mut text = format!("# {name} behind Seaworthy: `seaworthy run` serves it.\n[app]\n");
    text.push_str(&format!("command = {}\n", string(&chosen.command)));
    match health {
        Some(found) if found.whole => {
            text.push_str(&format!(
                "# Answers 2xx or 3xx when the app is well ({}).\n",
                place(&found.file, found.line)
            ));
            text.push_str(&format!("health = {}\n", string(&found.path)));
        }
        Some(found) => {
            let place = place(&found.file, found.line);
            text.push_str(&format!("# Seen in {place}; write the whole path, with what its router adds.\n"));
            text.push_str(&format!("# health = {}\n", string(&found.path)));
        }
        None => text.push_str(
            "# A path that answers 2xx or 3xx when the app is well; without it, an accepted connection will do.\n\
             # health = \"/health\"\n",
        ),
    }
    if !chosen.environment.is_empty() {
        let pairs: Vec<String> =
            chosen.environment.iter().map(|(name, value)| format!("{name} = {}", string(value))).collect();
        text.push_str(&format!("env = {{ {} }}\n", pairs.join(", ")));
    }
    format!("{text}\n{EDGE}\n{ROUTE}")
}

fn site(name: &str, root: &Path, spa: bool) -> String {
    let root = string(&root.display().to_string());
    let why = if spa { "unknown paths answer index.html" } else { "unknown paths answer 404" };
    format!(
        "# {name} behind Seaworthy: `seaworthy run` serves it.\n{EDGE}\n\
         # The folder that is served; {why}.\n[[route]]\nmatch = \"/*\"\nfiles = {{ root = {root}, spa = {spa} }}\n\n\
         # An app for the API of these pages:\n# [app]\n# command = \"./server --port $PORT\"\n"
    )
}

fn nothing() -> String {
    format!(
        "# A template: put the command that starts your app here; $PORT is the port that it shall listen on.\n[app]\n\
         command = \"./your-app --port $PORT\"\n\
         # A path that answers 2xx or 3xx when the app is well; without it, an accepted connection will do.\n\
         # health = \"/health\"\n\n{EDGE}\n{ROUTE}"
    )
}

/// A TOML string.
fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A value for an env file: quoted where a reader of such files might cut it.
fn quoted(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@,+=?&%*".contains(letter);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn place(file: &Path, line: usize) -> String {
    format!("{}:{line}", file.display())
}

fn places(list: &[(PathBuf, usize)]) -> String {
    const SHOWN: usize = 3;
    let mut text: Vec<String> = list.iter().take(SHOWN).map(|(file, line)| place(file, *line)).collect();
    if list.len() > SHOWN {
        text.push(format!("{} more", list.len() - SHOWN));
    }
    text.join(", ")
}
