//! What `.dockerignore` keeps out of the build.

use std::path::Path;

use regex::Regex;

/// The patterns of a `.dockerignore`, in order.
#[derive(Debug, Default)]
pub struct Ignored {
    rules: Vec<(Regex, bool)>,
}

impl Ignored {
    /// Reads a text. A pattern that no regular expression can stand for is left out.
    pub fn read(text: &str) -> Self {
        let mut rules = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (kept, pattern) = line.strip_prefix('!').map_or((false, line), |pattern| (true, pattern.trim()));
            let pattern = pattern.trim_start_matches("./").trim_matches('/');
            rules.extend(expression(pattern).map(|expression| (expression, !kept)));
        }
        Self { rules }
    }

    /// Whether a path (relative to the context) does not reach the build. The last rule that names it or a folder above it
    /// decides.
    pub fn is_ignored(&self, path: &Path) -> bool {
        let parts: Vec<&str> = path.components().filter_map(|part| part.as_os_str().to_str()).collect();
        let above: Vec<String> = (1..=parts.len()).map(|count| parts[..count].join("/")).collect();
        let mut ignored = false;
        for (expression, ignores) in &self.rules {
            if above.iter().any(|path| expression.is_match(path)) {
                ignored = *ignores;
            }
        }
        ignored
    }

    /// Whether anything below a folder may come back by an exception.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|(_, ignores)| !ignores)
    }
}

/// Go's path patterns, and `**` for any number of folders.
pub fn expression(pattern: &str) -> Option<Regex> {
    let mut made = String::from("^");
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let taken = match letter {
            '*' if rest.starts_with("**/") => {
                made.push_str("(?:.*/)?");
                3
            }
            '*' if rest.starts_with("**") => {
                made.push_str(".*");
                2
            }
            '*' => {
                made.push_str("[^/]*");
                1
            }
            '?' => {
                made.push_str("[^/]");
                1
            }
            '[' if rest.contains(']') => {
                let end = rest.find(']').unwrap_or(0);
                made.push_str(&rest[..=end]);
                end + 1
            }
            _ => {
                made.push_str(&regex::escape(&letter.to_string()));
                letter.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    Regex::new(&format!("{made}$")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_reads_it() {
        let ignored = Ignored::read("# x\n*\n!src\n!package.json\nsrc/**/*.test.js\n/docs/\n");
        let is = |path: &str| ignored.is_ignored(Path::new(path));
        assert!(is(".git/config") && is("README.md") && is("src/a/b.test.js") && is("docs/a"));
        assert!(!is("src/a/b.js") && !is("package.json"));
        let ignored = Ignored::read("*.md\n**/node_modules\n.env*\n[bad\n");
        let is = |path: &str| ignored.is_ignored(Path::new(path));
        assert!(is("A.md") && !is("a/B.md") && is("a/node_modules/b") && is("node_modules") && is(".env.local"));
    }
}
