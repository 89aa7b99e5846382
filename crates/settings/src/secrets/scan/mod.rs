//! Looks through a text for secrets: by their shape, by the name that they are given to, and by being known.

mod assigned;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod dice;
mod live;
mod place;
mod public;
mod rules;
mod text;
mod value;
mod words;

use std::{cell::OnceCell, collections::BTreeMap, sync::LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use sha2::{Digest, Sha256};

use place::Kind;
use rules::{Counts, RULES, Rule};
use value::Strength;

pub(super) use live::{Live, assignment, variables_on_disk};
pub(super) use public::is_public_token;
use text::readable;
pub(super) use value::constant;

/// A secret that was found. Its value is nowhere in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What it is.
    pub title: String,
    /// Path and line.
    pub place: String,
    /// Enough of it to recognise it.
    pub shown: String,
    /// Tells values apart.
    pub hash: [u8; 8],
}

/// What one text came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What counts.
    pub findings: Vec<Finding>,
    /// What has the shape, in tests and documents, where it is an example.
    pub examples: usize,
}

/// A keyword leads to these rules; the last number is that of telling names.
struct Keywords {
    automaton: AhoCorasick,
    leads_to: Vec<(Option<usize>, String)>,
}

static KEYWORDS: LazyLock<Keywords> = LazyLock::new(|| {
    let general = RULES.iter().enumerate().filter(|(_, rule)| rule.files.is_empty());
    let mut leads_to: Vec<(Option<usize>, String)> =
        general.flat_map(|(at, rule)| rule.keywords.iter().map(move |word| (Some(at), word.clone()))).collect();
    leads_to.extend(words::WORDS.telling.iter().map(|word| (None, word.clone())));
    #[expect(clippy::expect_used, reason = "constant words, put together in every test")]
    let automaton = AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::DFA))
        .build(leads_to.iter().map(|(_, word)| word))
        .expect("the words fit");
    Keywords { automaton, leads_to }
});

/// More findings in one text are no secrets but a list of something.
const MOST: usize = 200;

/// Looks through a file's bytes.
pub(super) fn scan(bytes: &[u8], path: &str, live: &Live) -> Found {
    let Some(content) = readable(bytes) else { return Found::default() };
    let scan = Scan {
        content: &content,
        path,
        kind: place::kind(path),
        tests: place::tests_begin(&content, path),
        docstrings: OnceCell::new(),
    };
    scan.all(live)
}

struct Scan<'a> {
    content: &'a [u8],
    path: &'a str,
    kind: Kind,
    tests: usize,
    docstrings: OnceCell<Vec<(usize, usize)>>,
}

/// A hit before it is judged: where its value is, what it is, and how much of it may be shown.
type Hits = BTreeMap<(usize, usize), (String, usize)>;

