//! Suites: which runner runs which tests, and with what command.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use seaworthy_repository::{Manifest, Repository};

use crate::{
    cases::{TestFile, TestFiles},
    tools::{Format, Runner, Text, Toolbox, toolboxes},
};

/// Tests that one command runs.
#[derive(Debug)]
pub struct Suite {
    /// The runner's name.
    pub name: String,
    /// Where it runs, relative to the root.
    pub folder: PathBuf,
    /// What is known of its language.
    pub toolbox: Option<&'static Toolbox>,
    /// What is known of its runner.
    pub runner: Option<&'static Runner>,
    /// The command, with placeholders; nothing when none was found.
    pub line: Option<String>,
    /// How its results are read.
    pub format: Format,
    /// Files of its tests.
    pub files: Vec<PathBuf>,
}

/// Finds every suite.
pub fn find(repository: &Repository, tests: &TestFiles) -> Vec<Suite> {
    if let Some(command) = &repository.declared.test_command {
        return vec![Suite {
            name: format!("`{command}`"),
            folder: PathBuf::new(),
            toolbox: None,
            runner: None,
            line: Some(command.clone()),
            format: Format::Words,
            files: tests.files.iter().map(|file| file.path.clone()).collect(),
        }];
    }
    let mut suites = Vec::new();
    for toolbox in toolboxes() {
        let projects = Projects::of(repository, toolbox);
        let mut by_folder: BTreeMap<PathBuf, Vec<&TestFile>> = BTreeMap::new();
        for file in tests.files.iter().filter(|file| file.language == toolbox.language) {
            by_folder.entry(projects.folder(&file.path)).or_default().push(file);
        }
        for (folder, files) in by_folder {
            suites.extend(of_folder(repository, toolbox, &folder, &files));
        }
    }
    suites
}

/// The folders that are projects of a language.
pub struct Projects {
    roots: BTreeSet<PathBuf>,
    topmost: bool,
}

