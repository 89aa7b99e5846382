//! The requirements that stand as literals in a setup.py: lists, and texts that are split into lines.

use std::sync::LazyLock;

use regex::Regex;

/// A requirement, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// `Name[extra]>=1 ; marker`.
    pub line: String,
    /// The extra that asks for it.
    pub extra: Option<String>,
}

#[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
static LISTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\b(?P<key>install_requires|extras_require|tests_require)\s*=\s*(?P<open>\[|\{|"""|''')"#)
        .expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"#[^\n]*|"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)'|[\[\]{}:()]"#).expect("the pattern is valid")
});

/// Every requirement that is a literal, in the order of the text.
pub fn requirements(text: &str) -> Vec<Requirement> {
    let mut found = Vec::new();
    for list in LISTS.captures_iter(text) {
        let Some(open) = list.name("open") else { continue };
        let extra = (&list["key"] == "tests_require").then(|| "test".to_owned());
        let rest = &text[open.end()..];
        match open.as_str() {
            "[" | "{" => found.extend(of_literal(&text[open.start()..], extra)),
            quotes => {
                let lines = rest.split(quotes).next().unwrap_or_default().lines().map(str::trim);
                let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
                found.extend(lines.map(|line| Requirement { line: line.to_owned(), extra: extra.clone() }));
            }
        }
    }
    found
}

/// Texts of a list, or of the lists in a mapping, up to the closing bracket.
fn of_literal(text: &str, key: Option<String>) -> Vec<Requirement> {
    let mapping = text.starts_with('{');
    let (mut depth, mut extra, mut found) = (0_usize, key, Vec::new());
    for token in TOKEN.captures_iter(text) {
        let value = token.name("double").or_else(|| token.name("single"));
        match (value, &token[0]) {
            (Some(value), _) if mapping && depth == 1 => extra = Some(value.as_str().to_owned()),
            (Some(value), _) => found.push(Requirement { line: value.as_str().to_owned(), extra: extra.clone() }),
            (None, "[" | "{" | "(") => depth += 1,
            (None, "]" | "}" | ")") => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_lists_and_split_texts() {
        let lines = |text: &str| requirements(text).into_iter().map(|one| one.line).collect::<Vec<_>>();
        assert_eq!(lines("install_requires = \"\"\"\nA==1\n# B==2\nC==3\n\"\"\".split()\n"), ["A==1", "C==3"]);
        assert_eq!(
            lines("setup(install_requires=[\n  'a',  # 'b'\n  'c>=1; x < \"3\"'], other=['d'])\n"),
            ["a", "c>=1; x < \"3\""]
        );
        let of = requirements("extras_require={'x': ['a'], 'y': ['b', 'c']}\ntests_require=['t']\n");
        let shown: Vec<String> =
            of.iter().map(|one| format!("{}:{}", one.extra.as_deref().unwrap_or("-"), one.line)).collect();
        assert_eq!(shown, ["x:a", "y:b", "y:c", "test:t"]);
        assert!(lines("install_requires=open('a').readlines()").is_empty());
        assert!(lines("install_requires=[").is_empty() && lines("install_requires=\"\"\"").is_empty());
    }
}
