//! Which commands a script runs, and what becomes of their failure.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Failure, Shell, Simple,
    syntax::{Chain, Join, List, Node, Pipe},
};

/// More commands are not listed, and calls of functions are not followed further down.
const MOST: usize = 5_000;
const DEEPEST_CALL: usize = 6;

pub(super) fn commands(list: &List, shell: Shell) -> Vec<Simple> {
    let mut walk =
        Walk { shell, folder: PathBuf::new(), functions: BTreeMap::new(), calls: 0, found: Vec::new(), left: false };
    walk.list(list, &Failure::Stops);
    walk.found
}

struct Walk {
    shell: Shell,
    folder: PathBuf,
    functions: BTreeMap<String, List>,
    calls: usize,
    found: Vec<Simple>,
    /// It has exited.
    left: bool,
}

impl Walk {
    /// `outer` is what a failure of the whole list does.
    fn list(&mut self, list: &List, outer: &Failure) {
        for (index, chain) in list.iter().enumerate() {
            if self.left || self.found.len() > MOST {
                return;
            }
            let last = index + 1 == list.len();
            let own = match () {
                () if chain.background => Failure::Ignored("it runs in the background".into()),
                () if last || self.shell.stops_at_failure => Failure::Stops,
                () if list[index + 1..].iter().any(keeps_a_status) => {
                    Failure::Unsure("its status is looked at further down".into())
                }
                () => Failure::Ignored("the script goes on when it fails (no `set -e`)".into()),
            };
            self.chain(chain, last, &own.and(outer));
            if let ([(_, pipe)], false) = (chain.links.as_slice(), chain.background) {
                self.left |= matches!(pipe.parts.as_slice(), [Node::Command { words, .. }]
                    if words.first().is_some_and(|word| word == "exit"));
            }
        }
    }

    fn chain(&mut self, chain: &Chain, last: bool, outer: &Failure) {
        for (index, (join, pipe)) in chain.links.iter().enumerate() {
            let rest = &chain.links[index + 1..];
            let own = match rest.iter().find(|(join, _)| *join == Join::Or) {
                Some((_, handler)) => rescue(handler),
                // With `set -e` only the failure of a chain's last command ends the script.
                None if !rest.is_empty() && !last && self.shell.stops_at_failure => {
                    Failure::Ignored("in `a && b` a failing `a` does not stop the script".into())
                }
                None => Failure::Stops,
            };
            let own = match join {
                Join::Or if own == Failure::Stops => outer.clone(),
                _ => own.and(outer),
            };
            self.pipe(pipe, &own);
        }
    }

    fn pipe(&mut self, pipe: &Pipe, outer: &Failure) {
        for (index, node) in pipe.parts.iter().enumerate() {
            let mut own = outer.clone();
            if index + 1 < pipe.parts.len() && !self.shell.pipes_fail {
                own = Failure::Ignored("its status is lost in a pipe (no `pipefail`)".into()).and(outer);
            }
            if pipe.negated {
                own = own.and(&Failure::Unsure("its failure is turned around by `!`".into()));
            }
            self.node(node, &own);
        }
    }

    fn node(&mut self, node: &Node, outer: &Failure) {
        match node {
            Node::Command { words, line } => self.command(words, *line, outer),
            Node::Group { list, own_shell: false } => self.list(list, outer),
            Node::Group { list, own_shell: true } => {
                let (shell, folder) = (self.shell, self.folder.clone());
                self.list(list, outer);
                (self.shell, self.folder, self.left) = (shell, folder, false);
            }
            Node::If { condition, bodies } => {
                self.list(condition, &Failure::Unsure("its failure decides an `if`".into()).and(outer));
                for body in bodies {
                    self.list(body, &outer.clone().and(&Failure::Unsure("it runs under a condition only".into())));
                    self.left = false;
                }
            }
            Node::Loop { condition, body } => {
                self.list(condition, &Failure::Unsure("its failure ends a loop".into()).and(outer));
                let once = match self.shell.stops_at_failure {
                    true => Failure::Stops,
                    false => Failure::Unsure("only the last turn of a loop decides".into()),
                };
                self.list(body, &outer.clone().and(&once));
                self.left = false;
            }
            Node::Function { name, body } => {
                self.functions.insert(name.clone(), body.clone());
            }
        }
    }

