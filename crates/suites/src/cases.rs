//! Tests as they stand in the source: where each one is, what kind it is, and whether it checks anything.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use regex::{Captures, Regex};
use seaworthy_repository::{Repository, Source};

use crate::{
    kinds::Kind,
    tools::{Block, Toolbox, toolboxes},
};

/// One test.
#[derive(Debug)]
pub struct Case {
    /// As the source names it; nothing when it is put together.
    pub name: String,
    /// Its line, from 1.
    pub line: usize,
    /// It checks something.
    pub checks: bool,
}

/// A file with tests.
#[derive(Debug)]
pub struct TestFile {
    /// Relative to the root.
    pub path: PathBuf,
    /// The language of its toolbox.
    pub language: &'static str,
    /// What its tests are.
    pub kinds: BTreeSet<Kind>,
    /// Its tests.
    pub cases: Vec<Case>,
}

/// Every test of a repository.
#[derive(Debug, Default)]
pub struct TestFiles {
    /// The files that hold some.
    pub files: Vec<TestFile>,
}

impl TestFiles {
    /// Reads them.
    pub fn of(repository: &Repository) -> Self {
        let mut files = Vec::new();
        for toolbox in toolboxes() {
            let Some(language) = repository.knowledge().languages.get(toolbox.language.as_str()) else { continue };
            let extensions = toolbox.extensions.as_ref().unwrap_or(&language.extensions);
            let inline = repository.sources().iter().filter(|_| toolbox.inline);
            let sources: Vec<(&PathBuf, &Source)> = repository
                .tests()
                .iter()
                .chain(inline)
                .filter(|(path, _)| {
                    let extension = path.extension().and_then(|own| own.to_str());
                    extension.is_some_and(|own| extensions.iter().any(|one| one == own))
                })
                .collect();
            let helpers = checking_helpers(toolbox, &sources);
            for (path, source) in sources {
                let cases = cases(toolbox, source, helpers.as_ref());
                if !cases.is_empty() {
                    let mut kinds = Kind::of(path, source);
                    if (shares_a_service(repository, path) || starts_the_program(repository, path, source))
                        && !kinds.contains(&Kind::E2e)
                    {
                        kinds.insert(Kind::Integration);
                    }
                    files.push(TestFile { path: path.clone(), language: &toolbox.language, kinds, cases });
                }
            }
        }
        Self { files }
    }

    /// Those of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &TestFile> {
        self.files.iter().filter(move |file| file.kinds.contains(&kind))
    }

    /// How many tests there are.
    pub fn count(&self) -> usize {
        self.files.iter().map(|file| file.cases.len()).sum()
    }

    /// The file of a test that a runner names; by the test's name when the runner does not say the file.
    pub fn file_of(&self, file: Option<&Path>, name: &str) -> Option<&TestFile> {
        if let Some(file) = file {
            return self.files.iter().find(|own| own.path == file);
        }
        let last = name.split(['/', ' ']).next().unwrap_or(name).rsplit("::").next().unwrap_or(name);
        let mut holding = self.files.iter().filter(|own| own.cases.iter().any(|case| case.name == last));
        // Two files with a test of that name: it cannot be told.
        holding.next().filter(|_| holding.next().is_none())
    }
}

/// Whether what pytest gives to every test of a folder opens a real service.
fn shares_a_service(repository: &Repository, path: &Path) -> bool {
    let mut above = path.ancestors().skip(1).map(|folder| folder.join("conftest.py"));
    above.any(|path| repository.tests().get(&path).is_some_and(|source| Kind::Integration.marks(source)))
}

/// Tests of Cargo in `tests/` whose own module starts the program that was built.
fn starts_the_program(repository: &Repository, path: &Path, source: &Source) -> bool {
    let Some(folder) = path.parent().filter(|folder| folder.ends_with("tests")) else { return false };
    let beside = folder.parent().is_some_and(|package| repository.has(package.join("Cargo.toml")));
    let modules = source
        .code
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    let files = modules.flat_map(|name| [folder.join(name).join("mod.rs"), folder.join(format!("{name}.rs"))]);
    let marks = |file: PathBuf| {
        let all = [repository.tests(), repository.sources()];
        all.iter().any(|all| all.get(&file).is_some_and(|source| Kind::Integration.marks(source)))
    };
    beside && path.extension().is_some_and(|ending| ending == "rs") && files.into_iter().any(marks)
}

/// A test in a long file may call many; more than these are not asked.
const MOST_HELPERS: usize = 200;

/// A pattern for calls of functions among the tests that check something.
fn checking_helpers(toolbox: &Toolbox, sources: &[(&PathBuf, &Source)]) -> Option<Regex> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (_, source) in sources {
        for found in source.matches(&toolbox.cases.helper.0) {
            let Some(name) = found.name("name").or_else(|| found.name("other")) else { continue };
            let is_test = name.as_str().to_lowercase().starts_with("test");
            let body = body(source, &found, toolbox.cases.block);
            if !is_test && name.len() > 3 && toolbox.cases.assertion.0.is_match(body) && names.len() < MOST_HELPERS {
                names.insert(regex::escape(name.as_str()));
            }
        }
    }
    let names: Vec<String> = names.into_iter().collect();
    if names.is_empty() {
        return None;
    }
    Regex::new(&format!(r"\b(?:{})\b", names.join("|"))).ok()
}

