//! What every reader of a pipeline's file needs: the repository, the file's text, and values out of YAML.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Command, CommandKind, Failure, Occasions, Step, shell::Shell, tasks::Tasks};
use crate::repository::Repository;

/// A pipeline's file while it is read.
pub(super) struct Context<'r> {
    pub(super) repository: &'r Repository,
    pub(super) file: PathBuf,
    pub(super) text: &'r str,
    pub(super) default_branches: &'r [String],
    /// The line, counted from 0, from which a text is looked for first: that of the job which is read.
    pub(super) from: usize,
    /// What it takes from places that are not read.
    pub(super) elsewhere: Vec<String>,
}

/// More jobs, or steps of one job, are not read.
pub(super) const MOST: usize = 2_000;

impl Context<'_> {
    /// The line of the first place where this text stands, behind `from` where it is there; 0 when nowhere.
    pub(super) fn line_of(&self, text: &str) -> usize {
        let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        if first.is_empty() {
            return 0;
        }
        let is_comment = |line: &str| line.trim_start().starts_with(['#', '/']);
        let lines = || self.text.lines().enumerate().filter(|(_, line)| !is_comment(line) && line.contains(first));
        let behind = lines().find(|(index, _)| *index >= self.from);
        behind.or_else(|| lines().next()).map_or(0, |(index, _)| index + 1)
    }

    /// The line of `name:`.
    pub(super) fn line_of_key(&self, name: &str) -> usize {
        let fits = |line: &str| {
            let line = line.trim_start().trim_start_matches("- ").trim_start_matches(['"', '\'']);
            line.strip_prefix(name).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'))
        };
        self.text.lines().position(fits).map_or(0, |index| index + 1)
    }

    /// A step that runs a script.
    pub(super) fn script(&self, name: Option<&str>, script: &str, shell: Shell, folder: &Path) -> Step {
        let commands = Tasks::of(self.repository).script(script, shell, folder);
        let first = script.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let mut line = self.line_of(first);
        // Offsets count from the script's first line.
        let empty = script.lines().take_while(|line| line.trim().is_empty()).count();
        line = line.saturating_sub(empty);
        self.step(name.unwrap_or(first), line, commands)
    }

    /// A step that is ready-made; `uses` may end with `@version`.
    pub(super) fn action(&self, name: Option<&str>, uses: &str, inputs: &BTreeMap<String, String>) -> Step {
        let (action, version) = match uses.split_once('@') {
            Some((action, version)) => (action, Some(version.to_owned())),
            None => (uses, None),
        };
        let command = Command {
            kind: CommandKind::Action,
            words: std::iter::once(action.to_owned())
                .chain(inputs.iter().map(|(input, value)| format!("{input}={value}")))
                .collect(),
            version,
            folder: PathBuf::new(),
            offset: 0,
            through: Vec::new(),
            failure: Failure::Stops,
            opaque: false,
            tools: Vec::new(),
        };
        self.step(name.unwrap_or(uses), self.line_of(uses), vec![command])
    }

    pub(super) fn step(&self, name: &str, line: usize, commands: Vec<Command>) -> Step {
        Step {
            name: name.to_owned(),
            line,
            occasions: Occasions::ALWAYS,
            failure: Failure::Stops,
            approval: None,
            commands,
        }
    }
}

/// A text, or a number or a truth as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(known) => Some(known.to_string()),
        _ => None,
    }
}

/// One text, or every text of a list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        single => text(single).into_iter().collect(),
    }
}

/// The entries of a map.
pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// The items of a list.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten().take(MOST)
}

/// A map of texts.
pub(super) fn inputs(value: &Value) -> BTreeMap<String, String> {
    entries(value).map(|(name, value)| (name.to_owned(), texts(value).join(","))).collect()
}

/// A lone value, or a list of values, as a list.
pub(super) fn listed(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().take(MOST).collect(),
        Value::Null => Vec::new(),
        single => vec![single],
    }
}

/// Whether a filter of paths lets every path pass.
pub(super) fn is_everything(pattern: &str) -> bool {
    ["**", "**/*", "**/**"].contains(&pattern)
}

/// Whether a name fits a pattern of the kind that pipelines have: `*` stays within a `/`, `**` does not.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut expression = String::from("^");
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            '*' if rest.starts_with('*') => {
                rest = &rest[1..];
                expression.push_str(".*");
            }
            '*' => expression.push_str("[^/]*"),
            // `v[0-9]+` and `{a,b}` are read as far as they are the same in regular expressions.
            '[' | ']' | '+' | '?' | '-' => expression.push(letter),
            '{' => expression.push_str("(?:"),
            '}' => expression.push(')'),
            ',' => expression.push('|'),
            other => expression.push_str(&regex::escape(&other.to_string())),
        }
    }
    expression.push('$');
    regex::Regex::new(&expression).map_or(pattern == name, |expression| expression.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_branches() {
        assert!(
            fits("main", "main") && fits("release/*", "release/1") && fits("**", "a/b") && fits("v[0-9]+.*", "v12.x")
        );
        assert!(fits("{main,next}", "next") && !fits("release/*", "release/1/2") && !fits("main", "maintenance"));
        assert!(!fits("ma.n", "main") && !fits("[", "x"));
    }
}
