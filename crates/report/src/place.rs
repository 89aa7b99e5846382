//! Lines of source that a finding names, and paths as the URIs that other tools want.

use std::fmt::Write as _;

/// Endings of files that probes name. A host with a port looks the same otherwise.
const ENDINGS: &[&str] = &[
    "c",
    "cfg",
    "cjs",
    "conf",
    "cs",
    "css",
    "dockerfile",
    "env",
    "erb",
    "ex",
    "go",
    "gradle",
    "html",
    "ini",
    "java",
    "js",
    "json",
    "jsx",
    "kt",
    "lock",
    "md",
    "mjs",
    "php",
    "properties",
    "py",
    "rb",
    "rs",
    "scala",
    "sh",
    "sql",
    "swift",
    "tf",
    "toml",
    "ts",
    "tsx",
    "txt",
    "vue",
    "xml",
    "yaml",
    "yml",
];

/// A line of a file in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// As the finding has it.
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
}

/// Every `path:line` of a text, each once.
pub(crate) fn places(text: &str) -> Vec<Place> {
    let mut found = Vec::new();
    let outside = |character: char| !character.is_alphanumeric() && !"/._-".contains(character);
    for word in text.split(|character: char| character.is_whitespace() || "`\"'(),;<>[]{}".contains(character)) {
        let Some((path, rest)) = word.trim_matches(|character| outside(character) || character == '-').split_once(':')
        else {
            continue;
        };
        let line = rest.split(':').next().and_then(|line| line.parse().ok()).filter(|line| *line > 0);
        if let Some(line) = line.filter(|_| is_source(path)) {
            let place = Place { path: path.to_owned(), line };
            if !found.contains(&place) {
                found.push(place);
            }
        }
    }
    found
}

/// A path as the URI reference of RFC 3986; absolute paths get the `file` scheme.
pub(crate) fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.trim_start_matches("./").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

fn is_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    !path.starts_with("//") && ENDINGS.contains(&ending.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_source_are_found_and_hosts_are_not() {
        let text =
            "AWS key in src/settings.py:12, `deploy/.env:3` (app.ts:40:7) and Dockerfile:9; src/settings.py:12 again";
        let found: Vec<String> = places(text).iter().map(|place| format!("{} {}", place.path, place.line)).collect();
        assert_eq!(found, ["src/settings.py 12", "deploy/.env 3", "app.ts 40", "Dockerfile 9"]);
        for other in ["http://example.py:80/x", "127.0.0.1:8000", "db.internal:5432", "app.py:0", "at 12:30", "a.py:x"]
        {
            assert_eq!(places(other), [], "{other}");
        }
    }

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("docs/Go live #1 ä.md"), "docs/Go%20live%20%231%20%C3%A4.md");
        assert_eq!(uri("/tmp/a b"), "file:///tmp/a%20b");
        assert_eq!(uri("./LAUNCH.md"), "LAUNCH.md");
        assert_eq!(uri("a:b.md"), "a%3Ab.md");
    }
}
