//! `[[check.custom]]`.

use std::collections::{BTreeMap, HashSet};

use http::{HeaderName, Method};
use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration, SecretRef};
use serde::Deserialize;

use super::Expectation;

/// What every id of a team begins with: no control of ours does.
pub(super) const AREA: &str = "team.";

/// A control of the team's own: one of `command`, `http` and `sql`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Custom {
    /// `team.NAME`, in small letters, digits and hyphens.
    pub id: String,
    /// A few words for it; its name when left out.
    pub title: String,
    /// How the checklist words it.
    pub phrases: Vec<String>,
    /// A command that must end with exit status 0: its words, or one text that is split as a shell does (no shell runs it).
    /// It runs in the repository, without variables that hold secrets.
    pub command: Option<CommandLine>,
    /// More variables for the command.
    pub environment: BTreeMap<String, SecretRef>,
    /// A request to the app, and what its answer must be.
    pub http: Option<HttpCheck>,
    /// A query to a database, and what it must give.
    pub sql: Option<SqlCheck>,
    /// A command (for `sql`: a query) that must be refused: the same program, where what it looks for is missing. Without it nobody knows whether yours can fail at all, and the
    /// verdict is *inconclusive* at most.
    pub must_fail: Option<CommandLine>,
    /// How long it may take; 30 s when left out.
    pub timeout: Option<HumanDuration>,
}

/// A command: its words, or one text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CommandLine {
    /// Split as a shell splits it.
    Text(String),
    /// Program and arguments.
    Words(Vec<String>),
}

/// A request to the app.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpCheck {
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// Headers to send.
    pub headers: BTreeMap<String, SecretRef>,
    /// A body to send.
    pub body: Option<String>,
    /// What the answer must be. Redirects are not followed.
    pub expect: Expectation,
}

/// A query to a database. It is only read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SqlCheck {
    /// `sqlite:PATH` or `postgres://…`, best as `env:NAME` or `file:PATH`.
    pub url: SecretRef,
    /// The query.
    pub query: String,
    /// What it must give.
    pub expect: SqlExpectation,
}

/// What a query must give: one of these.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SqlExpectation {
    /// So many rows.
    pub rows: Option<u64>,
    /// This value, in the first column of the first row.
    pub value: Option<String>,
    /// No row at all.
    pub none: bool,
}

impl Default for HttpCheck {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: String::new(),
            headers: BTreeMap::new(),
            body: None,
            expect: Expectation::default(),
        }
    }
}

impl Default for SqlCheck {
    fn default() -> Self {
        Self { url: SecretRef::from(""), query: String::new(), expect: SqlExpectation::default() }
    }
}

impl CommandLine {
    /// Program and arguments; the error says why it cannot be split.
    pub fn words(&self) -> Result<Vec<String>, String> {
        let words = match self {
            Self::Words(words) => words.clone(),
            Self::Text(text) => shell_words::split(text).map_err(|error| error.to_string())?,
        };
        if words.is_empty() { Err("it is empty".into()) } else { Ok(words) }
    }

    /// As one text: a query.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Words(words) => words.join(" "),
        }
    }
}

/// Every problem of all of them.
pub(crate) fn validate(all: &[Custom], findings: &mut Findings) {
    let mut known = HashSet::new();
    for (index, one) in all.iter().enumerate() {
        let at = |key: &str| format!("check.custom.{index}.{key}");
        if let Some(name) = one.id.strip_prefix(AREA).filter(|name| is_name(name)) {
            if !known.insert(name) {
                let message = format!("two custom controls have the id `{}`", one.id);
                findings.add(at("id"), "SEA_CONFIG_CONFLICT", message, "give each its own name");
            }
        } else {
            let message = format!("`{}` is no id of a custom control", one.id);
            let help =
                "write team.NAME with small letters, digits and hyphens; all other areas are those of the catalogue";
            findings.add(at("id"), "SEA_CONFIG_CUSTOM_ID", message, help);
        }
        let kinds = [one.command.is_some(), one.http.is_some(), one.sql.is_some()];
        if kinds.iter().filter(|is_there| **is_there).count() != 1 {
            let message = "a custom control is tried in exactly one way";
            findings.add(at("id"), "SEA_CONFIG_CONFLICT", message, "give one of `command`, `http` and `sql`");
        }
        let commands = [("command", &one.command), ("must_fail", &one.must_fail)];
        for (key, command) in commands.into_iter().filter(|_| one.command.is_some()) {
            if let Some(Err(why)) = command.as_ref().map(CommandLine::words) {
                findings.add(
                    at(key),
                    "SEA_CONFIG_COMMAND",
                    format!("not a command: {why}"),
                    "write program and arguments",
                );
            }
        }
        if let (Some(Ok(own)), Some(Ok(bad))) =
            (one.command.as_ref().map(CommandLine::words), one.must_fail.as_ref().map(CommandLine::words))
            && own.first() != bad.first()
        {
            let message = format!("`must_fail` runs `{}`, which shows nothing of `{}`", bad[0], own[0]);
            let help = "run the same program where it must fail: on a broken file, a wrong address, another option";
            findings.add(at("must_fail"), "SEA_CONFIG_COMMAND", message, help);
        }
        if let Some(http) = &one.http {
            validate_http(http, &at("http"), findings);
        }
        if let Some(sql) = &one.sql {
            validate_sql(sql, &at("sql"), findings);
        }
    }
}