impl Scan<'_> {
    fn all(&self, live: &Live) -> Found {
        let (mut hits, mut examples) = (Hits::new(), 0);
        for (from, to, title) in live.in_text(self.content) {
            hits.insert((from, to), (title, 0));
        }
        for rule in RULES.iter().filter(|rule| !rule.files.is_empty() && self.content.len() < 256 << 10) {
            if rule.files.iter().any(|ending| self.path.to_lowercase().ends_with(ending.as_str())) {
                self.shapes(rule, (0, self.content.len()), &mut hits, &mut examples);
            }
        }
        let keywords = &*KEYWORDS;
        for word in keywords.automaton.find_overlapping_iter(self.content) {
            if hits.len() > MOST {
                break;
            }
            let (leads_to, keyword) = &keywords.leads_to[word.pattern().as_usize()];
            let Some(rule) = leads_to else {
                self.assigned((word.start(), word.end()), &mut hits);
                continue;
            };
            let exact = keyword.bytes().any(|byte| byte.is_ascii_uppercase());
            if exact && self.content[word.start()..word.end()] != *keyword.as_bytes() {
                continue;
            }
            let rule = &RULES[*rule];
            let window =
                (word.start().saturating_sub(rule.reach[0]), self.content.len().min(word.end() + rule.reach[1]));
            self.shapes(rule, window, &mut hits, &mut examples);
        }
        Found { findings: self.findings(hits), examples }
    }

    fn shapes(&self, rule: &Rule, (from, to): (usize, usize), hits: &mut Hits, examples: &mut usize) {
        for found in rule.pattern.0.captures_iter(&self.content[from..to]) {
            let Some(value) = found.iter().skip(1).flatten().next() else { continue };
            let span = (from + value.start(), from + value.end());
            if !self.is_likely(rule, value.as_bytes(), span) {
                continue;
            }
            if place::is_placeholder(self.content, span.0) {
                *examples += 1;
                continue;
            }
            let is_example = self.kind == Kind::Foreign || span.0 >= self.tests || self.is_documentation(span.0);
            let guessed = rule.entropy == 0.0;
            let is_weak =
                |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| value::strength(text) < Strength::Random);
            let doubted = guessed && (self.kind == Kind::Made || self.is_careful(span.0)) && is_weak(value.as_bytes());
            if rule.counts == Counts::OutsideExamples && (is_example || doubted) {
                *examples += usize::from(!hits.contains_key(&span));
                continue;
            }
            hits.entry(span).or_insert_with(|| (rule.title.clone(), if guessed { 0 } else { 4 }));
        }
    }

    /// Random enough, no example, not a piece of something longer, and not public by what is around it.
    fn is_likely(&self, rule: &Rule, bytes: &[u8], (from, to): (usize, usize)) -> bool {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        if rule.entropy == 0.0 {
            return value::strength(text.trim_end_matches('\\')) >= Strength::Human;
        }
        if value::entropy(bytes) < rule.entropy
            || value::is_made_up(behind_keyword(text, rule))
            || value::is_published(text)
        {
            return false;
        }
        if rule.title.contains("header")
            && value::decoded(text).is_some_and(|login| {
                login.split_once(':').is_none_or(|(_, password)| value::strength(password) == Strength::None)
            })
        {
            return false;
        }
        let around = &self.content[from.saturating_sub(500)..self.content.len().min(to + 500)];
        !rule.unless.as_ref().is_some_and(|unless| unless.0.is_match(around)) && !self.is_piece((from, to))
    }

    /// Within base64 of something else, any letters come to stand beside each other.
    fn is_piece(&self, (from, to): (usize, usize)) -> bool {
        let is_base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
        let before = self.content[..from].iter().rev().take(120).take_while(is_base64);
        let behind = self.content[to..].iter().take(120).take_while(is_base64);
        before.count() + behind.count() >= 80
    }

    fn assigned(&self, word: (usize, usize), hits: &mut Hits) {
        if self.kind == Kind::Foreign || word.0 >= self.tests {
            return;
        }
        let Some(span) = assigned::secret_at(self.content, word, self.kind, || self.is_careful(word.0)) else { return };
        let overlaps = hits.range(..span).next_back().is_some_and(|((_, to), _)| *to > span.0)
            || hits.range(span..).next().is_some_and(|((from, _), _)| *from < span.1);
        if !overlaps && !self.is_piece(span) && !self.is_documentation(span.0) {
            hits.insert(span, ("assigned secret".to_owned(), 0));
        }
    }

    /// In the documentation of code, or behind a word that announces an example.
    fn is_documentation(&self, at: usize) -> bool {
        let docstrings = self.docstrings.get_or_init(|| place::docstrings(self.content, self.path));
        docstrings.iter().any(|(from, to)| (*from..*to).contains(&at))
            || place::is_announced(self.content, at, self.kind)
    }

    /// In a comment, or in a line that no person writes, it takes more to believe.
    fn is_careful(&self, at: usize) -> bool {
        let line = self.content[at.saturating_sub(2_000)..at].iter().rev().position(|byte| *byte == b'\n');
        (line.is_none() && at > 2_000) || place::is_comment(self.content, at)
    }

    fn findings(&self, hits: Hits) -> Vec<Finding> {
        let (mut line, mut read) = (1, 0);
        let mut findings: Vec<Finding> = Vec::new();
        for ((from, to), (title, shown)) in hits {
            line += self.content[read..from].iter().filter(|byte| **byte == b'\n').count();
            read = from;
            let value = &self.content[from..to];
            // Never the value itself: a report must not leak what it found.
            let start = String::from_utf8_lossy(&value[..shown.min(value.len())]).into_owned();
            let shown = format!("{start}…, {} characters", value.len());
            findings.push(Finding { title, place: format!("{}:{line}", self.path), shown, hash: hash(value) });
        }
        findings.dedup_by(|next, first| next.hash == first.hash && next.place == first.place);
        findings
    }
}

/// What comes behind the vendor's own letters: only that must not look made up.
fn behind_keyword<'v>(value: &'v str, rule: &Rule) -> &'v str {
    let longest = rule.keywords.iter().filter(|word| value.starts_with(word.as_str())).map(String::len).max();
    let rest = value.get(longest.unwrap_or(0)..).unwrap_or(value);
    if rest.len() < 6 { value } else { rest }
}

/// Tells values apart, and gives none away.
fn hash(value: &[u8]) -> [u8; 8] {
    let mut hash = [0; 8];
    hash.iter_mut().zip(Sha256::digest(value)).for_each(|(own, byte)| *own = byte);
    hash
}

/// Whether a value could be a secret, under the name of one.
pub(super) fn looks_secret(value: &str) -> bool {
    value::strength(value) >= Strength::Human
}