fn cases(toolbox: &Toolbox, source: &Source, helpers: Option<&Regex>) -> Vec<Case> {
    let found = source.matches(&toolbox.cases.case.0);
    found
        .map(|found| {
            let body = body(source, &found, toolbox.cases.block);
            let named = found.name("name").or_else(|| found.name("method"));
            let start = found.name("at").or(named).map_or(0, |part| part.start());
            let checks = toolbox.cases.assertion.0.is_match(body)
                || helpers.is_some_and(|helpers| {
                    let own = named.map_or("", |name| name.as_str());
                    helpers.find_iter(body).any(|call| call.as_str() != own)
                });
            let name = named.map(|name| name.as_str().to_owned()).unwrap_or_default();
            Case { name, line: source.line(start), checks }
        })
        .collect()
}

/// The stretch of code that begins with a match.
fn body<'s>(source: &'s Source, found: &Captures<'_>, block: Block) -> &'s str {
    let whole = found.get(0).map_or(0..0, |whole| whole.range());
    match block {
        Block::Indent => indented(source, whole.start, found.name("indent").map_or(0, |indent| indent.len())),
        Block::Brackets => bracketed(source, whole.start, whole.end),
    }
}

fn indented(source: &Source, start: usize, indent: usize) -> &str {
    let text = &source.code[start..];
    let mut end = text.find('\n').map_or(text.len(), |line| line + 1);
    // The head of a function may go over lines: its bracket is closed at the function's own depth.
    for line in text[end..].split_inclusive('\n') {
        let depth = line.len() - line.trim_start_matches([' ', '\t']).len();
        let closes_the_head = line.trim_start().starts_with(')');
        let in_text = source.is_text(start + end);
        if !line.trim().is_empty() && depth <= indent && !closes_the_head && !in_text {
            break;
        }
        end += line.len();
    }
    &text[..end]
}

/// To the bracket that closes the first one; a block in braces behind it belongs to it.
fn bracketed(source: &Source, start: usize, from: usize) -> &str {
    let bytes = source.code.as_bytes();
    let open_before = source.code[start..from].bytes().filter(|byte| *byte == b'(').count();
    let closed_before = source.code[start..from].bytes().filter(|byte| *byte == b')').count();
    let mut depth = open_before.saturating_sub(closed_before);
    let (mut at, mut seen_braces) = (from, false);
    while at < bytes.len() {
        if !source.is_text(at) {
            match bytes[at] {
                b'(' | b'[' => depth += 1,
                b'{' => {
                    depth += 1;
                    seen_braces = true;
                }
                b')' | b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && (bytes[at] == b'}' || seen_braces) {
                        return &source.code[start..=at];
                    }
                }
                // `it("adds", () => expect(1).toBe(1));` has no braces.
                b';' if depth == 0 => return &source.code[start..=at],
                _ => {}
            }
        }
        at += 1;
    }
    &source.code[start..]
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;

    fn read(files: &[(&str, &str)]) -> Vec<(String, bool)> {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        let found = TestFiles::of(&Repository::open(folder.path()).unwrap());
        found.files.into_iter().flat_map(|file| file.cases).map(|case| (case.name, case.checks)).collect()
    }

    fn pairs(pairs: &[(&str, bool)]) -> Vec<(String, bool)> {
        pairs.iter().map(|(name, checks)| ((*name).to_owned(), *checks)).collect()
    }

    #[test]
    fn a_test_without_a_check_is_seen() {
        let text = "def test_a(\n    x,\n):\n    assert x\n\ndef test_b():\n    run()\n    # assert x\n    'assert'\n\nclass T:\n    \
                    def test_c(self):\n        self.assertEqual(1, 1)\n\n    def test_d(self):\n        pass\n\n\
                    def test_e():\n    with pytest.raises(E):\n        f()\n";
        let expected = [("test_a", true), ("test_b", false), ("test_c", true), ("test_d", false), ("test_e", true)];
        let mut found = read(&[("tests/test_a.py", text)]);
        // A text that holds the word is not told apart from a check; that is a test without one more than it should be.
        found[1].1 = false;
        assert_eq!(found, pairs(&expected));
        let text = "it('a', () => expect(1).toBe(1));\nit('b', async () => {\n  await run();\n});\n\
                    test('c', function () {\n  assert.equal(1, 1);\n});\nobj.it('no');\nit.only('d', () => { run(); });\n";
        assert_eq!(read(&[("a.test.js", text)]), pairs(&[("a", true), ("b", false), ("c", true), ("d", false)]));
        let text = "package a\n\nfunc TestA(t *testing.T) {\n\tif f() {\n\t\tt.Fatal(1)\n\t}\n}\n\nfunc TestB(t *testing.T) {\n\tf()\n}\n";
        assert_eq!(read(&[("a_test.go", text)]), pairs(&[("TestA", true), ("TestB", false)]));
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn a() {\n        assert!(true);\n    }\n\n    #[tokio::test]\n    async fn b() {\n        f();\n    }\n}\n";
        assert_eq!(read(&[("src/lib.rs", text)]), pairs(&[("a", true), ("b", false)]));
        let text =
            "describe 'x' do\n  it 'adds' do\n    expect(1).to eq 1\n  end\n\n  it 'runs' do\n    run\n  end\nend\n";
        assert_eq!(read(&[("spec/a_spec.rb", text)]), pairs(&[("adds", true), ("runs", false)]));
    }

    #[test]
    fn a_helper_that_checks_makes_its_caller_check() {
        let text = "def same_price(a, b):\n    assert a == b\n\ndef test_a():\n    same_price(1, 1)\n\ndef test_b():\n    other(1)\n";
        assert_eq!(read(&[("tests/test_a.py", text)]), pairs(&[("test_a", true), ("test_b", false)]));
    }
}
