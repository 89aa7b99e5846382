//! A Dockerfile (or Containerfile) as stages of instructions.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::lines::{Line, logical_lines};

/// A file that says how an image is made.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// Where it is.
    pub path: PathBuf,
    /// Its stages, in order; the last one is shipped unless a target is named.
    pub stages: Vec<Stage>,
    /// What no builder would accept: line and reason.
    pub problems: Vec<(usize, String)>,
}

/// What one `FROM` begins.
#[derive(Debug, Clone, Default)]
pub struct Stage {
    /// Image or earlier stage, with the defaults of `ARG` put in.
    pub base: String,
    /// The name after `AS`.
    pub name: Option<String>,
    /// The line of `FROM`.
    pub line: usize,
    /// What follows.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Debug, Clone, Default)]
pub struct Instruction {
    /// From 1.
    pub line: usize,
    /// In capitals.
    pub keyword: String,
    /// `--from=build` as `("from", "build")`.
    pub flags: Vec<(String, String)>,
    /// Its words; those of the list in exec form.
    pub words: Vec<String>,
    /// It was a JSON list.
    pub exec: bool,
    /// Everything behind the flags, and the heredocs of a RUN.
    pub text: String,
    /// It brings the content of files with it.
    pub heredoc: bool,
}

const KEYWORDS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

impl Instruction {
    /// The value of a flag.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Sources and target of COPY or ADD.
    pub fn copied(&self) -> Option<(&[String], &str)> {
        let is_copy = self.keyword == "COPY" || self.keyword == "ADD";
        let (target, sources) = self.words.split_last().filter(|_| is_copy)?;
        Some((sources, target))
    }

    /// `KEY=value` pairs of ENV, also in its old form.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let first = self.words.first().map(String::as_str).unwrap_or_default();
        if !first.contains('=') {
            return vec![(first.to_owned(), self.words.get(1..).unwrap_or_default().join(" "))];
        }
        let pair = |word: &String| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        self.words.iter().filter_map(pair).collect()
    }
}

impl Dockerfile {
    /// Reads a text; what is wrong with it is in `problems`.
    pub fn read(path: &Path, text: &str) -> Self {
        let mut file = Self { path: path.to_owned(), stages: Vec::new(), problems: Vec::new() };
        let mut arguments = HashMap::new();
        for line in logical_lines(text) {
            if let Some(problem) = &line.problem {
                file.problems.push((line.number, problem.clone()));
            }
            match instruction(&line) {
                Ok(instruction) => file.take(instruction, &mut arguments),
                Err(reason) => file.problems.push((line.number, reason)),
            }
        }
        if file.stages.is_empty() {
            file.problems.push((1, "there is no FROM".into()));
        }
        file
    }

    fn take(&mut self, mut instruction: Instruction, arguments: &mut HashMap<String, String>) {
        if instruction.keyword == "FROM" {
            let words: Vec<String> = instruction.words.iter().map(|word| substituted(word, arguments)).collect();
            let name = match words.get(1..).unwrap_or_default() {
                [] => None,
                [keyword, name] if keyword.eq_ignore_ascii_case("as") => Some(name.to_lowercase()),
                _ => {
                    self.problems.push((instruction.line, "FROM takes an image and `AS name`".into()));
                    None
                }
            };
            let base = words.first().cloned().unwrap_or_default();
            self.stages.push(Stage { base, name, line: instruction.line, instructions: Vec::new() });
            return;
        }
        if instruction.keyword == "ARG" && self.stages.is_empty() {
            for word in &instruction.words {
                let (key, value) = word.split_once('=').unwrap_or((word, ""));
                let value = substituted(value, arguments);
                arguments.insert(key.to_owned(), value);
            }
            return;
        }
        let global = arguments.clone();
        match self.stages.last_mut() {
            None => self.problems.push((instruction.line, format!("{} before the first FROM", instruction.keyword))),
            Some(stage) => {
                if matches!(instruction.keyword.as_str(), "COPY" | "ADD" | "USER") {
                    let known = stage.variables(&global);
                    for word in &mut instruction.words {
                        *word = substituted(word, &known);
                    }
                }
                stage.instructions.push(instruction);
            }
        }
    }

