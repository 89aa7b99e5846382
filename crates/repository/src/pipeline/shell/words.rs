//! The words and signs of a script.

/// A piece of a script, with the lines before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, and whether any of it was quoted: a quoted `if` is no keyword.
    Word(String, bool),
    Sign(&'static str),
}

/// Longer ones first.
const SIGNS: [&str; 19] =
    ["<<<", "<<-", "&>>", ";;", "&&", "||", "|&", "<<", ">>", ">&", "<&", "&>", ";", "|", "&", "(", ")", "<", ">"];
/// Signs whose next word is no word of the command.
const REDIRECTIONS: [&str; 10] = ["<<<", "<<-", "&>>", "<<", ">>", ">&", "<&", "&>", "<", ">"];

pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut scanner = Scanner { text, at: 0, line: 0, found: Vec::new(), here: Vec::new() };
    while scanner.at < text.len() {
        scanner.step();
    }
    scanner.found
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    found: Vec<Token>,
    /// Ends of the here-documents that begin behind this line.
    here: Vec<String>,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn step(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return };
        if first == '\n' {
            self.push(Kind::Sign("\n"));
            self.at += 1;
            self.line += 1;
            self.skip_here_documents();
        } else if first.is_whitespace() {
            self.at += first.len_utf8();
        } else if rest.starts_with("\\\n") {
            self.at += 2;
            self.line += 1;
        } else if first == '#' {
            self.at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            self.at += sign.len();
            if REDIRECTIONS.contains(sign) { self.redirection(sign) } else { self.push(Kind::Sign(sign)) }
        } else {
            let line = self.line;
            let (word, quoted) = self.word();
            // `2>file`: the number belongs to the redirection.
            let number = word.bytes().all(|byte| byte.is_ascii_digit()) && self.rest().starts_with(['>', '<']);
            if !number {
                self.found.push(Token { kind: Kind::Word(word, quoted), line });
            }
        }
    }

    fn push(&mut self, kind: Kind) {
        self.found.push(Token { kind, line: self.line });
    }

    fn redirection(&mut self, sign: &str) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        if self.rest().starts_with(['\n', ';', ')']) || self.rest().is_empty() {
            return;
        }
        if self.rest().starts_with('(') {
            // `<(command)`: a file in place of a word.
            self.balanced(1, '(', ')');
            return;
        }
        let (word, _) = self.word();
        if sign == "<<" || sign == "<<-" {
            self.here.push(word);
        }
    }

    fn skip_here_documents(&mut self) {
        for end in std::mem::take(&mut self.here) {
            while self.at < self.text.len() {
                let rest = self.rest();
                let line = rest.lines().next().unwrap_or_default();
                self.at = (self.at + rest.find('\n').map_or(rest.len(), |at| at + 1)).min(self.text.len());
                self.line += 1;
                if line.trim() == end {
                    break;
                }
            }
        }
    }

    /// Takes a word, without its quotes.
    fn word(&mut self) -> (String, bool) {
        let (mut word, mut quoted, start) = (String::new(), false, self.at);
        while let Some(first) = self.rest().chars().next() {
            match first {
                '\'' | '"' => {
                    quoted = true;
                    self.quoted(first, &mut word);
                }
                '\\' => {
                    let next = self.rest().chars().nth(1);
                    self.at += 1 + next.map_or(0, char::len_utf8);
                    match next {
                        Some('\n') => self.line += 1,
                        Some(letter) => word.push(letter),
                        None => {}
                    }
                }
                '$' | '`' => self.expansion(&mut word),
                // `<< parameters.x >>` of CircleCI is taken for here-documents elsewhere; it never reaches a shell.
                ';' | '|' | '&' | '(' | ')' | '<' | '>' => break,
                letter if letter.is_whitespace() => break,
                letter => {
                    word.push(letter);
                    self.at += letter.len_utf8();
                }
            }
        }
        if self.at == start {
            self.at += self.rest().chars().next().map_or(1, char::len_utf8);
        }
        (word, quoted)
    }

    fn quoted(&mut self, quote: char, word: &mut String) {
        self.at += 1;
        while let Some(letter) = self.rest().chars().next() {
            if letter == quote {
                self.at += 1;
                return;
            }
            if quote == '"' && letter == '$' {
                self.expansion(word);
                continue;
            }
            if quote == '"' && letter == '\\' {
                self.at += 1;
            }
            let Some(letter) = self.rest().chars().next() else { return };
            self.line += usize::from(letter == '\n');
            word.push(letter);
            self.at += letter.len_utf8();
        }
    }

    /// `$(…)`, `${…}`, `${{ … }}`, a variable, or backticks: kept as they are.
    fn expansion(&mut self, word: &mut String) {
        let start = self.at;
        let rest = self.rest();
        if rest.starts_with("$(") {
            self.at += 1;
            self.balanced(0, '(', ')');
        } else if rest.starts_with("${") {
            self.at += 1;
            self.balanced(0, '{', '}');
        } else if let Some(body) = rest.strip_prefix('`') {
            let end = body.find('`').map_or(body.len(), |end| end + 1);
            self.line += body[..end].matches('\n').count();
            self.at += 1 + end;
        } else {
            self.at += 1;
        }
        word.push_str(&self.text[start..self.at]);
    }

    /// Goes behind the bracket that closes the one here.
    fn balanced(&mut self, mut depth: usize, open: char, close: char) {
        while let Some(letter) = self.rest().chars().next() {
            self.at += letter.len_utf8();
            self.line += usize::from(letter == '\n');
            if letter == open {
                depth += 1;
            } else if letter == close {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return;
                }
            }
        }
    }
}