    fn command(&mut self, words: &[String], line: usize, failure: &Failure) {
        let Some(first) = words.first() else { return };
        if let Some(body) = self.functions.get(first).filter(|_| self.calls < DEEPEST_CALL).cloned() {
            self.calls += 1;
            self.list(&body, failure);
            self.calls -= 1;
            self.left = false;
            return;
        }
        let command = Simple { words: words.to_vec(), line, failure: failure.clone(), folder: self.folder.clone() };
        self.found.push(command);
        match (first.as_str(), words.get(1)) {
            ("set", Some(_)) => self.set(&words[1..]),
            ("cd" | "pushd", Some(folder)) => self.folder = joined(&self.folder, folder),
            _ => {}
        }
    }

    fn set(&mut self, options: &[String]) {
        for (index, option) in options.iter().enumerate() {
            let on = option.starts_with('-');
            if !on && !option.starts_with('+') {
                continue;
            }
            let named = option.ends_with('o').then(|| options.get(index + 1)).flatten().map(String::as_str);
            if option[1..].contains('e') || named == Some("errexit") {
                self.shell.stops_at_failure = on;
            }
            if named == Some("pipefail") {
                self.shell.pipes_fail = on;
            }
        }
    }
}

/// What `a || handler` does with the failure of `a`.
fn rescue(handler: &Pipe) -> Failure {
    let mut words = Vec::new();
    handler.parts.iter().for_each(|part| flatten(part, &mut words));
    let exits = |command: &&[String]| match command.first().map(String::as_str) {
        Some("exit" | "return") => command.get(1).is_some_and(|status| status != "0"),
        Some("false") => true,
        _ => false,
    };
    if words.iter().copied().any(|command| exits(&command)) {
        return Failure::Stops;
    }
    match words.first().and_then(|command| command.first()).map(String::as_str) {
        Some("[" | "[[" | "test" | "if") => Failure::Unsure("`||` looks at its status".into()),
        Some(word) if word.contains('=') => Failure::Unsure("`||` keeps its failure in a variable".into()),
        Some(word) => Failure::Ignored(format!("its failure is swallowed by `|| {word}`")),
        None => Failure::Unsure("what follows `||` cannot be read".into()),
    }
}

fn flatten<'n>(node: &'n Node, into: &mut Vec<&'n [String]>) {
    let mut lists: Vec<&List> = Vec::new();
    match node {
        Node::Command { words, .. } => into.push(words),
        Node::Group { list, .. } => lists.push(list),
        Node::If { condition, bodies } => lists.extend(std::iter::once(condition).chain(bodies)),
        Node::Loop { body, .. } => lists.push(body),
        Node::Function { .. } => {}
    }
    let parts = lists.into_iter().flatten().flat_map(|chain| &chain.links).flat_map(|(_, pipe)| &pipe.parts);
    parts.for_each(|part| flatten(part, into));
}

/// Whether something further down looks at a status: `status=$?`, `exit $code`.
fn keeps_a_status(chain: &Chain) -> bool {
    let mut commands = Vec::new();
    chain.links.iter().flat_map(|(_, pipe)| &pipe.parts).for_each(|part| flatten(part, &mut commands));
    commands.iter().any(|command| {
        let exits = command.first().is_some_and(|word| word == "exit" || word == "return");
        command.iter().any(|word| word.contains("$?"))
            || (exits && command.get(1).is_some_and(|status| status.starts_with('$')))
    })
}

/// A path from a folder, without steps back where that is possible.
pub(in crate::pipeline) fn joined(folder: &std::path::Path, more: &str) -> PathBuf {
    let mut path = if more.starts_with('/') { PathBuf::new() } else { folder.to_owned() };
    for part in more.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}
