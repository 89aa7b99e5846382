//! What is looked for in each language. It is data: one TOML file each, in `habits/`.

use std::{collections::HashSet, sync::LazyLock};

use serde::Deserialize;

use crate::grammar::Language;

/// Names are dotted and whole (`time.sleep`); `*.query` is any method of that name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Habits {
    /// Calls that print.
    pub(crate) prints: Vec<String>,
    /// Calls that stop for somebody at a debugger.
    pub(crate) breakpoints: Vec<String>,
    /// Calls that hold up the thread.
    pub(crate) blocking: Vec<String>,
    /// Calls that wait for the disk: counted where they stand, not in the functions that call theirs.
    pub(crate) files: Vec<String>,
    /// Calls that may hold up the thread: the name alone does not say of what they are.
    pub(crate) perhaps: Vec<String>,
    /// First parts of names that never do.
    pub(crate) asynchronous: Vec<String>,
    /// Modules of stores that hold up the thread, and calls of a store.
    pub(crate) sync_stores: Vec<String>,
    pub(crate) store_calls: Vec<String>,
    /// Methods that hold up the thread when they are called on a [`Self::blocking_clients`] without being awaited.
    pub(crate) sessions: Vec<String>,
    /// Types of a parameter whose methods hold up the thread.
    pub(crate) session_types: Vec<String>,
    /// Calls that make a client of something outside.
    pub(crate) clients: Vec<String>,
    /// Those of them that hold up the thread.
    pub(crate) blocking_clients: Vec<String>,
    /// Calls that make what makes clients: a session factory.
    pub(crate) client_factories: Vec<String>,
    /// Modules that talk to the database.
    pub(crate) databases: Vec<String>,
    /// Names in a parameter or decorator that hand something in.
    pub(crate) injection: Vec<String>,
    /// Types of a handler's parameters.
    pub(crate) handler_parameters: Vec<String>,
    /// Modules whose import makes a file a program for the terminal.
    pub(crate) terminal: Vec<String>,
}

/// The last parts of all names that are looked for, and the lists.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) habits: Habits,
    watched: HashSet<String>,
    whole: HashSet<String>,
}

impl Known {
    fn read(text: &str) -> Self {
        // Tests hold that every file of ours can be read.
        let habits: Habits = toml::from_str(text).unwrap_or_default();
        let lists = [&habits.prints, &habits.breakpoints, &habits.blocking, &habits.clients, &habits.client_factories];
        let lists = lists.into_iter().chain([&habits.files, &habits.perhaps, &habits.store_calls]);
        let whole: HashSet<String> = lists.flatten().chain(&habits.sessions).cloned().collect();
        let watched = whole.iter().map(|name| last(name).to_owned()).collect();
        Self { habits, watched, whole }
    }

    /// Whether a call of this name may be one that is looked for.
    pub(crate) fn watches(&self, name: &str) -> bool {
        self.watched.contains(last(name))
    }

    /// Whether exactly this name is looked for.
    pub(crate) fn names(&self, whole: &str) -> bool {
        self.whole.contains(whole)
    }
}

/// What is known of a language.
pub(crate) fn habits_of(language: Language) -> &'static Known {
    static PYTHON: LazyLock<Known> = LazyLock::new(|| Known::read(include_str!("habits/python.toml")));
    static SCRIPT: LazyLock<Known> = LazyLock::new(|| Known::read(include_str!("habits/javascript.toml")));
    static GO: LazyLock<Known> = LazyLock::new(|| Known::read(include_str!("habits/go.toml")));
    static RUBY: LazyLock<Known> = LazyLock::new(|| Known::read(include_str!("habits/ruby.toml")));
    static RUST: LazyLock<Known> = LazyLock::new(|| Known::read(include_str!("habits/rust.toml")));
    match language {
        Language::Python => &PYTHON,
        Language::JavaScript | Language::TypeScript | Language::Tsx => &SCRIPT,
        Language::Go => &GO,
        Language::Ruby => &RUBY,
        Language::Rust => &RUST,
    }
}

/// Whether a list has this name.
pub(crate) fn has(list: &[String], name: &str) -> bool {
    list.iter()
        .any(|one| one == name || one.strip_prefix("*.").is_some_and(|method| method == last(name) && method != name))
}

/// Whether a module is one of the list, or below one.
pub(crate) fn has_module(list: &[String], module: &str) -> bool {
    let below = |one: &String| module.strip_prefix(one.as_str()).is_some_and(|rest| rest.starts_with(['.', '/', ':']));
    list.iter().any(|one| one == module || below(one))
}

/// The part after the last dot.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_ours_says_what_is_looked_for() {
        let files = ["python", "javascript", "go", "ruby", "rust"].map(|name| format!("src/habits/{name}.toml"));
        for file in files {
            let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
            let habits: Habits = toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(!habits.prints.is_empty(), "{file}");
        }
        let known = habits_of(Language::Python);
        assert!(known.watches("t.sleep") && known.names("time.sleep") && !known.watches("a.b"));
        assert!(has(&["*.query".into()], "db.query") && !has(&["*.query".into()], "query"));
        assert!(has_module(&["sqlalchemy".into()], "sqlalchemy.orm") && !has_module(&["sql".into()], "sqlite"));
    }
}
