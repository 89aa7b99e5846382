//! Commands that documents show, and whether what they name is there.

use std::{collections::BTreeSet, path::PathBuf, sync::LazyLock};

use serde::Deserialize;

use super::{
    links,
    section::{Block, Section},
};

mod resolve;
mod words;

pub(crate) use resolve::{Grounds, Resolver};

/// One command of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// Its words, without variables set for it and without `sudo`.
    pub words: Vec<String>,
    /// Its line.
    pub line: usize,
    /// The folder that it is run in, relative to the root; nothing when that cannot be told.
    pub folder: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Tools {
    tool: Vec<Tool>,
}

/// What a program needs.
#[derive(Deserialize)]
struct Tool {
    programs: Vec<String>,
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    anywhere: bool,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static TOOLS: LazyLock<Tools> =
    LazyLock::new(|| toml::from_str(include_str!("tools.toml")).expect("the list of tools is valid"));
static PROGRAMS: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| TOOLS.tool.iter().flat_map(|tool| &tool.programs).map(String::as_str).collect());

/// Where a block of commands has come to.
struct Place {
    /// As [`Command::folder`].
    folder: Option<PathBuf>,
    /// The folder of a clone that was made.
    cloned: Option<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self { folder: Some(PathBuf::new()), cloned: None }
    }
}

const SHELLS: &[&str] =
    &["sh", "bash", "shell", "zsh", "console", "shell-session", "terminal", "shellscript", "prompt", "fish", "cmd"];
/// Words before the program itself.
const BEFORE: &[&str] = &["sudo", "exec", "time", "nohup", "then", "do", "command"];
const MOST: usize = 5_000;

impl Command {
    /// The program, without its folder.
    pub fn program(&self) -> &str {
        let first = self.words.first().map_or("", String::as_str);
        first.rsplit('/').next().unwrap_or(first)
    }

    /// As it is shown.
    pub fn shown(&self) -> String {
        self.words.join(" ").chars().take(70).collect()
    }
}

/// The commands of a section, in order: of its blocks, and of code within the text that begins with a known program.
pub(crate) fn commands(section: &Section) -> Vec<Command> {
    let mut found: Vec<Command> = section.blocks.iter().flat_map(of_block).take(MOST).collect();
    for (line, code) in &section.codes {
        let mut words = code.split_whitespace();
        let first = words.next().unwrap_or_default();
        let local = first.starts_with("./") && first.ends_with(".sh");
        if local || (PROGRAMS.contains(first) && words.next().is_some()) {
            found.extend(of_line(code, *line, &mut Place::default()));
        }
    }
    found
}

fn of_block(block: &Block) -> Vec<Command> {
    let named = SHELLS.contains(&block.language.as_str());
    let unnamed = ["", "text", "plaintext"].contains(&block.language.as_str());
    let prompted = block.text.lines().any(|line| prompt(line).is_some());
    let looks = |line: &str| {
        line.split_whitespace().next().is_some_and(|first| PROGRAMS.contains(first) || first.starts_with("./"))
    };
    if !named && !(unnamed && (prompted || block.text.lines().find(|line| !line.trim().is_empty()).is_some_and(looks)))
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut place = Place::default();
    let mut heredoc: Option<String> = None;
    let mut begun = String::new();
    let mut begun_at = block.line;
    for (index, line) in block.text.lines().enumerate() {
        if let Some(end) = &heredoc {
            heredoc = (line.trim() != end).then(|| end.clone());
            continue;
        }
        let line = match (prompt(line), prompted, begun.is_empty()) {
            (Some(rest), _, _) => rest,
            // Between prompts stands what programs answer.
            (None, true, true) => continue,
            (None, _, _) => line.trim(),
        };
        if begun.is_empty() {
            begun_at = block.line + index;
        }
        if let Some(start) = line.strip_suffix('\\') {
            begun.push_str(start);
            begun.push(' ');
            continue;
        }
        begun.push_str(line);
        let whole = std::mem::take(&mut begun);
        heredoc = whole.split_once("<<").filter(|(_, rest)| !rest.starts_with('<')).and_then(|(_, rest)| {
            let word = rest.trim_start_matches('-').split_whitespace().next()?.trim_matches(['\'', '"']);
            Some(word.to_owned())
        });
        let before = found.len();
        found.extend(of_line(&whole, begun_at, &mut place));
        // Without a prompt, a block of unknown kind may hold answers too.
        if !named && !prompted {
            let known = |command: &Command| PROGRAMS.contains(command.program()) || command.words[0].contains('/');
            let kept: Vec<Command> = found.drain(before..).filter(known).collect();
            found.extend(kept);
        }
    }
    found
}

