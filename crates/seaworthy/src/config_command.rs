//! `seaworthy config`: what is wrong with the config, what counts in it, and what its keys mean. Starts nothing.

mod explain;

use std::process::ExitCode;

use seaworthy_config::{Document, Finding, effective_toml};
use serde_json::{Value, json};

use crate::{
    cli::{ConfigArguments, ConfigCommand},
    config::{Config, ConfigSource},
    failure::Failure,
    terminal,
    trial::trial,
};

/// Answers, and starts nothing.
pub fn main(arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    let source = ConfigSource::new(arguments.config.as_deref(), arguments.profile.as_deref());
    match &arguments.command {
        ConfigCommand::Check(arguments) => check(&source, arguments.json),
        ConfigCommand::Show(arguments) => show(&source, arguments.defaults, arguments.json),
        ConfigCommand::Schema => {
            terminal::line(&format!("{:#}", empty()?.json_schema()));
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Explain(arguments) => explain::explain(&source, arguments),
    }
}

/// What was read, by name.
struct Read {
    profile: Option<String>,
    files: Vec<String>,
    variables: Vec<String>,
}

impl Read {
    fn of(document: &Document) -> Self {
        Self {
            profile: document.profile().name().map(str::to_owned),
            files: document.files().iter().map(|file| file.display().to_string()).collect(),
            variables: document.variables().to_vec(),
        }
    }

    fn json(&self) -> Value {
        json!({ "profile": self.profile, "files": self.files, "variables": self.variables })
    }

    fn lines(&self) -> Vec<String> {
        let or_none = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        let mut lines = vec![format!("files      {}", or_none(&self.files))];
        lines.push(format!("variables  {}", or_none(&self.variables)));
        lines.extend(self.profile.as_ref().map(|profile| format!("profile    {profile}")));
        lines
    }
}

fn check(source: &ConfigSource, as_json: bool) -> Result<ExitCode, Failure> {
    let found = find_problems(source);
    if as_json {
        terminal::line(&found.json().to_string());
        return Ok(if found.result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) });
    }
    for line in found.read.lines() {
        terminal::line(&line);
    }
    for warning in &found.warnings {
        terminal::line(&format!("warning    {warning}"));
    }
    found.result?;
    let plural = if found.count == 1 { "value" } else { "values" };
    terminal::line(&format!("the config is right: {} {plural} set, everything else by default", found.count));
    Ok(ExitCode::SUCCESS)
}

/// What a check saw.
struct Found {
    read: Read,
    /// Values that somebody has set.
    count: usize,
    /// References that lead nowhere on this machine. Where the config is only checked, that may be as it should.
    warnings: Vec<String>,
    result: Result<(), Failure>,
}

impl Found {
    fn json(&self) -> Value {
        let mut object = json!({ "ok": self.result.is_ok() });
        merge(&mut object, self.read.json());
        object["values"] = json!(self.count);
        object["problems"] = self.result.as_ref().err().map_or(json!([]), problems);
        object["warnings"] = json!(self.warnings);
        object
    }
}

fn find_problems(source: &ConfigSource) -> Found {
    match source.open() {
        Ok(mut document) => {
            let config = Config::read(&mut document);
            let unresolved = document
                .references()
                .into_iter()
                .filter_map(|(path, reference)| reference.resolve().err().map(|error| format!("{path}: {error}")));
            let warnings = unresolved.collect();
            let count = document.effective(false).len();
            let read = Read::of(&document);
            let result = document.finish().map_err(Failure::from).and_then(|()| trial(&config));
            Found { read, count, warnings, result }
        }
        Err(error) => {
            let there = source.files().into_iter().filter(|file| file.exists());
            let read = Read {
                profile: source.profile.name().map(str::to_owned),
                files: there.map(|file| file.display().to_string()).collect(),
                variables: Vec::new(),
            };
            Found { read, count: 0, warnings: Vec::new(), result: Err(error.into()) }
        }
    }
}

fn show(source: &ConfigSource, defaults: bool, as_json: bool) -> Result<ExitCode, Failure> {
    let mut document = source.open()?;
    Config::read(&mut document);
    let (read, values) = (Read::of(&document), document.effective(defaults));
    document.finish()?;
    if as_json {
        let mut object = read.json();
        object["values"] = values.iter().map(|value| value.json()).collect();
        terminal::line(&object.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    for line in read.lines() {
        terminal::line(&format!("# {line}"));
    }
    if values.is_empty() {
        terminal::line("# nothing is set; --defaults shows what counts then");
    } else {
        terminal::line(&format!("\n{}", effective_toml(&values).trim_end()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A document of all sections and no values, for what does not depend on them.
fn empty() -> Result<Document, Failure> {
    let mut document = Document::parse("defaults", String::new(), std::iter::empty())?;
    Config::read(&mut document);
    Ok(document)
}

fn problems(failure: &Failure) -> Value {
    match failure {
        Failure::Config(error, _) => error.findings.iter().map(problem).collect(),
        // What the disk says against it has no place in a file.
        Failure::Other { code, text, .. } => {
            json!([{ "code": code, "message": text, "help": null, "file": null, "line": null, "column": null }])
        }
    }
}

fn problem(finding: &Finding) -> Value {
    let (file, line, column) = match finding.place() {
        Some((file, line, column)) => (Some(file), Some(line), Some(column)),
        None => (None, None, None),
    };
    json!({
        "code": finding.code,
        "message": finding.message,
        "help": finding.help,
        "file": file,
        "line": line,
        "column": column,
    })
}

fn merge(object: &mut Value, more: Value) {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
}