fn validate_http(http: &HttpCheck, at: &str, findings: &mut Findings) {
    if !http.path.starts_with('/') || http.path.parse::<http::Uri>().is_err() {
        let message = format!("`{}` is not a path", http.path);
        let help = "begin it with `/`, and write spaces and the like percent-encoded";
        findings.add(format!("{at}.path"), "SEA_CONFIG_PATH", message, help);
    }
    if Method::from_bytes(http.method.as_bytes()).is_err() {
        let message = format!("`{}` is not a method", http.method);
        findings.add(format!("{at}.method"), "SEA_CONFIG_WRONG_VALUE", message, "write for example \"GET\"");
    }
    for name in http.headers.keys().chain(http.expect.header.keys()) {
        if name.parse::<HeaderName>().is_err() {
            findings.add(at, "SEA_CONFIG_HEADER", format!("`{name}` is not the name of a header"), "");
        }
    }
    http.expect.validate(&format!("{at}.expect"), findings);
}

fn validate_sql(sql: &SqlCheck, at: &str, findings: &mut Findings) {
    if sql.query.trim().is_empty() {
        findings.add(format!("{at}.query"), "SEA_CONFIG_EMPTY", "the query is empty", "write one SELECT");
    }
    let expect = &sql.expect;
    let given = [expect.rows.is_some(), expect.value.is_some(), expect.none];
    if given.iter().filter(|is_there| **is_there).count() != 1 {
        let message = "a query must give exactly one thing";
        let help = "write one of expect = { rows = 1 }, { value = \"x\" } and { none = true }";
        findings.add(format!("{at}.expect"), "SEA_CONFIG_CONFLICT", message, help);
    }
}

fn is_name(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    !name.is_empty() && name.chars().all(plain) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
pub(super) mod tests {
    use seaworthy_config::{ConfigError, Document};

    use crate::Settings;

    /// The settings in a file, as `seaworthy` reads it.
    pub(in crate::custom) fn read(text: &str) -> Result<Settings, ConfigError> {
        let mut document = Document::parse("seaworthy.toml", text.into(), std::iter::empty())?;
        let settings = document.section::<Settings>();
        document.finish().map(|()| settings)
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let wrong = |text: &str, code: &str, line: usize| {
            let error = read(&format!("[[check.custom]]\n{text}")).unwrap_err();
            let finding = &error.findings[0];
            assert_eq!(finding.code, code, "{text}: {}", finding.message);
            assert_eq!(finding.place().map(|(_, line, _)| line), Some(line), "{text}");
        };
        wrong("id = \"edge.https-only\"\ncommand = \"true\"\n", "SEA_CONFIG_CUSTOM_ID", 2);
        wrong("id = \"team.A\"\ncommand = \"true\"\n", "SEA_CONFIG_CUSTOM_ID", 2);
        wrong("id = \"team.a\"\n", "SEA_CONFIG_CONFLICT", 2);
        wrong("id = \"team.a\"\ncommand = \"true\"\nhttp = { path = \"/\" }\n", "SEA_CONFIG_CONFLICT", 2);
        wrong("id = \"team.a\"\ncommand = \"'\"\n", "SEA_CONFIG_COMMAND", 3);
        wrong("id = \"team.a\"\ncommand = \"true\"\nmust_fail = \"false\"\n", "SEA_CONFIG_COMMAND", 4);
        wrong("id = \"team.a\"\nhttp = { path = \"x\" }\n", "SEA_CONFIG_PATH", 3);
        wrong("id = \"team.a\"\nhttp = { path = \"/\", expect = { body_regex = \"(\" } }\n", "SEA_CONFIG_PATTERN", 3);
        wrong("id = \"team.a\"\nhttp = { path = \"/\", expect = { json = { a = 1 } } }\n", "SEA_CONFIG_WRONG_VALUE", 3);
        wrong("id = \"team.a\"\nsql = { url = \"env:X\", query = \"select 1\" }\n", "SEA_CONFIG_CONFLICT", 3);
        wrong(
            "id = \"team.a\"\ncommand = \"true\"\n[[check.custom]]\nid = \"team.a\"\ncommand = \"true\"\n",
            "SEA_CONFIG_CONFLICT",
            5,
        );
        wrong("id = \"team.a\"\ncomand = \"true\"\n", "SEA_CONFIG_UNKNOWN_KEY", 3);
    }
}
