//! The blocks of a script.

use super::words::{Kind, Token};

/// What follows what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    First,
    And,
    Or,
}

/// Commands one after the other.
pub(super) type List = Vec<Chain>;

/// Pipes joined by `&&` and `||`.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain {
    pub(super) links: Vec<(Join, Pipe)>,
    pub(super) background: bool,
}

/// Commands whose output goes to the next.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) parts: Vec<Node>,
    pub(super) negated: bool,
}

/// A command, or a block in its place.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Command {
        words: Vec<String>,
        line: usize,
    },
    /// `{ … }` and, in a shell of its own, `( … )`.
    Group {
        list: List,
        own_shell: bool,
    },
    If {
        condition: List,
        bodies: Vec<List>,
    },
    Loop {
        condition: List,
        body: List,
    },
    Function {
        name: String,
        body: List,
    },
}

/// Deeper blocks are not read.
const DEEPEST: usize = 40;

/// The script as a list.
pub(super) fn list(tokens: &[Token]) -> List {
    let mut parser = Parser { tokens, at: 0, depth: 0 };
    let mut list = Vec::new();
    while parser.at < tokens.len() {
        let before = parser.at;
        list.extend(parser.list(&[]));
        // What closes nothing is passed over.
        parser.at = parser.at.max(before + 1);
    }
    list
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token { kind: Kind::Sign(own), .. }) if *own == sign)
    }

    fn keyword(&self) -> Option<&str> {
        match self.tokens.get(self.at) {
            Some(Token { kind: Kind::Word(word, false), .. }) => Some(word),
            _ => None,
        }
    }

    fn takes_keyword(&mut self, word: &str) -> bool {
        let is = self.keyword() == Some(word);
        self.at += usize::from(is);
        is
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is = self.is_sign(sign);
        self.at += usize::from(is);
        is
    }

    /// Up to one of these keywords, or to a bracket or `;;` that closes something further out.
    fn list(&mut self, stops: &[&str]) -> List {
        let mut list = Vec::new();
        self.depth += 1;
        while self.at < self.tokens.len() && self.depth < DEEPEST {
            if self.takes("\n") || self.takes(";") || self.takes("&") {
                continue;
            }
            if self.is_sign(")") || self.is_sign(";;") || self.keyword().is_some_and(|word| stops.contains(&word)) {
                break;
            }
            let before = self.at;
            list.push(self.chain());
            self.at = self.at.max(before + usize::from(self.at == before));
        }
        self.depth -= 1;
        list
    }

    fn chain(&mut self) -> Chain {
        let mut chain = Chain::default();
        let mut join = Join::First;
        loop {
            let pipe = self.pipe();
            chain.links.push((join, pipe));
            join = match () {
                () if self.takes("&&") => Join::And,
                () if self.takes("||") => Join::Or,
                () => break,
            };
            while self.takes("\n") {}
        }
        chain.background = self.takes("&");
        chain
    }

    fn pipe(&mut self) -> Pipe {
        let negated = self.takes_keyword("!");
        let mut parts = vec![self.node()];
        while self.takes("|") || self.takes("|&") {
            while self.takes("\n") {}
            parts.push(self.node());
        }
        Pipe { parts, negated }
    }

    fn node(&mut self) -> Node {
        if self.depth + 1 >= DEEPEST {
            self.at = self.tokens.len();
            return Node::Command { words: Vec::new(), line: 0 };
        }
        if self.takes("(") {
            let list = self.list(&[]);
            self.takes(")");
            return Node::Group { list, own_shell: true };
        }
        match self.keyword() {
            Some("{") => self.block(&["}"]),
            Some("if") => self.conditional(),
            Some("while" | "until") => {
                self.at += 1;
                let condition = self.list(&["do"]);
                self.looped(condition)
            }
            Some("for" | "select") => {
                while self.at < self.tokens.len() && !self.is_sign("\n") && !self.is_sign(";") {
                    self.at += 1;
                }
                while self.takes("\n") || self.takes(";") {}
                self.looped(Vec::new())
            }
            Some("case") => self.cases(),
            Some("function") => {
                self.at += 1;
                self.function()
            }
            Some(_) if self.begins_function() => self.function(),
            _ => self.command(),
        }
    }

    fn block(&mut self, end: &[&str]) -> Node {
        self.at += 1;
        let list = self.list(end);
        self.at += usize::from(self.at < self.tokens.len());
        Node::Group { list, own_shell: false }
    }

    fn conditional(&mut self) -> Node {
        self.at += 1;
        let condition = self.list(&["then"]);
        let mut bodies = Vec::new();
        while self.at < self.tokens.len() {
            let before = self.at;
            if self.takes_keyword("fi") {
                break;
            }
            let elif = self.takes_keyword("elif");
            let _ = elif || self.takes_keyword("then") || self.takes_keyword("else");
            bodies.push(self.list(&["then", "elif", "else", "fi"]));
            if self.at == before {
                break;
            }
        }
        Node::If { condition, bodies }
    }

    fn looped(&mut self, condition: List) -> Node {
        self.takes_keyword("do");
        let body = self.list(&["done"]);
        self.takes_keyword("done");
        Node::Loop { condition, body }
    }

    fn cases(&mut self) -> Node {
        while self.at < self.tokens.len() && !self.takes_keyword("in") {
            self.at += 1;
        }
        let mut bodies = Vec::new();
        loop {
            while self.takes("\n") || self.takes(";;") {}
            if self.at >= self.tokens.len() || self.takes_keyword("esac") {
                return Node::If { condition: Vec::new(), bodies };
            }
            while self.at < self.tokens.len() && !self.takes(")") {
                self.at += 1;
            }
            bodies.push(self.list(&["esac"]));
            // A lone bracket would not be passed over by the list.
            self.takes(")");
        }
    }

    fn begins_function(&self) -> bool {
        let sign = |at: usize, sign: &str| matches!(self.tokens.get(at), Some(Token { kind: Kind::Sign(own), .. }) if *own == sign);
        sign(self.at + 1, "(") && sign(self.at + 2, ")")
    }

    fn function(&mut self) -> Node {
        let name = self.keyword().unwrap_or_default().to_owned();
        self.at += 1;
        while self.takes("(") || self.takes(")") || self.takes("\n") {}
        let body = match self.keyword() {
            Some("{") => {
                self.at += 1;
                let list = self.list(&["}"]);
                self.takes_keyword("}");
                list
            }
            _ => Vec::new(),
        };
        Node::Function { name, body }
    }

    fn command(&mut self) -> Node {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut words = Vec::new();
        while let Some(Token { kind: Kind::Word(word, _), .. }) = self.tokens.get(self.at) {
            words.push(word.clone());
            self.at += 1;
        }
        // What is set for this command alone is no part of it.
        let is_set = |word: &&String| {
            word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
        };
        let set = words.iter().take_while(is_set).count();
        if set < words.len() {
            words.drain(..set);
        }
        Node::Command { words, line }
    }
}
