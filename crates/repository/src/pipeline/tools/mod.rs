//! What tool a command is. It is data: one TOML file for each language in this folder.

pub(super) mod scripts;

use std::sync::LazyLock;

use serde::Deserialize;

use super::{Command, CommandKind};

/// What a tool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Runs tests.
    Test,
    /// Finds mistakes of style and thought.
    Lint,
    /// Holds the layout of the source.
    Format,
    /// Checks types.
    Types,
    /// Compiles or bundles.
    Build,
    /// Looks for known flaws in dependencies.
    DependencyScan,
    /// Looks for secrets.
    SecretScan,
    /// Looks for insecure code.
    CodeScan,
    /// Looks for known flaws in a container image.
    ImageScan,
    /// Makes a container image.
    ImageBuild,
    /// Puts a release where it runs.
    Deploy,
    /// Asks a running release whether it works.
    Smoke,
    /// Proposes new versions of dependencies.
    Updates,
}

/// One tool, as it is called for one purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// As people call it.
    pub name: String,
    /// What for.
    pub purpose: Purpose,
    /// How its commands begin, as words.
    #[serde(default)]
    commands: Vec<String>,
    /// Names of ready-made steps: `owner/name` of an action, `orb/job`, a task; one that ends with `*` is a beginning.
    #[serde(default)]
    actions: Vec<String>,
    /// Ids of pre-commit hooks.
    #[serde(default)]
    hooks: Vec<String>,
    /// It is this only with one of these words (`--check`, `exit-code=1`; dashes before a word are not looked at).
    #[serde(default)]
    with: Vec<String>,
    /// It is not this with one of these words.
    #[serde(default)]
    without: Vec<String>,
    /// With one of these words it never fails.
    #[serde(default)]
    lenient: Vec<String>,
    /// Without one of these words it never fails.
    #[serde(default)]
    strict: Vec<String>,
    /// How else its findings stop a change, where its own status does not: `code scanning`.
    #[serde(default)]
    pub reports: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tool: Vec<Tool>,
}

macro_rules! embedded {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!($name, ".toml")))),*] };
}

/// A new language is a file in this folder and its name here.
const FILES: &[(&str, &str)] = embedded!(
    "any" "deploy" "dotnet" "elixir" "go" "java" "javascript" "php" "python" "ruby" "rust" "scanners");

static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    let read = |(_, text): &(&str, &str)| toml::from_str::<File>(text).unwrap_or_default().tool;
    FILES.iter().flat_map(read).collect()
});

/// With these a program only says what it is.
const ONLY_TALKS: [&str; 5] = ["--version", "--help", "-h", "-V", "--print-config"];

impl Tool {
    /// Every tool that a command is.
    pub fn of(command: &Command) -> Vec<&'static Self> {
        if command.kind == CommandKind::Shell && command.words.iter().any(|word| ONLY_TALKS.contains(&word.as_str())) {
            return Vec::new();
        }
        let mut found: Vec<(&'static Self, usize)> =
            TOOLS.iter().filter_map(|tool| tool.fit(command).map(|length| (tool, length))).collect();
        // `prettier --check` is not also what `prettier` alone is; of one purpose the longer beginning is meant.
        let longest = found.iter().map(|(_, length)| *length).max().unwrap_or_default();
        found.retain(|(_, length)| *length == longest);
        found.into_iter().map(|(tool, _)| tool).collect()
    }

    /// How many words fit.
    fn fit(&'static self, command: &Command) -> Option<usize> {
        let first = command.words.first()?;
        let length = match command.kind {
            CommandKind::Hook => self.hooks.iter().any(|hook| hook == first).then_some(1),
            CommandKind::Action => self
                .actions
                .iter()
                .any(|action| match action.strip_suffix('*') {
                    Some(start) => first.to_lowercase().starts_with(&start.to_lowercase()),
                    None => first.eq_ignore_ascii_case(action),
                })
                .then_some(1),
            CommandKind::Shell => self.commands.iter().filter_map(|own| begins(&command.words, own)).max(),
        }?;
        let fits = (self.with.is_empty() || self.with.iter().any(|word| has(command, word)))
            && !self.without.iter().any(|word| has(command, word));
        fits.then_some(length)
    }

    /// As people call it in this command: an entry may stand for several programs.
    pub fn name_in(&self, command: &Command) -> &str {
        if command.kind != CommandKind::Shell || self.commands.len() < 2 {
            return &self.name;
        }
        let fitting = self.commands.iter().filter(|own| begins(&command.words, own).is_some());
        fitting.max_by_key(|own| own.len()).map_or(&self.name, |own| own)
    }

    /// Why it never fails as it is called, when that is so.
    pub fn lenient(&self, command: &Command) -> Option<String> {
        if self.reports.is_some() {
            return None;
        }
        if let Some(word) = self.lenient.iter().find(|word| has(command, word)) {
            return Some(format!("with `{word}` {} never fails", self.name_in(command)));
        }
        let strict = self.strict.is_empty() || self.strict.iter().any(|word| has(command, word));
        (!strict).then(|| format!("{} never fails without `{}`", self.name_in(command), self.strict[0]))
    }
}