    /// The stage that is shipped: the target, or the last one.
    pub fn shipped(&self, target: Option<&str>) -> Option<usize> {
        let named = |target: &str| {
            let by_name = self.stages.iter().position(|stage| stage.name.as_deref() == Some(&target.to_lowercase()));
            by_name.or_else(|| target.parse().ok().filter(|index| *index < self.stages.len()))
        };
        match target {
            Some(target) => named(target),
            None => self.stages.len().checked_sub(1),
        }
    }

    /// A stage and those it builds on, from the bottom up, and the image below them all.
    pub fn chain(&self, index: usize) -> (Vec<&Stage>, &str) {
        let mut chain = Vec::new();
        let mut at = index;
        while let Some(stage) = self.stages.get(at) {
            chain.push(stage);
            let below =
                self.stages[..at].iter().rposition(|one| one.name.as_deref() == Some(&stage.base.to_lowercase()));
            match below {
                Some(below) => at = below,
                None => {
                    chain.reverse();
                    return (chain, &stage.base);
                }
            }
        }
        (chain, "")
    }

    /// The last instruction of a kind that holds for a stage, also from those it builds on.
    pub fn last(&self, index: usize, keyword: &str) -> Option<&Instruction> {
        let (chain, _) = self.chain(index);
        chain.iter().rev().find_map(|stage| stage.instructions.iter().rev().find(|one| one.keyword == keyword))
    }

    /// Instructions that make what is shipped, from the bottom up.
    pub fn instructions(&self, index: usize) -> impl Iterator<Item = &Instruction> {
        self.chain(index).0.into_iter().flat_map(|stage| &stage.instructions)
    }
}

impl Stage {
    /// Arguments and variables with the values that the file gives them.
    fn variables(&self, global: &HashMap<String, String>) -> HashMap<String, String> {
        let mut known = HashMap::new();
        for instruction in &self.instructions {
            match instruction.keyword.as_str() {
                "ARG" => {
                    for word in &instruction.words {
                        let value = match word.split_once('=') {
                            Some((key, value)) => Some((key, substituted(value, &known))),
                            None => global.get(word).map(|value| (word.as_str(), value.clone())),
                        };
                        known.extend(value.map(|(key, value)| (key.to_owned(), value)));
                    }
                }
                "ENV" => known.extend(instruction.pairs()),
                _ => {}
            }
        }
        known
    }
}

fn instruction(line: &Line) -> Result<Instruction, String> {
    let text = line.text.trim();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let keyword = text[..end].to_uppercase();
    if !KEYWORDS.contains(&keyword.as_str()) {
        return Err(format!("`{}` is no instruction", text[..end].chars().take(40).collect::<String>()));
    }
    let mut rest = text[end..].trim_start();
    let mut flags = Vec::new();
    while let Some(flag) = rest.strip_prefix("--").filter(|_| keyword != "CMD" && keyword != "ENTRYPOINT") {
        let end = flag.find(char::is_whitespace).unwrap_or(flag.len());
        let (key, value) = flag[..end].split_once('=').unwrap_or((&flag[..end], ""));
        flags.push((key.to_owned(), value.to_owned()));
        rest = flag[end..].trim_start();
    }
    if rest.is_empty() && line.heredocs.is_empty() {
        return Err(format!("{keyword} says nothing"));
    }
    // A list that is no JSON is taken as a shell's text by every builder.
    let list = if keyword == "HEALTHCHECK" { rest.strip_prefix("CMD").unwrap_or(rest).trim_start() } else { rest };
    let list = list.starts_with('[').then(|| serde_json::from_str::<Vec<String>>(list).ok()).flatten();
    let exec = list.is_some();
    let words = list.unwrap_or_else(|| words(rest));
    let copies = (keyword == "COPY" || keyword == "ADD") && line.heredocs.is_empty();
    if copies && words.len() < 2 {
        return Err(format!("{keyword} needs a source and a target"));
    }
    let mut text = rest.to_owned();
    if keyword == "RUN" {
        line.heredocs.iter().for_each(|heredoc| text.push_str(&format!("\n{heredoc}")));
    }
    Ok(Instruction { line: line.number, keyword, flags, words, exec, text, heredoc: !line.heredocs.is_empty() })
}

