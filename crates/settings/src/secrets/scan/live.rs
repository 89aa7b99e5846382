//! Values that are known to be secrets: those of the env files that lie on this disk, and those that the team has given.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};
use seaworthy_repository::{Repository, bounded, is_secret};

use super::value::{self, Strength};

/// Secrets in use. A text that has one of them leaks it, whatever it looks like.
#[derive(Default)]
pub(in crate::secrets) struct Live {
    names: Vec<String>,
    automaton: Option<AhoCorasick>,
}

/// Shorter values are words that stand anywhere.
const SHORTEST: usize = 8;

impl Live {
    /// Those of a repository.
    pub(in crate::secrets) fn of(repository: &Repository) -> Self {
        let mut values = BTreeMap::new();
        for (path, name, value) in variables_on_disk(repository) {
            if is_secret(&name) || value::strength(&value) == Strength::Random {
                values.entry(value).or_insert_with(|| format!("the live value of {name} in {path}"));
            }
        }
        for (name, value) in repository.live.values() {
            values.insert(value.to_owned(), format!("the live value of {name}"));
        }
        Self::new(values)
    }

    /// These values, each with what it is.
    pub(in crate::secrets) fn new(values: BTreeMap<String, String>) -> Self {
        let fits =
            |(value, _): &(String, String)| value.len() >= SHORTEST && !value::is_obvious(value) && !is_word(value);
        let (values, names): (Vec<String>, Vec<String>) = values.into_iter().filter(fits).unzip();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&values).ok();
        Self { automaton: automaton.filter(|_| !values.is_empty()), names }
    }

    /// How many there are.
    pub(in crate::secrets) fn len(&self) -> usize {
        self.names.len()
    }

    /// From, to, and what it is.
    pub(super) fn in_text(&self, content: &[u8]) -> Vec<(usize, usize, String)> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let is_part = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let found = automaton.find_iter(content).filter(|found| {
            !is_part(found.start().checked_sub(1).and_then(|before| content.get(before)))
                && !is_part(content.get(found.end()))
        });
        found
            .map(|found| (found.start(), found.end(), self.names[found.pattern().as_usize()].clone()))
            .take(20)
            .collect()
    }
}

/// A word or a number stands anywhere by itself.
fn is_word(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_lowercase())
        || value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        || value.starts_with('/')
        || value.contains("localhost")
}

/// Path, name and value of what env files of this folder set, without those that are examples.
pub(in crate::secrets) fn variables_on_disk(repository: &Repository) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<std::path::PathBuf> = vec![std::path::PathBuf::new()];
    // Beside every manifest: `backend/.env`.
    folders.extend(
        repository
            .files()
            .filter(|path| {
                path.ends_with("package.json")
                    || path.ends_with("pyproject.toml")
                    || path.ends_with("requirements.txt")
                    || path.ends_with("Gemfile")
                    || path.ends_with("go.mod")
            })
            .filter_map(|path| path.parent())
            .take(200)
            .map(std::path::Path::to_owned),
    );
    folders.sort();
    folders.dedup();
    for folder in folders {
        let entries = std::fs::read_dir(repository.root().join(&folder));
        for entry in entries.into_iter().flatten().flatten().take(5_000) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !crate::secrets::git_ignored_env::is_env_file(&name) {
                continue;
            }
            let Some(bytes) = bounded(&entry.path(), 1 << 20) else { continue };
            let path = folder.join(&name).display().to_string();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.extend(text.lines().filter_map(assignment).map(|(name, value)| (path.clone(), name, value)));
        }
    }
    found
}

/// `NAME=value` of a line, as dotenv reads it.
pub(in crate::secrets) fn assignment(line: &str) -> Option<(String, String)> {
    let line = line.trim().strip_prefix("export ").unwrap_or(line.trim());
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let value = value.trim();
    let value = match value.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => value[1..].split(char::from(*quote)).next().unwrap_or_default(),
        _ => value.split(" #").next().unwrap_or_default().trim(),
    };
    (is_name && !value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}
