//! Groovy as far as a declarative Jenkinsfile needs it: blocks, and calls with texts. Nothing is evaluated.

/// A call, or a block: `sh 'make test'`, `stage('Test') { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Its name.
    pub(super) name: String,
    /// Texts among its arguments.
    pub(super) texts: Vec<String>,
    /// Everything between its name and its block, as it stands there.
    pub(super) arguments: String,
    /// What is in its braces.
    pub(super) body: Vec<Node>,
    /// It has braces.
    pub(super) is_block: bool,
    /// Its line, from 1.
    pub(super) line: usize,
}

const DEEPEST: usize = 40;
const MOST: usize = 5_000;

/// Every call and block of a file.
pub(super) fn nodes(text: &str) -> Vec<Node> {
    let mut reader = Reader { text, at: 0, line: 1, seen: 0 };
    let mut found = Vec::new();
    while reader.at < text.len() && reader.seen < MOST {
        found.extend(reader.block(0));
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    seen: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip(&mut self, count: usize) {
        let end = (self.at + count).min(self.text.len());
        self.line += self.text[self.at..end].matches('\n').count();
        self.at = end;
    }

    /// Up to the brace that closes this block.
    fn block(&mut self, depth: usize) -> Vec<Node> {
        let mut found = Vec::new();
        while let Some(first) = self.rest().chars().next() {
            if self.comment() {
                continue;
            }
            if first == '}' {
                self.skip(1);
                return found;
            }
            if first.is_alphabetic() || first == '_' {
                self.seen += 1;
                if self.seen > MOST || depth > DEEPEST {
                    self.at = self.text.len();
                    return found;
                }
                found.push(self.node(depth));
            } else if first == '{' {
                self.skip(1);
                if depth < DEEPEST {
                    found.extend(self.block(depth + 1));
                }
            } else if self.quoted().is_none() {
                self.skip(first.len_utf8());
            }
        }
        found
    }

    fn comment(&mut self) -> bool {
        let rest = self.rest();
        let length = match () {
            () if rest.starts_with("//") || rest.starts_with("#!") => rest.find('\n').unwrap_or(rest.len()),
            () if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            () => return false,
        };
        self.skip(length);
        true
    }

    /// Takes a text with its quotes.
    fn quoted(&mut self) -> Option<String> {
        let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| self.rest().starts_with(quote))?;
        self.skip(quote.len());
        let mut text = String::new();
        while let Some(letter) = self.rest().chars().next() {
            if self.rest().starts_with(quote) {
                self.skip(quote.len());
                return Some(text);
            }
            if letter == '\n' && quote.len() == 1 {
                return Some(text);
            }
            if letter == '\\' {
                self.skip(1);
                let Some(escaped) = self.rest().chars().next() else { break };
                text.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                });
                self.skip(escaped.len_utf8());
                continue;
            }
            text.push(letter);
            self.skip(letter.len_utf8());
        }
        Some(text)
    }

    fn node(&mut self, depth: usize) -> Node {
        let line = self.line;
        let end = self.rest().find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '.');
        let name = self.rest()[..end.unwrap_or(self.rest().len())].to_owned();
        self.skip(name.len());
        let (start, mut texts, mut brackets) = (self.at, Vec::new(), 0_usize);
        while let Some(letter) = self.rest().chars().next() {
            if self.comment() {
                continue;
            }
            match letter {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' if brackets == 0 => {
                    let arguments = self.text[start..self.at].trim().to_owned();
                    self.skip(1);
                    let body = if depth < DEEPEST { self.block(depth + 1) } else { Vec::new() };
                    return Node { name, texts, arguments, body, is_block: true, line };
                }
                '}' if brackets == 0 => break,
                '\n' | ';' if brackets == 0 => break,
                '\'' | '"' => {
                    texts.extend(self.quoted());
                    continue;
                }
                _ => {}
            }
            self.skip(letter.len_utf8());
        }
        let arguments = self.text[start..self.at].trim().to_owned();
        Node { name, texts, arguments, body: Vec::new(), is_block: false, line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_calls() {
        let text = "// a { b\npipeline {\n  stages {\n    stage('Te}st') {\n      steps {\n        sh 'make \\'x\\''\n        sh(script: \"\"\"\n          a\n        \"\"\", returnStatus: true)\n      }\n    }\n  }\n}\n";
        let found = nodes(text);
        let stage = &found[0].body[0].body[0];
        assert_eq!((stage.name.as_str(), stage.texts[0].as_str(), stage.line), ("stage", "Te}st", 4));
        let steps = &stage.body[0].body;
        assert_eq!(steps[0].texts, ["make 'x'"]);
        assert!(steps[1].arguments.contains("returnStatus") && steps[1].texts[0].trim() == "a");
    }

    #[test]
    fn hostile_files_end() {
        for text in
            ["a {".repeat(100_000), "{".repeat(100_000), "a ('".repeat(50_000), "}".repeat(1000), "é'".to_owned()]
        {
            assert!(nodes(&text).len() <= 100_000);
        }
    }
}