impl Projects {
    /// Looks for them.
    pub fn of(repository: &Repository, toolbox: &Toolbox) -> Self {
        let names: Vec<&str> = toolbox.roots.iter().map(String::as_str).collect();
        let roots = repository.named(&names).filter_map(|path| Some(path.parent()?.to_owned())).collect();
        Self { roots, topmost: toolbox.topmost }
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The one that a file belongs to.
    pub fn folder(&self, file: &Path) -> PathBuf {
        let mut above = file.ancestors().skip(1).filter(|folder| self.roots.contains(*folder));
        let found = if self.topmost { above.last() } else { above.next() };
        found.unwrap_or(Path::new("")).to_owned()
    }
}

fn of_folder(repository: &Repository, toolbox: &'static Toolbox, folder: &Path, files: &[&TestFile]) -> Vec<Suite> {
    let shown = Shown { repository, toolbox, folder };
    let mut left: Vec<&TestFile> = files.to_vec();
    let mut suites = Vec::new();
    for runner in toolbox.runner.iter().filter(|runner| !runner.kinds.is_empty()) {
        let Some(own) = runner.own.as_ref().filter(|_| shown.by_facts(runner)) else { continue };
        let is_its = |file: &&TestFile| {
            repository.tests().get(&file.path).is_some_and(|source| source.matches(&own.0).next().is_some())
        };
        let its: Vec<&TestFile> = left.iter().copied().filter(is_its).collect();
        left.retain(|file| !is_its(file));
        if !its.is_empty() {
            suites.push(suite(runner, toolbox, folder, &its, runner.run.clone()));
        }
    }
    if left.is_empty() {
        return suites;
    }
    let runners: Vec<&'static Runner> = toolbox.runner.iter().filter(|runner| runner.kinds.is_empty()).collect();
    let by_script = runners.iter().find_map(|runner| Some((*runner, shown.by_script(runner)?)));
    let has_source = |runner: &Runner, pattern: &Option<seaworthy_repository::Pattern>| {
        let Some(pattern) = pattern.as_ref() else { return false };
        let suits = runner.files.is_empty() || runner.without.is_empty() || shown.has_file(runner);
        let mut sources = left.iter().filter_map(|file| repository.tests().get(&file.path));
        suits && sources.any(|source| pattern.0.is_match(&source.code))
    };
    let by_facts = || runners.iter().find(|runner| runner.without.is_empty() && shown.by_facts(runner));
    let with_base = || {
        runners.iter().find(|runner| {
            !runner.without.is_empty()
                && shown.has_file(runner)
                && !runner.without.iter().any(|other| shown.depends(other))
                && has_source(runner, &runner.source)
        })
    };
    let by_source = || runners.iter().find(|runner| has_source(runner, &runner.source));
    let bare = || runners.iter().find(|runner| has_source(runner, &runner.bare));
    let found = by_script.or_else(|| {
        let runner = with_base().or_else(by_facts).or_else(by_source).or_else(bare)?;
        let line = runner.run.replace("$flags", "");
        Some((*runner, line))
    });
    let always = || runners.iter().find(|runner| runner.always).map(|runner| (*runner, runner.run.clone()));
    match found.or_else(always) {
        Some((runner, line)) => suites.push(suite(runner, toolbox, folder, &left, line)),
        None => suites.push(Suite {
            name: "the project's own test script".into(),
            folder: folder.to_owned(),
            toolbox: Some(toolbox),
            runner: None,
            line: shown.manifest().and_then(|manifest| manifest.scripts.get("test").cloned()),
            format: Format::Words,
            files: left.iter().map(|file| file.path.clone()).collect(),
        }),
    }
    suites
}

fn suite(
    runner: &'static Runner,
    toolbox: &'static Toolbox,
    folder: &Path,
    files: &[&TestFile],
    line: String,
) -> Suite {
    Suite {
        name: runner.name.clone(),
        folder: folder.to_owned(),
        toolbox: Some(toolbox),
        runner: Some(runner),
        line: Some(line),
        format: runner.results,
        files: files.iter().map(|file| file.path.clone()).collect(),
    }
}

/// What a folder shows.
struct Shown<'r> {
    repository: &'r Repository,
    toolbox: &'static Toolbox,
    folder: &'r Path,
}

impl Shown<'_> {
    fn manifest(&self) -> Option<&Manifest> {
        self.repository.manifests().of(self.folder, &self.toolbox.language)
    }

    fn has_file(&self, runner: &Runner) -> bool {
        runner.files.iter().any(|file| self.repository.has(self.folder.join(file)))
    }

    fn depends(&self, name: &str) -> bool {
        let own = self.manifest().is_some_and(|manifest| manifest.dependency(name).is_some());
        // Packages of a monorepo use what its root has.
        let root = self.repository.manifests().of(Path::new(""), &self.toolbox.language);
        own || root.is_some_and(|manifest| manifest.dependency(name).is_some())
    }

    fn by_facts(&self, runner: &Runner) -> bool {
        runner.dependencies.iter().any(|name| self.depends(name))
            || self.has_file(runner)
            || shows(self.repository, self.folder, &runner.texts)
    }

    /// The command of a test script, with our words in the runner's place.
    fn by_script(&self, runner: &Runner) -> Option<String> {
        let pattern = &runner.scripts.as_ref()?.0;
        let scripts = &self.manifest()?.scripts;
        let mut named: Vec<(&String, &String)> =
            scripts.iter().filter(|(name, _)| name.starts_with("test") || name.contains("unit")).collect();
        // `test` itself before `test:watch`.
        named.sort_by_key(|(name, _)| (*name != "test", name.contains("watch"), name.len()));
        named.into_iter().find_map(|(_, script)| {
            // Of `lint && jest`, what runs tests.
            let part = script.split("&&").flat_map(|part| part.split(';')).find(|part| pattern.is_match(part))?;
            let flags = pattern.captures(part).and_then(|found| Some(found.name("flags")?.as_str().to_owned()));
            let run = runner.run.replace("$flags", flags.as_deref().unwrap_or(""));
            let line = pattern.replace(part.trim(), regex::NoExpand(&run)).into_owned();
            Some(line.replace("--watchAll ", "").replace("--watch ", ""))
        })
    }
}

