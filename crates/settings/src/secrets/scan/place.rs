//! Where a text stands, and so how much it takes to believe that it is a secret.

use super::words::WORDS;

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Settings: a value may stand without quotes.
    Settings,
    /// Code: a value is quoted.
    Code,
    /// Tests, documents, examples, translations, and what others wrote: only what has the shape of one vendor's secrets.
    Foreign,
    /// Made by a program out of other files: only values that no person thinks up.
    Made,
}

/// What a path says of a file.
pub(super) fn kind(path: &str) -> Kind {
    let lower = path.replace('\\', "/").to_lowercase();
    let (folders, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    if is_lock(name) || folders.split('/').any(is_foreign_folder) || is_test_file(name) {
        return Kind::Foreign;
    }
    if is_example(name)
        || name.ends_with(".min.js")
        || name.ends_with(".min.css")
        || name.contains(".bundle.")
        || is_built(folders)
    {
        return Kind::Made;
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if name.starts_with(".env")
        || name.starts_with("dockerfile")
        || name.starts_with("containerfile")
        || name == "procfile"
        || name.starts_with("jenkinsfile")
        || name == "makefile"
        || WORDS.settings_endings.contains(ending)
        || ending.is_empty()
    {
        return match name {
            "license.txt" | "copying.txt" | "readme.txt" | "changes.txt" | "news.txt" | "changelog.txt" | "readme"
            | "changelog" | "license" => Kind::Foreign,
            _ => Kind::Settings,
        };
    }
    match WORDS.document_endings.contains(ending) || name.ends_with(".d.ts") {
        true => Kind::Foreign,
        false => Kind::Code,
    }
}

fn is_foreign_folder(folder: &str) -> bool {
    WORDS.foreign_folders.contains(folder)
        || folder.ends_with("_test")
        || folder.ends_with("-test")
        || folder.ends_with("_tests")
        || folder.ends_with("-tests")
        || folder.ends_with(".dist-info")
        || folder.ends_with(".egg-info")
        || ["docs_", "doc_", "docs-", "examples_", "examples-"].iter().any(|start| folder.starts_with(start))
        || folder.starts_with("test_")
        || folder.starts_with("test-")
}

fn is_built(folders: &str) -> bool {
    folders.split('/').any(|folder| [".next", ".nuxt", "dist", "out", "_site", ".output"].contains(&folder))
}

/// A test, a story, a mock, by its name.
fn is_test_file(name: &str) -> bool {
    [
        "_test.",
        ".test.",
        ".spec.",
        "_spec.",
        ".stories.",
        ".mock.",
        ".fixture.",
        "-test.",
        "_tests.",
        ".e2e.",
        ".e2e-spec.",
    ]
    .iter()
    .any(|mark| name.contains(mark))
        || name.starts_with("test_")
        || name.starts_with("test-")
        || name.starts_with("mock_")
        || ["conftest.py", "tests.py", "test.py", "tests.rs", "test.rs", "test.js", "test.ts"].contains(&name)
        || name.trim_end_matches(|character: char| character != '.').trim_end_matches('.').ends_with("tests")
        || ["changelog", "readme", "contributing", "history", "news", "license", "copying", "authors"]
            .iter()
            .any(|document| name == *document || name.starts_with(&format!("{document}.")))
}

fn is_example(name: &str) -> bool {
    ["example", "sample", "template", ".dist", "defaults", "schema"].iter().any(|word| name.contains(word))
}

/// Hashes in lock files look like secrets and are none.
fn is_lock(name: &str) -> bool {
    name.ends_with(".lock")
        || name.ends_with("-lock.json")
        || name.ends_with("-lock.yaml")
        || name.ends_with("-lock.yml")
        || name.ends_with(".lockfile")
        || [
            "go.sum",
            "npm-shrinkwrap.json",
            "cargo.lock",
            ".cargo-checksum.json",
            "record",
            "pkg-info",
            "metadata",
            "checksums.txt",
            "sha256sums",
            ".secrets.baseline",
        ]
        .contains(&name)
}

/// Where tests begin within a file of code: what follows is for them.
pub(super) fn tests_begin(content: &[u8], path: &str) -> usize {
    if !path.ends_with(".rs") {
        return content.len();
    }
    memchr(content, b"#[cfg(test)]").or_else(|| memchr(content, b"#[cfg(all(test")).unwrap_or(content.len())
}

fn memchr(content: &[u8], piece: &[u8]) -> Option<usize> {
    content.windows(piece.len()).position(|window| window == piece)
}

/// Where the documentation of Python's functions is, texts that stand alone; and fenced examples in YAML.
pub(super) fn docstrings(content: &[u8], path: &str) -> Vec<(usize, usize)> {
    let (mut found, mut open) = (Vec::new(), None);
    if path.ends_with(".yaml") || path.ends_with(".yml") {
        return fenced(content);
    }
    if !path.ends_with(".py") && !path.ends_with(".pyi") {
        return found;
    }
    let mut at = 0;
    while let Some(next) = content.get(at..).and_then(quotes) {
        let place = at + next;
        match open {
            None => {
                let line = content[..place].iter().rev().take_while(|byte| **byte != b'\n');
                // Code before it makes it a value.
                let alone = line.filter(|byte| !b" \trRbBuU".contains(byte)).count() == 0;
                open = Some((place, content[place], alone));
            }
            Some((start, quote, alone)) if content[place] == quote => {
                if alone {
                    found.push((start, place));
                }
                open = None;
            }
            Some(_) => {}
        }
        at = place + 3;
    }
    found
}

fn quotes(content: &[u8]) -> Option<usize> {
    content.windows(3).position(|three| three == b"\"\"\"" || three == b"\x27\x27\x27")
}

/// Examples between fences (```) within the texts of YAML; one that stays open fences nothing.
fn fenced(content: &[u8]) -> Vec<(usize, usize)> {
    let (mut found, mut open, mut at) = (Vec::new(), None, 0);
    for line in content.split(|byte| *byte == b'\n') {
        if line.trim_ascii_start().starts_with(b"```") {
            match open.take() {
                Some(start) => found.push((start, at)),
                None => open = Some(at),
            }
        }
        at += line.len() + 1;
    }
    found
}

/// Whether what stands before a place, on its line, says that an example follows. Settings have values, not examples.
pub(super) fn is_announced(content: &[u8], at: usize, kind: Kind) -> bool {
    let near = before_on_line(content, at, 160);
    let marks: [&[u8]; 9] = [
        b"e.g.",
        b"example:",
        b"example\":",
        b"example':",
        b"examples:",
        b"for example",
        b"placeholder",
        b"such as",
        b"looks like",
    ];
    kind != Kind::Settings && marks.iter().any(|mark| memchr(&near, mark).is_some())
}

/// In lower case; a line above speaks of something else.
fn before_on_line(content: &[u8], at: usize, most: usize) -> Vec<u8> {
    let near = &content[at.saturating_sub(most)..at];
    near.rsplit(|byte| *byte == b'\n').next().unwrap_or_default().to_ascii_lowercase()
}

/// Whether a place is that of a hint in a form: `placeholder: "e.g. …"`.
pub(super) fn is_placeholder(content: &[u8], at: usize) -> bool {
    let near = before_on_line(content, at, 24);
    [&b"e.g."[..], b"placeholder"].iter().any(|mark| memchr(&near, mark).is_some())
}

/// Whether the line of a place is a comment, or shows a session (`>>>`).
pub(super) fn is_comment(content: &[u8], at: usize) -> bool {
    let start = content[..at]
        .iter()
        .rev()
        .take(400)
        .position(|byte| *byte == b'\n')
        .map_or(at.saturating_sub(400), |back| at - back);
    let line = content[start..at].trim_ascii_start();
    ["//", "#", "*", "/*", "--", ";", ">>>", "...", "rem ", "<!--", "$ ", "///", "%"]
        .iter()
        .any(|mark| line.starts_with(mark.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for path in ["src/app.py", "lib/a.rb", "web/Main.tsx", "k.ipynb"] {
            assert_eq!(kind(path), Kind::Code, "{path}");
        }
        for path in
            [".env", ".env.production", "Dockerfile", "deploy/values.yaml", "main.tf", "id_rsa", "config/database.yml"]
        {
            assert_eq!(kind(path), Kind::Settings, "{path}");
        }
        for path in [
            "tests/a.py",
            "a_test.go",
            "poetry.lock",
            "docs/a.md",
            "README.md",
            "node_modules/a/i.js",
            "src/AppTests.cs",
        ] {
            assert_eq!(kind(path), Kind::Foreign, "{path}");
        }
        for path in ["src/integration/stripe.py", "internal/unit/a.go", "external/a.rb", "demo/a.py"] {
            assert_eq!(kind(path), Kind::Code, "{path}");
        }
        for path in [".env.example", "public/app.min.js", "dist/a.js"] {
            assert_eq!(kind(path), Kind::Made, "{path}");
        }
    }

    #[test]
    fn a_fenced_example_within_a_text_of_yaml() {
        let text = b"details: |-\n  ```python\n  key = 'a'\n  ```\nkey: b\n";
        let at = |part: &str| String::from_utf8_lossy(text).find(part).unwrap();
        let inside =
            |path: &str, part: &str| docstrings(text, path).iter().any(|(from, to)| (*from..*to).contains(&at(part)));
        assert!(inside("a/settings.yaml", "'a'") && !inside("a/settings.yaml", "b\n") && !inside("a.py", "'a'"));
        assert!(docstrings(b"```\nkey: a\n", "a.yml").is_empty());
    }

    #[test]
    fn an_example_is_announced_on_its_own_line() {
        let (same, above) = (&b"# such as key = "[..], &b"# placeholder of the form\nkey = "[..]);
        assert!(is_announced(same, same.len(), Kind::Code) && !is_announced(same, same.len(), Kind::Settings));
        assert!(!is_announced(above, above.len(), Kind::Code));
    }

    #[test]
    fn tests_within_a_file_and_comments() {
        assert_eq!(tests_begin(b"a\n#[cfg(test)]\nmod tests", "a.rs"), 2);
        assert!(is_comment(b"x\n  // a = b", 11) && !is_comment(b"x\n  a = b", 8));
    }
}
