//! What is known of stacks and languages. It is data: one TOML file each, in `stacks/` and `languages/`.

use std::{collections::BTreeMap, sync::OnceLock};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use thiserror::Error;

/// A framework, or another way to make a web app.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// As people call it.
    pub name: String,
    /// The language that its sources are in: the name of a file in `languages/`.
    pub language: String,
    /// What goes before what when a folder holds several: tens are bands (50 servers, 40 a Procfile, 30 builds), units
    /// decide between equals.
    pub rank: i32,
    /// How it is recognised.
    pub recognise: Recognise,
    /// Where the app begins in the source.
    #[serde(default)]
    pub app: Vec<AppPattern>,
    /// How it is started; the first one that fits.
    #[serde(default)]
    pub start: Vec<Start>,
    /// What makes it believe the forwarded headers.
    #[serde(default)]
    pub behind: Vec<Behind>,
    /// Routes that may be health checks, besides those of the language.
    #[serde(default)]
    pub health: Vec<HealthPattern>,
    /// Paths that a file stands for: the path, and files (`*` for the rest of the name).
    #[serde(default)]
    pub health_files: BTreeMap<String, Vec<String>>,
    /// It has no process: a folder of files is served.
    pub site: Option<Site>,
}

/// Any of these is enough; more of them is surer.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recognise {
    /// Names in manifests.
    pub dependencies: Vec<String>,
    /// Whether development dependencies count too.
    pub development: bool,
    /// Files, relative to the project.
    pub files: Vec<String>,
    /// Code.
    pub source: Option<Pattern>,
    /// Whether nothing else is enough.
    pub source_needed: bool,
    /// Whether it is none without a place where the app begins: a library may use the same framework.
    pub app_needed: bool,
    /// Dependencies that show that it is something else.
    pub without: Vec<String>,
    /// Code that shows that it is something else.
    pub without_source: Option<Pattern>,
}

/// Code that makes the app; groups `object` (its name) and `at` (where to look instead of the match's start).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppPattern {
    /// The code.
    pub pattern: Pattern,
    /// The object is a function that makes the app.
    #[serde(default)]
    pub factory: bool,
    /// Which kind, where a start wants one kind only.
    #[serde(default)]
    pub kind: String,
}

/// One way to start. Placeholders: `{app}` module:object, `{target}` the same or a call of the factory, `{file}`,
/// `{folder}`, `{root}` (where modules are looked for), `{main}`, `{script}`, `{name}`, `{procfile}`, `{dockerfile}`. A
/// start is passed over when one of its placeholders has nothing to stand for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Start {
    /// The command.
    pub command: String,
    /// Only with one of these among the dependencies or the installed programs.
    pub when: Vec<String>,
    /// Only with one of these files.
    pub files: Vec<String>,
    /// Only with this code.
    pub source: Option<Pattern>,
    /// Only with this script of package.json, which is `{script}`.
    pub script: Option<String>,
    /// The kind of app that it serves.
    pub app: String,
    /// Added when modules are not looked for in the project's own folder.
    pub elsewhere: String,
    /// Added when the app is made by a factory.
    pub factory: String,
    /// The program comes with the project's packages.
    pub packaged: bool,
    /// It takes `PORT` from the environment, whatever the code says.
    pub reads_port: bool,
    /// What the app gets in its environment.
    pub environment: BTreeMap<String, String>,
    /// What the app sees rightly with this command alone.
    pub gives: Vec<Fact>,
    /// What to know about it.
    pub note: Option<String>,
}

/// Code that makes an app believe forwarded headers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behind {
    /// What the app then sees.
    pub gives: Vec<Fact>,
    /// The code.
    pub pattern: Pattern,
    /// What to add when it is not there.
    pub add: String,
    /// The file to add it to holds this code; else it is the app's own.
    pub near: Option<Pattern>,
}

/// What an app knows of a request that came through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fact {
    /// The name that the client asked for.
    Host,
    /// `http` or `https`.
    Scheme,
    /// The client's address.
    Client,
}

/// A route in code; groups `path` and `object` (what it was called on).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthPattern {
    /// The code.
    pub pattern: Pattern,
    /// Names that are the app itself, and no part of it under a prefix.
    #[serde(default)]
    pub objects: Vec<String>,
    /// Only a file in the folder of the app's file has whole paths.
    #[serde(default)]
    pub beside: bool,
}

/// A folder of files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Where it may be; the first one with an index.html, else the first.
    pub folders: Vec<String>,
    /// Code that names the folder in a group `folder`.
    pub folder: Option<Pattern>,
    /// One page routes by itself: unknown paths answer index.html.
    pub spa: bool,
    /// What makes the folder.
    pub build: Option<String>,
}

/// How a language is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// As people call it.
    pub name: String,
    /// Endings of its files.
    pub extensions: Vec<String>,
    /// Folders of the project's own programs.
    #[serde(default)]
    pub programs: Vec<String>,
    /// What runs the project's programs when there is no such folder.
    #[serde(default)]
    pub runners: Vec<Runner>,
    /// Comments and text, longer openings first.
    pub tokens: Vec<Token>,
    /// Where code reads a variable of the environment.
    #[serde(default)]
    pub environment: Vec<Reading>,
    /// The base of classes whose fields are variables.
    pub settings_class: Option<Pattern>,
    /// Routes.
    #[serde(default)]
    pub health: Vec<HealthPattern>,
}