/// How many words of `beginning` a command begins with, when with all. Options between them are passed over.
fn begins(words: &[String], beginning: &str) -> Option<usize> {
    let mut words = words.iter();
    let mut count = 0;
    for wanted in beginning.split_whitespace() {
        loop {
            let word = words.next()?;
            if word == wanted {
                break;
            }
            if count == 0 || !word.starts_with('-') {
                return None;
            }
        }
        count += 1;
    }
    Some(count)
}

/// Whether a command has a word; `name=value` is also `--name value`.
fn has(command: &Command, wanted: &str) -> bool {
    let bare = |word: &str| word.trim_start_matches('-').to_owned();
    let wanted_bare = bare(wanted);
    let words = &command.words[command.words.len().min(1)..];
    let pair = wanted_bare.split_once('=');
    // A short option is not the word without its dash.
    let same = |word: &String| if wanted.starts_with('-') { word == wanted } else { bare(word) == wanted_bare };
    words.iter().enumerate().any(|(index, word)| {
        same(word)
            || (wanted.ends_with('*') && bare(word).starts_with(wanted_bare.trim_end_matches('*')))
            || pair.is_some_and(|(name, value)| {
                bare(word) == name && words.get(index + 1).is_some_and(|next| next == value)
            })
            || (!wanted_bare.contains('=')
                && word.starts_with('-')
                && bare(word).split_once('=').is_some_and(|(name, _)| name == wanted_bare))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Failure, shell::Shell};

    fn command(kind: CommandKind, words: &str) -> Command {
        Command {
            kind,
            words: words.split_whitespace().map(String::from).collect(),
            version: None,
            folder: Default::default(),
            offset: 0,
            through: Vec::new(),
            failure: Failure::Stops,
            opaque: false,
            tools: Vec::new(),
        }
    }

    fn purposes(words: &str) -> Vec<Purpose> {
        Tool::of(&command(CommandKind::Shell, words)).iter().map(|tool| tool.purpose).collect()
    }

    #[test]
    fn every_file_is_embedded_and_reads() {
        for (name, text) in FILES {
            let read = toml::from_str::<File>(text);
            assert!(read.as_ref().is_ok_and(|file| !file.tool.is_empty()), "{name}: {read:?}");
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pipeline/tools");
        let there = std::fs::read_dir(folder).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".toml") && name != "wrappers.toml" && name != "scripts.toml"
        });
        assert_eq!(there.count(), FILES.len());
        let _ = Shell::PLAIN;
    }

    #[test]
    fn tools_by_their_words() {
        assert_eq!(purposes("pytest -q"), [Purpose::Test]);
        assert_eq!(purposes("pytest --version"), []);
        assert_eq!(purposes("prettier --check ."), [Purpose::Format]);
        assert_eq!(purposes("prettier --write ."), []);
        assert_eq!(purposes("ruff check ."), [Purpose::Lint]);
        assert_eq!(purposes("ruff format --check ."), [Purpose::Format]);
        assert_eq!(purposes("go -C api test ./..."), []);
        assert_eq!(purposes("cargo test --workspace"), [Purpose::Test]);
        assert_eq!(purposes("pip install pytest"), []);
        assert_eq!(purposes("docker build -t a ."), [Purpose::ImageBuild]);
        assert_eq!(purposes("npm audit --audit-level=high"), [Purpose::DependencyScan]);
        assert_eq!(purposes("npm audit fix"), []);
        assert_eq!(purposes("npm audit signatures"), []);
        assert_eq!(purposes("cargo deny check"), [Purpose::DependencyScan]);
        assert_eq!(purposes("cargo deny check bans advisories"), [Purpose::DependencyScan]);
        assert_eq!(purposes("cargo deny check bans licenses"), []);
        assert_eq!(purposes("trivy fs --scanners vuln,secret ."), [Purpose::DependencyScan]);
        assert_eq!(purposes("trivy fs --scanners secret,misconfig ."), []);
        assert_eq!(purposes("trivy fs --scanners=license ."), []);
        assert_eq!(purposes("trivy image --severity HIGH a"), [Purpose::ImageScan]);
        assert_eq!(purposes("kubectl get pods"), []);
        assert_eq!(purposes("kubectl apply -f k8s"), [Purpose::Deploy]);
    }

    #[test]
    fn some_scanners_never_fail_as_they_are_called() {
        let lenient = |kind, words: &str| {
            let command = command(kind, words);
            Tool::of(&command).iter().filter_map(|tool| tool.lenient(&command)).next()
        };
        assert!(lenient(CommandKind::Shell, "trivy image a").is_some());
        assert_eq!(lenient(CommandKind::Shell, "trivy image --exit-code 1 a"), None);
        assert_eq!(lenient(CommandKind::Action, "aquasecurity/trivy-action exit-code=1 image-ref=a"), None);
        assert!(lenient(CommandKind::Action, "aquasecurity/trivy-action exit-code=0 image-ref=a").is_some());
        assert!(lenient(CommandKind::Shell, "bandit -r . --exit-zero").is_some());
        assert!(lenient(CommandKind::Shell, "jest --passWithNoTests").is_none());
    }
}