/// What follows the prompt.
fn prompt(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(rest) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("% ")).or_else(|| line.strip_prefix("> "))
    {
        return Some(rest.trim());
    }
    let rest = line.strip_prefix('(')?.split_once(") $ ")?.1;
    Some(rest.trim())
}

fn of_line(line: &str, number: usize, place: &mut Place) -> Vec<Command> {
    let line = without_comment(line);
    let words =
        shell_words::split(&spaced(line)).unwrap_or_else(|_| line.split_whitespace().map(String::from).collect());
    let mut found = Vec::new();
    for part in words.split(|word| ["&&", "||", ";", "|", "&"].contains(&word.as_str())) {
        let set = |word: &&String| {
            word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
            })
        };
        let part = part.iter().skip_while(|word| set(word) || BEFORE.contains(&word.as_str()));
        let words: Vec<String> = part.take_while(|word| !word.starts_with(['>', '<'])).cloned().collect();
        let Some(first) = words.first() else { continue };
        place.cloned = clone_of(&words).or_else(|| place.cloned.take());
        match (first.as_str(), words.get(1)) {
            // Into what was just cloned: the root, whatever else has that name.
            ("cd", Some(to)) if place.cloned.as_deref() == Some(to.trim_end_matches('/')) => *place = Place::default(),
            ("cd", Some(to)) => {
                place.folder = place.folder.take().and_then(|folder| links::plain(&folder.join(to)));
            }
            _ => found.push(Command { words, line: number, folder: place.folder.clone() }),
        }
    }
    found
}

/// The folder that `git clone` makes.
fn clone_of(words: &[String]) -> Option<String> {
    let [git, clone, rest @ ..] = words else { return None };
    let last = rest.iter().rfind(|word| !word.starts_with('-')).filter(|_| git == "git" && clone == "clone")?;
    let name = last.trim_end_matches('/').rsplit(['/', ':']).next()?;
    Some(name.trim_end_matches(".git").to_owned())
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.find(" #")
        .map_or(line, |at| if line[..at].matches(['"', '\'']).count().is_multiple_of(2) { &line[..at] } else { line })
}

/// Blanks around what parts commands, outside quotes.
fn spaced(line: &str) -> String {
    let mut quote: Option<char> = None;
    let mut found = String::with_capacity(line.len() + 8);
    for letter in line.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            _ => {}
        }
        match letter {
            ';' if quote.is_none() => found.push_str(" ; "),
            letter => found.push(letter),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(language: &str, text: &str) -> Vec<String> {
        let block = Block { language: language.into(), text: text.into(), line: 10 };
        let section = Section { blocks: vec![block], ..Section::default() };
        let show = |command: &Command| {
            format!(
                "{}@{}:{}",
                command.words.join(" "),
                command.folder.as_ref().map_or("?".into(), |f| f.display().to_string()),
                command.line
            )
        };
        commands(&section).iter().map(show).collect()
    }

    #[test]
    fn commands_are_told_from_answers() {
        assert_eq!(
            of("console", "$ A=1 sudo make deploy && ls\ndone in 3 s\n$ cd web; npm ci # all\n"),
            ["make deploy@:10", "ls@:10", "npm ci@web:12"]
        );
        assert_eq!(
            of("bash", "# first\ndocker run \\\n  -p 1:1 x\ncat <<EOF > a\nmake no\nEOF\nmake yes\n"),
            ["docker run -p 1:1 x@:11", "cat@:13", "make yes@:16"]
        );
        assert_eq!(of("", "git pull\nAlready up to date.\nmake x\n"), ["git pull@:10", "make x@:12"]);
        assert_eq!(
            of("sh", "git clone https://a.b/us/isso.git && cd isso\nmake x\ncd isso\nmake y\n"),
            ["git clone https://a.b/us/isso.git@:10", "make x@:11", "make y@isso:13"]
        );
        assert_eq!(of("json", "make x"), [] as [&str; 0]);
        assert_eq!(of("", "some answer\nmake x\n"), [] as [&str; 0]);
        assert_eq!(
            of("sh", "curl -H \"Authorization: Bearer x; y\" localhost | jq . > a"),
            ["curl -H Authorization: Bearer x; y localhost@:10", "jq .@:10"]
        );
    }

    #[test]
    fn code_in_the_text_counts_when_it_begins_with_a_program() {
        let section = Section {
            codes: vec![(3, "npm test".into()), (4, "make".into()), (5, "A_B c".into())],
            ..Section::default()
        };
        assert_eq!(commands(&section).len(), 1);
    }
}
