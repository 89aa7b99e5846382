//! Conditions of pipelines: one grammar that those of GitHub, GitLab, Azure and Buildkite fit into.

use regex::Regex;

use super::occasion::Truth;

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text; a number is one too.
    Text(String),
    /// True or false.
    Truth(bool),
    /// It is not set.
    Nothing,
    /// It is whatever it is compared with: the project's own name, or one leg of a matrix.
    Fits,
    /// It is nothing that it is compared with: an ordinary person, an ordinary message.
    Ordinary,
    /// The files do not tell.
    Unknown,
}

/// Deeper expressions are not read.
const DEEPEST: usize = 60;

/// What a condition comes to, where `name` tells the value of each name.
pub fn evaluate(text: &str, name: &dyn Fn(&str) -> Value) -> Truth {
    let text = text.trim();
    let inner = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).filter(|rest| !rest.contains("${{"));
    let tokens = tokens(inner.unwrap_or(text));
    let mut reader = Reader { tokens: &tokens, at: 0, depth: 0, name };
    let value = reader.either();
    if reader.at < tokens.len() { Truth::Maybe } else { truth(&value) }
}

fn truth(value: &Value) -> Truth {
    match value {
        Value::Truth(known) => (*known).into(),
        Value::Text(text) => (!["", "false", "0"].contains(&text.as_str())).into(),
        Value::Nothing => Truth::No,
        Value::Fits => Truth::Yes,
        Value::Ordinary | Value::Unknown => Truth::Maybe,
    }
}

fn value(truth: Truth) -> Value {
    match truth {
        Truth::Yes => Value::Truth(true),
        Truth::No => Value::Truth(false),
        Truth::Maybe => Value::Unknown,
    }
}

#[derive(Debug, PartialEq)]
enum Token {
    Sign(&'static str),
    Word(String),
    Text(String),
    Regex(String),
}

const SIGNS: [&str; 14] = ["&&", "||", "==", "!=", "=~", "!~", "<=", ">=", "<", ">", "!", "(", ")", ","];

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            found.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first == '\'' || first == '"' || first == '/' {
            let body = &rest[1..];
            let end = body.find(first).unwrap_or(body.len());
            // A regular expression may hold an escaped slash; that is rare enough to be read as far as it goes.
            let text = body[..end].to_owned();
            rest = body.get(end + 1..).unwrap_or_default();
            if first == '/' {
                rest = rest.trim_start_matches(['i', 'm', 's']);
                found.push(Token::Regex(text));
            } else {
                found.push(Token::Text(text));
            }
        } else {
            let end = word_end(rest);
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    found
}

/// Where a name ends: it may hold an index, as `variables['Build.Reason']` does.
fn word_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if letter.is_alphanumeric() || "_.-*$:{}@".contains(letter) => {}
            _ => return at.max(letter.len_utf8().min(text.len())),
        }
    }
    text.len()
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    name: &'a dyn Fn(&str) -> Value,
}

impl Reader<'_> {
    fn takes(&mut self, sign: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Sign(own)) if *own == sign);
        self.at += usize::from(is);
        is
    }

    fn either(&mut self) -> Value {
        self.depth += 1;
        if self.depth > DEEPEST {
            self.at = self.tokens.len();
            return Value::Unknown;
        }
        let mut left = self.both();
        while self.takes("||") {
            let right = self.both();
            // `a || 'default'` gives the value itself.
            left = match truth(&left) {
                Truth::No => right,
                Truth::Yes => left,
                Truth::Maybe if truth(&right) == Truth::Yes => right,
                Truth::Maybe => Value::Unknown,
            };
        }
        self.depth -= 1;
        left
    }

    fn both(&mut self) -> Value {
        let mut left = self.compared();
        while self.takes("&&") {
            let right = self.compared();
            left = match truth(&left) {
                Truth::No => left,
                Truth::Yes => right,
                Truth::Maybe => value(truth(&right).min(Truth::Maybe)),
            };
        }
        left
    }

    fn compared(&mut self) -> Value {
        let left = self.single();
        let Some(Token::Sign(sign)) = self.tokens.get(self.at) else { return left };
        let sign = *sign;
        if !["==", "!=", "=~", "!~", "<", ">", "<=", ">="].contains(&sign) {
            return left;
        }
        self.at += 1;
        if let (true, Some(Token::Regex(pattern))) = (sign.ends_with('~'), self.tokens.get(self.at)) {
            self.at += 1;
            return matched(&left, pattern, sign == "=~");
        }
        let right = self.single();
        match sign {
            "==" => value(equal(&left, &right)),
            "!=" => value(different(&left, &right)),
            _ => Value::Unknown,
        }
    }

    fn single(&mut self) -> Value {
        if self.takes("!") {
            self.depth += 1;
            let inner = if self.depth > DEEPEST { Value::Unknown } else { self.single() };
            self.depth -= 1;
            // One leg of a matrix has the opposite too.
            return if inner == Value::Fits { inner } else { value(not(truth(&inner))) };
        }
        if self.takes("(") {
            let inner = self.either();
            self.takes(")");
            return inner;
        }
        let token = self.tokens.get(self.at);
        self.at += 1;
        match token {
            Some(Token::Text(text)) => Value::Text(text.clone()),
            Some(Token::Word(word)) if self.takes("(") => self.call(&word.to_lowercase()),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Value::Truth(true),
                "false" => Value::Truth(false),
                "null" => Value::Nothing,
                number if number.starts_with(|first: char| first.is_ascii_digit()) => Value::Text(number.to_owned()),
                _ => (self.name)(word),
            },
            Some(Token::Regex(_) | Token::Sign(_)) | None => Value::Unknown,
        }
    }

    fn call(&mut self, function: &str) -> Value {
        let mut given = Vec::new();
        while !self.takes(")") && self.at < self.tokens.len() {
            given.push(self.either());
            self.takes(",");
        }
        let all = || given.iter().map(truth).min().unwrap_or(Truth::Yes);
        let any = || given.iter().map(truth).max().unwrap_or(Truth::No);
        match (function, given.as_slice()) {
            ("success" | "succeeded" | "always" | "succeededorfailed", _) => Value::Truth(true),
            ("failure" | "failed" | "cancelled" | "canceled", _) => Value::Truth(false),
            ("and", _) => value(all()),
            ("or", _) => value(any()),
            ("not", [one]) => value(not(truth(one))),
            ("eq", [left, right]) => value(equal(left, right)),
            ("ne", [left, right]) => value(different(left, right)),
            ("in", [left, rest @ ..]) => value(rest.iter().map(|one| equal(left, one)).max().unwrap_or(Truth::No)),
            ("contains" | "startswith" | "endswith", [whole, part]) => holds(function, whole, part),
            _ => Value::Unknown,
        }
    }
}

