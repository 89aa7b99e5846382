//! Source as far as it is read without a parser: which bytes are code, which are text, and no comments.

use regex::{Captures, Regex};

use crate::knowledge::{Token, TokenKind};

/// A file's text without its comments.
#[derive(Debug)]
pub struct Source {
    /// As long as the file; comments are spaces.
    pub code: String,
    /// What is inside a text, behind the opening quote: from, to.
    texts: Vec<(usize, usize)>,
    /// Where its lines end.
    ends: Vec<usize>,
}

impl Source {
    /// Reads a file's text.
    pub fn new(text: &str, tokens: &[Token]) -> Self {
        Scanner::new(text, tokens).scan()
    }

    /// Every match that begins in code: where its group `at` begins, else the match itself.
    pub fn matches<'s>(&'s self, pattern: &'s Regex) -> impl Iterator<Item = Captures<'s>> {
        pattern.captures_iter(&self.code).filter(|found| {
            let start = found.name("at").or_else(|| found.get(0)).map_or(0, |part| part.start());
            // A pattern that takes the character before its word begins on a line's end or in the blank before it.
            let blank = self.code[start..].bytes().take_while(u8::is_ascii_whitespace).count();
            !self.is_text(start + blank)
        })
    }

    /// Whether a byte is inside a text.
    pub fn is_text(&self, offset: usize) -> bool {
        let after = self.texts.partition_point(|(from, _)| *from <= offset);
        after.checked_sub(1).is_some_and(|before| offset < self.texts[before].1)
    }

    /// The line of a byte, from 1.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|end| *end < offset)
    }
}

