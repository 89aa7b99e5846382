//! Where each value of a config came from.

use std::{collections::BTreeMap, fmt};

use toml::Value;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A file, with the line (from 1) where the value begins.
    File {
        /// As it was named.
        file: String,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

/// Who laid a value over the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SetBy {
    Variable(String),
    Flag(&'static str),
}

/// For each dotted path of the merged config: which file (by its number) has it, and under which path of its own; or
/// which variable or flag set it. Paths of lists differ between files, because entries are matched and appended.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    places: BTreeMap<String, (usize, String)>,
    set: BTreeMap<String, SetBy>,
}

impl Origins {
    /// Notes a value and everything in it as one of a file.
    pub(crate) fn record(&mut self, at: &str, layer: usize, own: &str, value: &Value) {
        self.places.insert(at.to_owned(), (layer, own.to_owned()));
        match value {
            Value::Table(table) => {
                for (key, value) in table {
                    self.record(&format!("{at}.{key}"), layer, &format!("{own}.{key}"), value);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.record(&format!("{at}.{index}"), layer, &format!("{own}.{index}"), value);
                }
            }
            _ => {}
        }
    }

    /// What is noted of this path and everything below it is no longer so.
    pub(crate) fn forget(&mut self, at: &str) {
        let below = format!("{at}.");
        self.places.retain(|path, _| path != at && !path.starts_with(&below));
        self.set.retain(|path, _| path != at && !path.starts_with(&below));
    }

    /// Notes that a variable or flag set this.
    pub(crate) fn set(&mut self, at: &str, by: SetBy) {
        self.set.insert(at.to_owned(), by);
    }

    /// Who set this path or something that it is part of.
    pub(crate) fn set_by(&self, path: &str) -> Option<&SetBy> {
        ancestors(path).find_map(|path| self.set.get(path))
    }

    /// File and own path of a value, or of the nearest thing around it that is written out; true when it is itself.
    pub(crate) fn place(&self, path: &str) -> Option<(usize, &str, bool)> {
        ancestors(path).find_map(|at| self.places.get(at).map(|(layer, own)| (*layer, own.as_str(), at == path)))
    }
}

/// The path and everything around it, from the inside out.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('.').map(|(parent, _)| parent))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "{name} (command line)"),
        }
    }
}
