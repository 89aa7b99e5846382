//! What a team has put on record in its documents: measurements, decisions, plans.

use std::{path::Path, sync::LazyLock};

use crate::{
    Repository,
    calendar::{days, today},
    is_test,
};
use regex::Regex;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static DATE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(20\d\d-\d\d-\d\d)\b").expect("the pattern is valid"));
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static SIGNED: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?im)^[\s>*_|-]*(?:signed|signed[- ]off(?: by)?|approved(?: by)?|deciders?|decided by|decision[- ]makers?|owners?|responsible|author|accountable)[\s*_|]*[:|][\s*_|]*([A-Z@][^\n|]{2,})";
    Regex::new(pattern).expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static BLANK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:tbd|todo|fixme|lorem ipsum|your name|name here|fill (?:this )?in|yyyy-mm-dd)\b|<[a-z ]+>|\[(?:name|date|owner|person|insert[^\]]*|x+)\]|\{\{|_{4,}").expect("the pattern is valid")
});

/// A document: its path and its text, code blocks and comments left out.
#[derive(Debug)]
pub struct Document {
    /// Below the root of the repository.
    pub path: String,
    /// What is written, comments left out.
    pub text: String,
    /// The same in small letters.
    pub lower: String,
}

impl Document {
    /// Every document written by hand, change logs left out.
    pub fn all(repository: &Repository) -> Vec<Self> {
        let left_out = |path: &Path| {
            let name = path.to_string_lossy().to_lowercase();
            let words = [
                "changelog",
                "changes",
                "license",
                "licence",
                "code_of_conduct",
                "history",
                "news",
                "node_modules",
                "checklist",
            ];
            words.iter().any(|word| name.contains(word)) || is_test(path)
        };
        let paths = repository.ending(&["md", "rst", "adoc", "txt"]).filter(|path| !left_out(path)).take(2000);
        let read = |path: &Path| {
            let text = without_comments(&repository.text(path).filter(|text| text.len() < 1 << 20)?);
            Some(Self { path: path.display().to_string(), lower: text.to_lowercase(), text })
        };
        paths.filter_map(read).collect()
    }

    /// Where something is left to be filled in.
    pub fn blank(&self) -> Option<usize> {
        // `{{name}}` between back-ticks is code that is spoken of; a word for *later* is one anywhere.
        let is_code = |at: usize| self.text[..at].rsplit('\n').next().unwrap_or_default().matches('`').count() % 2 == 1;
        let is_word = |text: &str| text.starts_with(char::is_alphabetic);
        let mut all = BLANK.find_iter(&self.text);
        let found = all.find(|found| is_word(found.as_str()) || !is_code(found.start()))?;
        Some(1 + self.text[..found.start()].matches('\n').count())
    }

    /// Whether it is dated and somebody stands for it.
    pub fn is_signed(&self) -> bool {
        DATE.is_match(&self.text) && SIGNED.is_match(&self.text)
    }

    /// Days since the latest date that lies in the past, on a line that holds one of these words.
    pub fn age_of(&self, words: &[&str]) -> Option<i64> {
        let lines = self.text.lines().filter(|line| words.iter().any(|word| line.to_lowercase().contains(word)));
        let dates = lines.flat_map(|line| DATE.captures_iter(line)).filter_map(|found| days(&found[1]));
        dates.map(|day| today() - day).filter(|age| *age >= 0).min()
    }

    /// Whether any word is there.
    pub fn has_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.lower.contains(word))
    }
}

fn without_comments(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("<!--") {
        made.push_str(&rest[..start]);
        let end = rest[start..].find("-->").map_or(rest.len(), |end| start + end + 3);
        made.extend(rest[start..end].chars().filter(|letter| *letter == '\n'));
        rest = &rest[end..];
    }
    made + rest
}

/// A record of a measurement: a document with a table of at least three rows of numbers whose head names the subject and
/// what was measured.
pub fn measurement(repository: &Repository, subject: &[&str], measured: &[&str]) -> Option<String> {
    for document in Document::all(repository) {
        let lines: Vec<&str> = document.lower.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let head = line.contains('|')
                && subject.iter().any(|word| line.contains(word))
                && measured.iter().any(|word| line.contains(word));
            if !head {
                continue;
            }
            let rows = lines[at + 1..].iter().take_while(|line| line.contains('|'));
            let numbers = |row: &&&str| {
                row.split('|').filter(|cell| cell.trim().starts_with(|letter: char| letter.is_ascii_digit())).count()
                    >= 2
            };
            if rows.filter(numbers).count() >= 3 {
                return Some(format!("{}:{}", document.path, at + 1));
            }
        }
    }
    None
}

/// A decision record about something: a document in a folder of decisions, or one that calls itself a decision.
pub fn decision(repository: &Repository, subject: &[&[&str]]) -> Option<Document> {
    Document::all(repository).into_iter().find(|document| {
        let place = document.path.to_lowercase();
        let folder =
            ["adr", "adrs", "decisions", "decision"].iter().any(|part| place.split('/').any(|own| own == *part));
        let called =
            document.lower.lines().take(30).any(|line| line.contains("decision") || line.contains("status: accepted"));
        let title = document.lower.lines().take(40).collect::<Vec<_>>().join("\n");
        (folder || called)
            && subject.iter().all(|words| words.iter().any(|word| title.contains(word) || place.contains(word)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_dated_and_blank() {
        let document = |text: &str| Document { path: "a.md".into(), text: text.into(), lower: text.to_lowercase() };
        assert!(document("Date: 2026-01-02\n- **Owner:** Ada Example\n").is_signed());
        assert!(!document("Date: 2026-01-02\nOwner:\n").is_signed() && !document("Owner: Ada\n").is_signed());
        assert_eq!(document("a\nOwner: TBD\n").blank(), Some(2));
        assert_eq!(document("a [link](x) 2026\n").blank(), None);
        assert_eq!(document("the helper `{{ghost_head}}` adds it; `<script>` too\n").blank(), None);
        assert_eq!(document("kept by `{{ghost_head}}` and {{owner}}\n").blank(), Some(1));
        assert_eq!(document("Owner: `TBD`\n").blank(), Some(1));
        assert!(document("drill 2020-01-01\ndrill 2021-01-01").age_of(&["drill"]).unwrap() > 1000);
        assert_eq!(without_comments("a<!-- b\nc -->d"), "a\nd");
    }
}