/// Goes through a text once. `open` is what surrounds the place: a text, or code within a text with its depth.
struct Scanner<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    code: Vec<u8>,
    in_text: Vec<bool>,
    open: Vec<(&'a Token, Option<usize>)>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, tokens: &'a [Token]) -> Self {
        let length = text.len();
        Self {
            text,
            tokens,
            at: 0,
            code: Vec::with_capacity(length),
            in_text: Vec::with_capacity(length),
            open: Vec::new(),
        }
    }

    fn scan(mut self) -> Source {
        while self.at < self.text.len() {
            match self.open.last().copied() {
                Some((token, None)) => self.inside_text(token),
                Some((token, Some(depth))) => self.inside_code_of_text(token, depth),
                None => self.inside_code(),
            }
        }
        // Only whole comments were blanked, so this is UTF-8 as before.
        let code = String::from_utf8_lossy(&self.code).into_owned();
        let ends = code.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Source { code, texts: spans(&self.in_text), ends }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn take(&mut self, count: usize, in_text: bool) {
        let end = (self.at + count).min(self.text.len());
        self.code.extend_from_slice(&self.text.as_bytes()[self.at..end]);
        self.in_text.resize(end, in_text);
        self.at = end;
    }

    fn blank(&mut self, count: usize) {
        let end = (self.at + count).min(self.text.len());
        let bytes = &self.text.as_bytes()[self.at..end];
        self.code.extend(bytes.iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        self.in_text.resize(end, false);
        self.at = end;
    }

    fn inside_code(&mut self) {
        let rest = self.rest();
        let Some(token) = self.tokens.iter().find(|token| rest.starts_with(token.open.as_bytes())) else {
            return self.take(1, false);
        };
        if token.kind == TokenKind::Comment {
            let after = &self.text[self.at + token.open.len()..];
            // A line's end belongs to what follows.
            let close = if token.close == "\n" { 0 } else { token.close.len() };
            let length = after.find(&token.close).map_or(after.len(), |end| end + close);
            return self.blank(token.open.len() + length);
        }
        // A pattern may name a text with its quotes: it then begins in code.
        self.take(token.open.len(), false);
        if !token.close.is_empty() {
            self.open.push((token, None));
        }
    }

    fn inside_text(&mut self, token: &'a Token) {
        let rest = self.rest();
        if token.escape && rest[0] == b'\\' {
            self.take(2, true);
        } else if rest.starts_with(token.close.as_bytes()) {
            self.take(token.close.len(), true);
            self.open.pop();
        } else if rest[0] == b'\n' && !token.lines {
            // Not a text after all, or one that is wrong: the line's end limits the damage.
            self.take(1, false);
            self.open.pop();
        } else if let Some([begin, _]) = token.code.as_ref().filter(|[begin, _]| rest.starts_with(begin.as_bytes())) {
            self.take(begin.len(), true);
            self.open.push((token, Some(0)));
        } else {
            self.take(1, true);
        }
    }

    fn inside_code_of_text(&mut self, token: &'a Token, depth: usize) {
        let rest = self.rest();
        let end = token.code.as_ref().map_or("}", |[_, end]| end.as_str());
        if rest.starts_with(end.as_bytes()) {
            self.open.pop();
            if depth > 0 {
                self.open.push((token, Some(depth - 1)));
            }
            return self.take(end.len(), depth == 0);
        }
        if rest[0] == b'{' {
            self.open.pop();
            self.open.push((token, Some(depth + 1)));
            return self.take(1, false);
        }
        if rest.starts_with(token.close.as_bytes()) && depth == 0 {
            // The text ends before its code does: a lone brace.
            self.open.pop();
            return;
        }
        self.inside_code();
    }
}

/// The stretches of what is set.
fn spans(set: &[bool]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, _) in set.iter().enumerate().filter(|(_, set)| **set) {
        match found.last_mut() {
            Some((_, end)) if *end == at => *end += 1,
            _ => found.push((at, at + 1)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::Knowledge;

    fn found(language: &str, text: &str) -> Vec<usize> {
        let knowledge = Knowledge::load().unwrap();
        let source = Source::new(text, &knowledge.languages[language].tokens);
        assert_eq!(source.code.len(), text.len());
        let word = Regex::new("WORD").unwrap();
        source.matches(&word).map(|found| source.line(found.get(0).unwrap().start())).collect()
    }

    #[test]
    fn comments_and_texts_are_not_code() {
        assert_eq!(found("python", "# WORD\n'WORD'\nWORD\n\"\"\"\nWORD ' \" \n\"\"\"\nWORD # don't\nWORD"), [3, 7, 8]);
        assert_eq!(found("javascript", "// it's WORD\n/* WORD\n*/ WORD\n'a\\'WORD'\nWORD"), [3, 5]);
        assert_eq!(found("rust", "fn a<'a>() {}\nWORD\n\"WORD\n\"; r#\" \" WORD\"#; '\"'; WORD"), [2, 4]);
        assert_eq!(found("go", "`\\` + WORD\n'\"' + WORD"), [1, 2]);
        assert_eq!(found("ruby", "# WORD\n=begin\nWORD\n=end\nWORD"), [5]);
    }

    #[test]
    fn code_within_a_text_is_code() {
        assert_eq!(found("javascript", "`WORD ${ {a: WORD} + `${WORD}` } WORD` + WORD"), [1, 1, 1]);
        assert_eq!(found("python", "f\"WORD {WORD!r} {{}} WORD\"\nWORD"), [1, 2]);
        assert_eq!(found("ruby", "\"WORD #{WORD}\"\nWORD"), [1, 2]);
    }

    #[test]
    fn a_quote_that_never_closes_ends_with_its_line() {
        assert_eq!(found("javascript", "<p>don't</p> WORD\nWORD é"), [2]);
        assert_eq!(found("python", "'\\"), [] as [usize; 0]);
    }

    #[test]
    fn a_pattern_may_name_a_text_with_its_quotes() {
        let knowledge = Knowledge::load().unwrap();
        let source = Source::new("'a' \"'a'\" # 'a'\n'a'", &knowledge.languages["python"].tokens);
        let lines: Vec<usize> = source
            .matches(&Regex::new("'a'").unwrap())
            .map(|found| source.line(found.get(0).unwrap().start()))
            .collect();
        assert_eq!(lines, [1, 2]);
    }

    #[test]
    fn every_byte_stays_in_its_place() {
        let knowledge = Knowledge::load().unwrap();
        for language in knowledge.languages.values() {
            for text in ["é # ü", "'é\\é'", "/* é", "`${é", "f'{é", "\"\\", "\n=begin é", ""] {
                let source = Source::new(text, &language.tokens);
                assert_eq!(source.code.len(), text.len(), "{text}");
            }
        }
    }
}
