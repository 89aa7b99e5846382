//! The lists of words that tell secrets from everything else. They are data: `words.toml`.

use std::{collections::HashSet, sync::LazyLock};

use serde::Deserialize;

/// Each list says in the file what it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    /// For values under a telling name.
    pub placeholders: HashSet<String>,
    /// For short values.
    pub short_placeholders: HashSet<String>,
    /// For values under a telling name, at any place in them.
    pub no_value: Vec<String>,
    /// For values under a telling name, at their beginning.
    pub references: Vec<String>,
    /// For values with a vendor's shape.
    pub made_up: Vec<String>,
    /// For names.
    pub telling: Vec<String>,
    /// For names.
    pub other_things: HashSet<String>,
    /// For paths.
    pub foreign_folders: HashSet<String>,
    /// For paths.
    pub settings_endings: HashSet<String>,
    /// For paths.
    pub document_endings: HashSet<String>,
}

/// All of them.
pub(super) static WORDS: LazyLock<Words> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant file, read in every test")]
    toml::from_str(include_str!("words.toml")).expect("the words are valid")
});
