//! What is known of test runners and tools. It is data: one TOML file a language.
//!
//! Placeholders of command lines: `{python}` the project's interpreter, `{program:NAME}` a program of the project or of the
//! machine, `{drivers}` our helpers, `{results}` the file for results, `{measure}` the words that measure coverage,
//! `{coverage}` where it goes, `{sources}` a file with the sources to measure, `{root}` the project, `{where}` what a
//! pipeline names or all, `{paths}` the same or the sources' folders, `{types}` what is type-checked, `{cache}` a folder for caches, `{import}` where modules are looked for.

use std::{collections::BTreeMap, sync::OnceLock};

use seaworthy_repository::Pattern;
use serde::Deserialize;

/// Everything that is known of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolbox {
    /// The name of its file in the knowledge of languages.
    pub language: String,
    /// Endings of what is its code, where the knowledge of the language reads more.
    pub extensions: Option<Vec<String>>,
    /// Files that make a folder a project of its own.
    pub roots: Vec<String>,
    /// Of nested projects the outermost one is meant.
    #[serde(default)]
    pub topmost: bool,
    /// Tests may stand in the app's own files.
    #[serde(default)]
    pub inline: bool,
    /// Paths of what a tool made, or what is not the app: it is not measured.
    #[serde(default)]
    pub generated: Vec<Pattern>,
    /// How a test looks.
    pub cases: CasePatterns,
    /// Test runners; the first one that fits.
    #[serde(default)]
    pub runner: Vec<Runner>,
    /// Small changes that leave a program a program.
    #[serde(default)]
    pub mutant: Vec<Mutation>,
    /// Linters.
    #[serde(default)]
    pub linter: Vec<Tool>,
    /// Formatters.
    #[serde(default)]
    pub formatter: Vec<Tool>,
    /// Type checkers.
    #[serde(default)]
    pub checker: Vec<Tool>,
}

/// How tests are read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CasePatterns {
    /// Where one begins; group `name`.
    pub case: Pattern,
    /// Where a function begins; group `name`. One that checks something makes its caller check something.
    pub helper: Pattern,
    /// What checks something.
    pub assertion: Pattern,
    /// How one ends.
    pub block: Block,
}

/// How a stretch of code ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    /// With the first line that is not further in.
    Indent,
    /// With the bracket that closes the first one.
    Brackets,
}

/// A text that shows something.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The file.
    pub file: String,
    /// What is in it.
    pub pattern: Pattern,
}

/// A test runner.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runner {
    /// As people call it.
    pub name: String,
    /// It runs tests of these kinds alone, beside another one.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// A test script of package.json that calls it; its match is replaced by `run`.
    pub scripts: Option<Pattern>,
    /// Dependencies that show it.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// Files that show it.
    #[serde(default)]
    pub files: Vec<String>,
    /// Texts that show it.
    #[serde(default)]
    pub texts: Vec<Text>,
    /// Code of tests that shows it.
    pub source: Option<Pattern>,
    /// The same, where no other one shows.
    pub bare: Option<Pattern>,
    /// Code of the tests that are its own; other tests are not.
    pub own: Option<Pattern>,
    /// Dependencies that show that it is another one.
    #[serde(default)]
    pub without: Vec<String>,
    /// There is no other.
    #[serde(default)]
    pub always: bool,
    /// Succeeds when it is installed.
    pub probe: String,
    /// What would install it.
    pub install: String,
    /// The command.
    pub run: String,
    /// How its results are read.
    pub results: Format,
    /// Words that make it measure.
    #[serde(default)]
    pub measure: String,
    /// Variables that make it measure.
    #[serde(default)]
    pub measure_environment: BTreeMap<String, String>,
    /// How the measure is read.
    pub reads: Option<Measure>,
    /// What it says when it cannot measure.
    pub cannot_measure: Option<Pattern>,
    /// Added to the environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// It builds first.
    #[serde(default)]
    pub slow: bool,
}

/// How results are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// As our drivers write them: one document.
    Ours,
    /// The same, a line each.
    OursLines,
    /// `--json` of jest and vitest.
    Jest,
    /// The JSON reporter of mocha.
    Mocha,
    /// The JSON reporter of Playwright.
    Playwright,
    /// `go test -json`.
    Go,
    /// The lines of `cargo test`.
    Cargo,
    /// `rspec --format json`.
    Rspec,
    /// Numbers in the usual words: `3 passed, 1 failed`.
    Words,
}

/// How a measure of coverage is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// As our driver writes it.
    Lines,
    /// What V8 writes.
    V8,
    /// coverage-final.json.
    Istanbul,
    /// Go's profile.
    Go,
}

/// A small change of code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    /// What it does.
    pub name: String,
    /// In one line.
    pub pattern: Pattern,
    /// Instead; may name groups.
    pub becomes: String,
}

/// A linter, formatter or type checker.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// As people call it.
    pub name: String,
    /// Files that show that it is set up.
    #[serde(default)]
    pub files: Vec<String>,
    /// Texts that show it.
    #[serde(default)]
    pub texts: Vec<Text>,
    /// Texts that show a tool that can do this too: whether it is asked to, is not seen.
    #[serde(default)]
    pub doubtful: Vec<Text>,
    /// Dependencies that show it.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// A script of package.json that shows it, and is then the command.
    pub scripts: Option<Pattern>,
    /// How such a script is called, where not every one counts.
    pub script_names: Option<Pattern>,
    /// A hook of pre-commit that shows it.
    pub hook: Option<String>,
    /// Mentioned in a pipeline, it is set up.
    pub mentioned: Option<Pattern>,
    /// It comes with the language.
    #[serde(default)]
    pub always: bool,
    /// What shows that it is strict, and where; without one it always is.
    pub strict: Option<Pattern>,
    /// Files that may say so.
    #[serde(default)]
    pub strict_in: Vec<String>,
    /// Succeeds when it is installed.
    pub probe: String,
    /// The command.
    pub check: String,
    /// Exit statuses that mean findings; any other but 0 means that it did not work.
    pub findings: Vec<i32>,
    /// What would install it.
    pub install: String,
    /// How a pipeline names it.
    pub mention: Pattern,
    /// Endings of the files that it reads.
    pub extensions: Vec<String>,
    /// What it must not let pass, added to a file.
    pub planted: String,
    /// Added to the environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

macro_rules! embedded {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!($name, ".toml")))),*]
    };
}

/// A new language is a file beside this one and its name here.
const FILES: &[(&str, &str)] = embedded!("go" "javascript" "python" "ruby" "rust");

/// Every toolbox. Tests hold that each can be read.
pub fn toolboxes() -> &'static [Toolbox] {
    static READ: OnceLock<Vec<Toolbox>> = OnceLock::new();
    READ.get_or_init(|| FILES.iter().filter_map(|(_, text)| toml::from_str(text).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_can_be_read() {
        for (name, text) in FILES {
            let read = toml::from_str::<Toolbox>(text);
            assert!(read.is_ok(), "{name}: {read:?}");
            let toolbox = read.unwrap();
            assert_eq!(toolbox.language, *name);
            for tool in toolbox.linter.iter().chain(&toolbox.formatter).chain(&toolbox.checker) {
                assert!(!tool.planted.is_empty() && !tool.findings.contains(&0), "{}", tool.name);
            }
        }
    }
}
