//! Words of commands: which stand for something, which a program takes itself, and which a document explains.

use super::{
    super::{Document, section::Block},
    Command, SHELLS,
};

pub(super) const MANAGERS: &[&str] = &["npm", "pnpm", "yarn", "bun"];
/// What a package manager does by itself.
pub(super) const OWN_WORDS: &[&str] = &[
    "install",
    "i",
    "ci",
    "add",
    "remove",
    "uninstall",
    "update",
    "upgrade",
    "init",
    "create",
    "publish",
    "pack",
    "link",
    "exec",
    "dlx",
    "x",
    "audit",
    "outdated",
    "login",
    "logout",
    "whoami",
    "config",
    "set",
    "cache",
    "version",
    "view",
    "info",
    "ls",
    "list",
    "why",
    "dedupe",
    "rebuild",
    "prune",
    "global",
    "workspaces",
    "plugin",
    "import",
    "fetch",
    "patch",
    "root",
    "bin",
    "doctor",
    "help",
    "node",
    "tsc",
    "pm",
    "repl",
    "approve-builds",
    "store",
    "env",
    "setup",
    "deploy",
    "rb",
    "up",
    "self-update",
    "token",
    "owner",
    "search",
    "fund",
    "explain",
    "query",
];

/// The document itself makes the reader fetch or write the file, or shows it.
pub(super) fn is_given(command: &Command, document: &Document) -> bool {
    let is_file =
        |word: &&String| word.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && ending.len() <= 4);
    let mut names: Vec<&str> = command.words.iter().filter(is_file).map(|word| word.trim_start_matches("./")).collect();
    if command.words.iter().any(|word| word.contains("compose")) {
        names.extend(["compose.y", "git clone"]);
    }
    let before = document.sections.iter().filter(|section| section.line <= command.line);
    for section in before {
        let fetches = |block: &Block| {
            ["curl ", "wget ", "git clone", "cat >", "cat <<", "touch ", "tee "]
                .iter()
                .any(|word| block.text.contains(word))
        };
        let shows = |block: &Block, name: &str| {
            !SHELLS.contains(&block.language.as_str()) && block.text.lines().take(2).any(|line| line.contains(name))
        };
        let given = |name: &&str| {
            let block = |block: &Block| {
                block.line <= command.line
                    && ((fetches(block) && block.text.contains(name)) || (*name != "git clone" && shows(block, name)))
            };
            let text = section.text.to_lowercase();
            let told = ["create", "download", "save ", "write ", "add a", "named ", "called "]
                .iter()
                .any(|word| text.contains(word))
                && section.text.contains(name);
            section.blocks.iter().any(block) || (told && *name != "git clone")
        };
        if names.iter().any(given) {
            return true;
        }
    }
    false
}

/// Words that stand for something: `<name>`, `$NAME`, `{{ x }}`, `path/to/it`, `…`.
pub(super) fn is_variable(word: &str) -> bool {
    word.contains(['<', '>', '$', '{', '…', '`'])
        || word.contains("...")
        || word.contains("path/to")
        || word.contains("/your")
        || word.contains("example.")
}

pub(super) fn targets_of(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with(['\t', '#', ' '])) {
        if let Some(names) = line.strip_prefix(".PHONY:") {
            found.extend(names.split_whitespace());
        }
        let Some((names, rest)) = line.split_once(':') else { continue };
        if !rest.starts_with('=') && !names.contains('=') {
            found.extend(names.split_whitespace());
        }
    }
    found
}