/// Words as the builder separates them: quotes go, blanks within stay.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => (quote, any) = (Some(letter), true),
            (None | Some('"'), '\\') => {
                // `\$` stays as it is, so that no variable is seen in it.
                word.push('\\');
                word.extend(letters.next());
            }
            (None, _) if letter.is_whitespace() => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            _ => word.push(letter),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

/// `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+value}` put in; what is not known stays.
pub fn substituted(text: &str, known: &HashMap<String, String>) -> String {
    let (mut made, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        made.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let (whole, inner) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, _)) => (inner.len() + 2, inner),
            None => {
                let end = after.find(|letter| !is_name(letter)).unwrap_or(after.len());
                (end, &after[..end])
            }
        };
        let end = inner.find(|letter| !is_name(letter)).unwrap_or(inner.len());
        let (name, modifier) = inner.split_at(end);
        let value = known.get(name).filter(|value| !value.is_empty());
        match (value, modifier.strip_prefix(":-").or_else(|| modifier.strip_prefix('-'))) {
            (_, _) if modifier.starts_with(":+") => made.push_str(value.map_or("", |_| &modifier[2..])),
            (Some(value), _) => made.push_str(value),
            (None, Some(default)) => made.push_str(default),
            (None, None) => made.push_str(&rest[at..=at + whole]),
        }
        rest = &after[whole..];
    }
    made + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Dockerfile {
        Dockerfile::read(Path::new("Dockerfile"), text)
    }

    #[test]
    fn stages_arguments_and_what_builds_on_what() {
        let file = read(
            "# syntax=docker/dockerfile:1\nARG PY=3.13\nFROM python:${PY}-slim AS Base\nENV A=1 B='x y'\nUSER app\n\
             FROM base as build\nRUN pip install -r r.txt\nFROM --platform=$BUILDPLATFORM base\nARG D=dist\n\
             COPY --from=build --chown=app /a ${D}/\nCMD [\"python\", \"app.py\"]\n",
        );
        assert!(file.problems.is_empty(), "{:?}", file.problems);
        assert_eq!(file.stages.len(), 3);
        let (chain, base) = file.chain(2);
        assert_eq!((chain.len(), base), (2, "python:3.13-slim"));
        assert_eq!(file.last(2, "USER").unwrap().words, ["app"]);
        let copy = &file.stages[2].instructions[1];
        assert_eq!((copy.flag("from"), copy.copied().unwrap().1), (Some("build"), "dist/"));
        let command = file.last(2, "CMD").unwrap();
        assert!(command.exec && command.words == ["python", "app.py"]);
        assert_eq!(file.shipped(Some("build")), Some(1));
        assert_eq!(file.shipped(Some("other")), None);
        assert_eq!(file.stages[0].instructions[0].pairs()[1], ("B".into(), "x y".into()));
    }

    #[test]
    fn what_no_builder_accepts_is_named() {
        assert_eq!(read("RUN x\n").problems.len(), 2);
        assert!(read("FROM a\nCOPPY a b\n").problems[0].1.contains("COPPY"));
        assert!(read("FROM a\nCOPY a\n").problems[0].1.contains("source"));
        assert!(read("FROM a b c d\n").problems[0].1.contains("AS"));
        assert!(read("").problems[0].1.contains("FROM"));
    }

    #[test]
    fn variables_with_defaults() {
        let known = HashMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(substituted("$A-${A}-${B:-2}-${A:+3}-${C}-$D$", &known), "1-1-2-3-${C}-$D$");
    }
}