fn not(truth: Truth) -> Truth {
    match truth {
        Truth::Yes => Truth::No,
        Truth::No => Truth::Yes,
        Truth::Maybe => Truth::Maybe,
    }
}

fn equal(left: &Value, right: &Value) -> Truth {
    match (left, right) {
        (Value::Unknown, _) | (_, Value::Unknown) => Truth::Maybe,
        (Value::Fits, _) | (_, Value::Fits) => Truth::Yes,
        (Value::Ordinary, _) | (_, Value::Ordinary) => Truth::No,
        (Value::Text(left), Value::Text(right)) => left.eq_ignore_ascii_case(right).into(),
        (Value::Truth(known), Value::Text(text)) | (Value::Text(text), Value::Truth(known)) => {
            (text.eq_ignore_ascii_case(&known.to_string())).into()
        }
        (Value::Nothing, Value::Text(text)) | (Value::Text(text), Value::Nothing) => text.is_empty().into(),
        (Value::Nothing, Value::Truth(known)) | (Value::Truth(known), Value::Nothing) => (!known).into(),
        (left, right) => (left == right).into(),
    }
}

fn different(left: &Value, right: &Value) -> Truth {
    // One leg of a matrix fits both `==` and `!=`; the project's own name is only ever compared with itself.
    if *left == Value::Fits && *right == Value::Fits { Truth::No } else { not(equal(left, right)) }
}

fn matched(left: &Value, pattern: &str, wanted: bool) -> Value {
    match (left, Regex::new(pattern)) {
        (Value::Text(text), Ok(pattern)) => Value::Truth(pattern.is_match(text) == wanted),
        (Value::Nothing | Value::Ordinary, Ok(_)) => Value::Truth(!wanted),
        (Value::Fits, _) => Value::Truth(wanted),
        _ => Value::Unknown,
    }
}

fn holds(function: &str, whole: &Value, part: &Value) -> Value {
    match (whole, part) {
        (Value::Text(whole), Value::Text(part)) => {
            let (whole, part) = (whole.to_lowercase(), part.to_lowercase());
            Value::Truth(match function {
                "startswith" => whole.starts_with(&part),
                "endswith" => whole.ends_with(&part),
                _ => whole.contains(&part),
            })
        }
        (Value::Ordinary | Value::Nothing, _) => Value::Truth(false),
        (Value::Fits, _) => Value::Truth(true),
        _ => Value::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Truth {
        evaluate(text, &|name| match name {
            "github.event_name" => Value::Text("push".into()),
            "github.ref" | "variables['Build.SourceBranch']" => Value::Text("refs/heads/main".into()),
            "github.repository" | "matrix.custom" => Value::Fits,
            "github.actor" | "github.event.head_commit.message" => Value::Ordinary,
            "$CI_COMMIT_BRANCH" => Value::Text("main".into()),
            "$CI_COMMIT_TAG" => Value::Nothing,
            _ => Value::Unknown,
        })
    }

    #[test]
    fn conditions_of_four_systems() {
        let yes = [
            "${{ github.event_name == 'push' && github.ref == 'refs/heads/main' }}",
            "github.repository == 'a/b' && github.actor != 'dependabot[bot]'",
            "!contains(github.event.head_commit.message, '[skip ci]')",
            "and(succeeded(), eq(variables['Build.SourceBranch'], 'refs/heads/main'))",
            "$CI_COMMIT_BRANCH =~ /^ma/ && $CI_COMMIT_TAG == null",
            "startsWith(github.ref, 'refs/heads/') || secrets.X",
            "always()",
            "true",
            "${{ !matrix.custom }}",
        ];
        assert_eq!(yes.map(told), [Truth::Yes; 9]);
        let no = [
            "false",
            "${{ false }}",
            "github.event_name == 'pull_request'",
            "$CI_COMMIT_TAG",
            "failure()",
            "ne(variables['Build.SourceBranch'], 'refs/heads/main')",
            "$CI_COMMIT_BRANCH !~ /main/",
            "(false || !true) && unknown",
        ];
        assert_eq!(no.map(told), [Truth::No; 8]);
        let maybe = ["secrets.X != ''", "vars.RUN == 'true' && true", "a b c"];
        assert_eq!(maybe.map(told), [Truth::Maybe; 3]);
    }

    #[test]
    fn what_is_built_to_go_deep_is_not_followed() {
        assert_eq!(told(&"(".repeat(100_000)), Truth::Maybe);
        assert_eq!(told(&"!".repeat(100_000)), Truth::Maybe);
        assert_eq!(told("é == 'ü' ]["), Truth::Maybe);
    }
}