/// Whether one of these texts is in the folder, or in the root.
pub fn shows(repository: &Repository, folder: &Path, texts: &[Text]) -> bool {
    texts.iter().any(|text| {
        [folder, Path::new("")]
            .iter()
            .any(|folder| repository.text(folder.join(&text.file)).is_some_and(|own| text.pattern.0.is_match(&own)))
    })
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<(String, String, String)> {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let tests = TestFiles::of(&repository);
        let of = |suite: Suite| (suite.name, suite.folder.display().to_string(), suite.line.unwrap_or_default());
        find(&repository, &tests).into_iter().map(of).collect()
    }

    fn names(files: &[(&str, &str)]) -> Vec<String> {
        found(files).into_iter().map(|(name, _, _)| name).collect()
    }

    #[test]
    fn python_runners() {
        let case = "import unittest\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        assert 1\n";
        assert_eq!(names(&[("tests/test_a.py", case)]), ["unittest"]);
        assert_eq!(names(&[("tests/test_a.py", "def test_a():\n    assert 1\n")]), ["pytest"]);
        assert_eq!(names(&[("tests/test_a.py", case), ("requirements.txt", "pytest\n")]), ["pytest"]);
        let django =
            "from django.test import TestCase\n\nclass T(TestCase):\n    def test_a(self):\n        assert 1\n";
        assert_eq!(names(&[("a/tests.py", django), ("manage.py", "")]), [] as [&str; 0]);
        assert_eq!(names(&[("a/test_a.py", django), ("manage.py", "")]), ["Django's test runner"]);
        let with_pytest = [("a/test_a.py", django), ("manage.py", ""), ("requirements.txt", "pytest-django\n")];
        assert_eq!(names(&with_pytest), ["pytest"]);
    }

    #[test]
    fn javascript_runners_by_script_and_by_dependency() {
        let case = "test('a', () => { expect(1).toBe(1) })\n";
        let package = r#"{"scripts": {"lint": "eslint .", "test:watch": "jest --watch", "test": "eslint . && NODE_ENV=test jest --runInBand && echo"}}"#;
        let all = found(&[("a.test.js", case), ("package.json", package)]);
        assert_eq!(all[0].0, "jest");
        assert_eq!(all[0].2, "NODE_ENV=test jest --json --outputFile={results} {measure} --runInBand");
        let package = r#"{"scripts": {"test": "node --import tsx --test src/"}}"#;
        let all = found(&[("a.test.js", case), ("package.json", package)]);
        assert!(all[0].2.starts_with("node --import tsx --test --test-reporter="), "{all:?}");
        assert!(all[0].2.ends_with(" src/"), "{all:?}");
        assert_eq!(
            names(&[("web/a.test.js", case), ("web/package.json", r#"{"devDependencies": {"vitest": "1"}}"#)]),
            ["vitest"]
        );
        let package = r#"{"scripts": {"test": "tap"}}"#;
        assert_eq!(found(&[("a.test.js", case), ("package.json", package)])[0].2, "tap");
        let both = [
            ("a.test.js", case),
            ("e2e/b.spec.js", "const { test } = require('@playwright/test');\ntest('b', () => { expect(1) })\n"),
            ("package.json", r#"{"devDependencies": {"vitest": "1", "@playwright/test": "1"}}"#),
        ];
        assert_eq!(names(&both), ["Playwright", "vitest"]);
    }

    #[test]
    fn compiled_languages() {
        let test = "#[test]\nfn a() { assert!(true) }\n";
        let files = [("a/tests/a.rs", test), ("a/Cargo.toml", "[package]\nname=\"a\""), ("Cargo.toml", "[workspace]")];
        assert_eq!(found(&files)[0].1, "");
        assert_eq!(names(&[("a_test.go", "func TestA(t *testing.T) { t.Fatal() }\n"), ("go.mod", "")]), ["go test"]);
    }
}