/// `prefix` goes before a program when `file` is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runner {
    /// A file of the project.
    pub file: String,
    /// Words before the program.
    pub prefix: String,
}

/// A comment or a text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// How it begins.
    pub open: String,
    /// How it ends; nothing when the opening is the whole.
    pub close: String,
    /// What it is.
    pub kind: TokenKind,
    /// A text may go over lines.
    #[serde(default)]
    pub lines: bool,
    /// A backslash takes the next character's meaning.
    #[serde(default = "yes")]
    pub escape: bool,
    /// Between these a text holds code.
    pub code: Option<[String; 2]>,
}

/// What a [`Token`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Not code at all.
    Comment,
    /// Text that the code works with.
    Text,
}

/// Code that reads a variable; groups `name` or `names` (a list), `default` (a literal), `write` (it is assigned, not
/// read) and `at` (what must be code; else the match's start).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The code.
    pub pattern: Pattern,
    /// Only in files with this code.
    pub requires: Option<Pattern>,
    /// The name, when the code does not say it.
    pub fixed: Option<String>,
}

/// A regular expression in which `^` and `$` are the ends of a line.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(pub Regex);

impl Stack {
    /// Whether it is a framework, as opposed to a folder of files or another program's way to start one.
    pub fn is_server(&self) -> bool {
        self.rank >= 50
    }
}

impl Fact {
    /// For people and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Scheme => "scheme",
            Self::Client => "client",
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        RegexBuilder::new(&text).multi_line(true).build().map(Self)
    }
}

/// Everything that is known.
#[derive(Debug)]
pub struct Knowledge {
    /// The stacks.
    pub stacks: Vec<Stack>,
    /// The languages, each under the name of its file.
    pub languages: BTreeMap<&'static str, Language>,
}

/// A file of ours that does not say what it should. Tests hold that none is so.
#[derive(Debug, Clone, Error)]
#[error("what this program knows of `{file}` cannot be read: {reason}; this is an error of ours, please report it")]
pub struct KnowledgeError {
    file: &'static str,
    reason: String,
}

macro_rules! embedded {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!($folder, "/", $name, ".toml")))),*]
    };
}

/// A new stack is a file in `stacks/` and its name here.
const STACKS: &[(&str, &str)] = embedded!("stacks":
    "actix" "axum" "chi" "create-react-app" "django" "dockerfile" "echo" "express" "fastapi" "fastify" "flask" "gin" "go"
    "koa" "nest" "next" "next-export" "node" "procfile" "rails" "site" "vite");
const LANGUAGES: &[(&str, &str)] = embedded!("languages": "any" "go" "javascript" "python" "ruby" "rust");

impl Knowledge {
    /// What is built in, read once.
    ///
    /// # Errors
    /// When a file of ours is wrong.
    pub fn built_in() -> Result<&'static Self, KnowledgeError> {
        static BUILT_IN: OnceLock<Result<Knowledge, KnowledgeError>> = OnceLock::new();
        BUILT_IN.get_or_init(Self::load).as_ref().map_err(Clone::clone)
    }

    /// Reads what is built in.
    pub fn load() -> Result<Self, KnowledgeError> {
        let error = |file, reason: toml::de::Error| KnowledgeError { file, reason: reason.to_string() };
        let stacks = STACKS.iter().map(|&(file, text)| toml::from_str(text).map_err(|reason| error(file, reason)));
        let languages = LANGUAGES
            .iter()
            .map(|&(file, text)| Ok((file, toml::from_str(text).map_err(|reason| error(file, reason))?)));
        Ok(Self { stacks: stacks.collect::<Result<_, _>>()?, languages: languages.collect::<Result<_, _>>()? })
    }

    /// The language of a file, by its ending.
    pub fn language_of(&self, extension: &str) -> Option<&Language> {
        self.languages.values().find(|language| language.extensions.iter().any(|own| own == extension))
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_file_is_embedded_and_says_something() {
        for (folder, list) in [("stacks", STACKS), ("languages", LANGUAGES)] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
            let mut there: Vec<String> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().replace(".toml", ""))
                .collect();
            there.sort();
            assert_eq!(there, list.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
        }
        let knowledge = Knowledge::load().unwrap();
        for stack in &knowledge.stacks {
            assert!(knowledge.languages.contains_key(stack.language.as_str()), "{}", stack.name);
            assert_ne!(stack.start.is_empty(), stack.site.is_none(), "{} starts, or is a site", stack.name);
            for start in &stack.start {
                assert!(!start.command.is_empty(), "{}", stack.name);
                let facts: Vec<Fact> = stack.behind.iter().flat_map(|behind| &behind.gives).copied().collect();
                for fact in [Fact::Scheme, Fact::Client] {
                    let known = start.gives.contains(&fact) || facts.contains(&fact) || stack.language == "any";
                    assert!(known, "{}: `{}` says nothing of {fact:?}", stack.name, start.command);
                }
            }
        }
    }
}
