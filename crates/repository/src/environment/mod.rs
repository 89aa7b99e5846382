//! Variables of the environment: those that the app itself reads, and the files that name or set them.

mod file;
mod setting;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use crate::{Repository, Source, Variable};
use serde::Deserialize;

pub use file::{Entry, entries};
pub use setting::{Purpose, Setting, settings};

#[derive(Deserialize)]
struct Platform {
    names: BTreeSet<String>,
    prefixes: Vec<String>,
    framework: BTreeSet<String>,
    framework_prefixes: Vec<String>,
    standards: Vec<String>,
    tool_folders: BTreeSet<String>,
    tool_names: Vec<String>,
    examples: BTreeSet<String>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static PLATFORM: LazyLock<Platform> =
    LazyLock::new(|| toml::from_str(include_str!("platform.toml")).expect("what is known of platforms is valid"));
/// Larger files are data.
const LARGEST: usize = 512 << 10;

/// A variable that the app reads.
#[derive(Debug)]
pub struct Read<'r> {
    /// Its name.
    pub name: &'r str,
    /// What is known of it.
    pub variable: &'r Variable,
    /// Where the app reads it, tools apart.
    pub places: Vec<&'r (PathBuf, usize)>,
}

/// The variables that the app reads, without those of platforms and those that only tools read.
pub fn read_by_app(repository: &Repository) -> Vec<Read<'_>> {
    let own = repository.variables().all.iter().filter(|(name, _)| !is_of_platform(name));
    let read = own.map(|(name, variable)| {
        let in_test = |path: &Path, line: usize| {
            repository.sources().get(path).and_then(tests_begin).is_some_and(|begin| line > begin)
        };
        let places = variable.places.iter().filter(|(path, line)| !is_tool(path) && !in_test(path, *line)).collect();
        Read { name, variable, places }
    });
    read.filter(|read| !read.places.is_empty()).collect()
}

/// The line where the tests of a Rust source begin, which stand at its end.
pub fn tests_begin(source: &Source) -> Option<usize> {
    source.code.find("#[cfg(test)]\nmod ").map(|at| source.line(at))
}

/// A platform, a runtime or a tool sets it.
pub fn is_of_platform(name: &str) -> bool {
    PLATFORM.names.contains(name) || PLATFORM.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
}

/// The build of a front end puts it in: no process reads it.
pub fn is_of_build(name: &str) -> bool {
    ["VITE_", "NEXT_PUBLIC_", "REACT_APP_", "PUBLIC_", "NUXT_PUBLIC_", "EXPO_PUBLIC_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// A framework or a server reads it by itself.
pub fn is_of_framework(name: &str) -> bool {
    let prefixed = PLATFORM.framework_prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
    is_of_platform(name) || PLATFORM.framework.contains(name) || prefixed
}

/// A standard says what it means, whichever program reads it.
pub fn is_of_standard(name: &str) -> bool {
    PLATFORM.standards.iter().any(|prefix| name.starts_with(prefix.as_str()))
}

/// A tool of developers, and no part of the app. What a task of Rake reads are its arguments.
pub fn is_tool(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut folders = path.parent().into_iter().flat_map(Path::components).filter_map(|part| part.as_os_str().to_str());
    path.extension().is_some_and(|ending| ending == "rake")
        || folders.any(|folder| PLATFORM.tool_folders.contains(folder))
        || PLATFORM.tool_names.iter().any(|part| name.starts_with(part.as_str()))
}

/// The files that show which variables there are.
pub fn examples(repository: &Repository) -> Vec<&Path> {
    let named = |path: &&Path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| PLATFORM.examples.contains(name))
    };
    repository.files().filter(named).collect()
}

/// Every word of sources, tests and files that configure something: a variable that is named nowhere is gone.
pub fn mentioned(repository: &Repository) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut add = |text: &str| {
        let words =
            text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).filter(|word| word.len() > 2);
        let words: HashSet<&str> = words.collect();
        found.extend(words.into_iter().map(str::to_ascii_uppercase));
    };
    repository.sources().values().chain(repository.tests().values()).for_each(|source| add(&source.code));
    let endings = [
        "yml",
        "yaml",
        "toml",
        "json",
        "sh",
        "cfg",
        "ini",
        "conf",
        "tf",
        "hcl",
        "prisma",
        "nix",
        "service",
        "tpl",
        "j2",
        "php",
        "java",
        "kt",
        "cs",
        "ex",
        "exs",
        "erb",
        "html",
        "xml",
        "properties",
        "bash",
        "mk",
        "template",
    ];
    for path in repository.files() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let ending = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
        let plain = ["Dockerfile", "Containerfile", "Procfile", "Makefile", "justfile", "Caddyfile"]
            .iter()
            .any(|own| name.starts_with(own));
        let example = PLATFORM.examples.contains(name) || name.ends_with("-lock.json");
        let configures = plain || endings.contains(&ending) || (ending.is_empty() && name.contains("entrypoint"));
        let text = (configures && !example).then(|| repository.text(path)).flatten();
        if let Some(text) = text.filter(|text| text.len() <= LARGEST) {
            add(&text);
        }
    }
    found
}

/// Which of these are there, in groups by name: for sentences.
pub fn first_few<'a>(names: impl Iterator<Item = &'a str>, count: usize) -> String {
    let names: BTreeMap<&str, ()> = names.map(|name| (name, ())).collect();
    let shown: Vec<&str> = names.keys().copied().take(count).collect();
    let rest = names.len().saturating_sub(shown.len());
    if rest == 0 { shown.join(", ") } else { format!("{} and {rest} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use crate::Sample;

    use super::*;

    #[test]
    fn platforms_and_tools_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let app = "a(process.env.API_URL, process.env.NODE_ENV, process.env.VERCEL_URL)\n";
        Sample::of(&[
            ("src/a.js", app),
            ("scripts/b.js", "process.env.ONLY_TOOL"),
            ("vite.config.ts", "process.env.ONLY_BUILD"),
            ("lib/tasks/remind.rake", "task :remind do\n  days = ENV['DAYS']\nend\n"),
            ("a.go", "package a\nvar z = os.Getenv(\"ZONEINFO\")\n"),
        ])
        .write(folder.path())
        .unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        assert_eq!(read_by_app(&repository).iter().map(|read| read.name).collect::<Vec<_>>(), ["API_URL"]);
        assert!(mentioned(&repository).contains("ONLY_TOOL"));
        assert_eq!(first_few(["b", "a", "c"].into_iter(), 2), "a, b and 1 more");
    }
}
