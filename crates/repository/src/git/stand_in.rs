//! A stand-in for a repository's `.git`.
//!
//! Whatever a repository's own configuration names (hooks, filters, text converters, file monitors, pagers, signature
//! programs, aliases, helpers, remotes of every protocol, further files) Git may run. No list of them stays complete. So
//! Git never sees it: it is asked about a folder of ours, which has the branches, the index and the objects of the
//! repository, and a configuration of a few words that we wrote. Nothing of the repository is written.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::process;
use crate::{
    stop::Stop,
    walk::{Walk, bounded},
};

/// Settings that say how files are to be compared, and what they may say.
const HARMLESS: &[(&str, &[&str])] = &[
    ("core.autocrlf", &["true", "false", "input"]),
    ("core.eol", &["lf", "crlf", "native"]),
    ("core.filemode", &["true", "false"]),
    ("core.ignorecase", &["true", "false"]),
    ("core.symlinks", &["true", "false"]),
    ("core.precomposeunicode", &["true", "false"]),
    ("extensions.objectformat", &["sha1", "sha256"]),
    ("extensions.refstorage", &["files", "reftable"]),
];

/// A configuration that is larger was built to be.
const LARGEST_CONFIG: u64 = 1 << 20;
const LARGEST_PACKED_REFS: u64 = 64 << 20;
const MOST_BRANCHES: usize = 200_000;

/// A repository's own folders.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where the files are; nothing for a bare repository.
    pub top: Option<PathBuf>,
    /// `.git`, or that of a linked worktree.
    pub own: PathBuf,
    /// What all worktrees share.
    pub shared: PathBuf,
}

/// The folder that Git is asked about.
#[derive(Debug)]
pub(super) struct StandIn {
    folder: TempDir,
    /// What was found.
    pub found: Found,
    /// Why the history is not whole, when it is not.
    pub incomplete: Option<&'static str>,
}

impl Found {
    /// The repository that a folder is in.
    pub(super) fn around(folder: &Path) -> Result<Self, String> {
        let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
        for top in folder.ancestors() {
            if let Some(own) = own_folder(&top.join(".git"), top)? {
                let shared = shared_folder(&own);
                return Ok(Self { top: Some(top.to_owned()), own, shared });
            }
            if top == folder && looks_like_git(top) {
                return Ok(Self { top: None, own: top.to_owned(), shared: top.to_owned() });
            }
        }
        Err(format!("{} is in no Git repository", folder.display()))
    }
}

/// `.git` as a folder, or what a file of that name leads to.
fn own_folder(git: &Path, top: &Path) -> Result<Option<PathBuf>, String> {
    if looks_like_git(git) {
        return Ok(Some(git.to_owned()));
    }
    let Some(text) = bounded(git, 4096) else { return Ok(None) };
    let text = String::from_utf8_lossy(&text).into_owned();
    let Some(path) = text.strip_prefix("gitdir:") else { return Ok(None) };
    let own = top.join(path.trim());
    match looks_like_git(&own) {
        true => Ok(Some(own)),
        false => Err(format!("{} leads to no repository", git.display())),
    }
}

fn looks_like_git(folder: &Path) -> bool {
    let has_head = fs::symlink_metadata(folder.join("HEAD")).is_ok_and(|head| head.is_file() || head.is_symlink());
    has_head && shared_folder(folder).join("objects").is_dir()
}

/// A linked worktree names the folder that it shares.
fn shared_folder(own: &Path) -> PathBuf {
    match bounded(&own.join("commondir"), 4096) {
        Some(text) => own.join(String::from_utf8_lossy(&text).trim()),
        None => own.to_owned(),
    }
}

impl StandIn {
    /// Makes one.
    pub(super) fn of(found: Found, stop: &Stop) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let mut stand_in = Self { folder, found, incomplete: None };
        stand_in.fill(stop)?;
        Ok(stand_in)
    }

    fn fill(&mut self, stop: &Stop) -> Result<(), String> {
        let shared = self.found.shared.clone();
        for folder in ["refs", "info"] {
            let made = fs::create_dir_all(self.folder.path().join(folder));
            made.map_err(|error| format!("no temporary folder: {error}"))?;
        }
        self.write("HEAD", "ref: refs/heads/main\n")?;
        self.write("config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")?;
        let said = self.read_config(&shared.join("config"), stop)?;
        let reftable = said.get("extensions.refstorage").is_some_and(|kind| kind == "reftable");
        self.write("config", &own_config(&said, self.found.top.is_none()))?;
        if said.contains_key("extensions.partialclone") || said.keys().any(|name| name.ends_with(".promisor")) {
            self.incomplete = Some("this is a partial clone: fetch the whole history");
        }
        self.write("HEAD", &head(&self.found.own).ok_or("HEAD cannot be read")?)?;
        if reftable {
            self.link("reftable", &shared)?;
        } else {
            let (branches, whole) = branches(&shared);
            if !whole {
                self.incomplete = Some("not every branch could be read");
            }
            let lines: String = branches.iter().map(|(name, id)| format!("{id} {name}\n")).collect();
            self.write("packed-refs", &lines)?;
        }
        if let Some(shallow) = bounded(&shared.join("shallow"), LARGEST_PACKED_REFS).filter(|text| !text.is_empty()) {
            self.incomplete = Some("this is a shallow clone: fetch the whole history (fetch-depth: 0)");
            self.write("shallow", &String::from_utf8_lossy(&shallow))?;
        }
        if let Some(exclude) = bounded(&shared.join("info/exclude"), LARGEST_CONFIG) {
            self.write("info/exclude", &String::from_utf8_lossy(&exclude))?;
        }
        // A split index is completed by files beside it.
        for entry in fs::read_dir(&self.found.own).into_iter().flatten().flatten().take(1_000) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("sharedindex.") {
                self.link(&name, &self.found.own)?;
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        fs::write(self.folder.path().join(name), text).map_err(|error| format!("no temporary folder: {error}"))
    }

    #[cfg(unix)]
    fn link(&self, name: &str, from: &Path) -> Result<(), String> {
        std::os::unix::fs::symlink(from.join(name), self.folder.path().join(name)).map_err(|error| error.to_string())
    }

    #[cfg(not(unix))]
    fn link(&self, name: &str, _: &Path) -> Result<(), String> {
        Err(format!("{name} of a repository cannot be read on this system"))
    }

    /// The repository's configuration as data: Git parses it from its input, and follows no `include`.
    fn read_config(&self, config: &Path, stop: &Stop) -> Result<BTreeMap<String, String>, String> {
        let Some(text) = bounded(config, LARGEST_CONFIG) else {
            let missing = fs::symlink_metadata(config).is_err();
            return if missing { Ok(BTreeMap::new()) } else { Err(".git/config is no file of a usual size".into()) };
        };
        let copy = self.folder.path().join("config-as-data");
        fs::write(&copy, text).map_err(|error| format!("no temporary folder: {error}"))?;
        let mut command = process::command(self.folder.path(), &self.found.shared);
        command.args(["config", "--no-includes", "-z", "--list", "--file"]).arg(&copy).stdin(Stdio::null());
        let answer = process::ask(command, "config", stop)?;
        let entries = answer.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let split = |entry: std::borrow::Cow<'_, str>| {
            let (name, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
            (name.to_lowercase(), value.to_lowercase())
        };
        Ok(entries.filter(|entry| !entry.is_empty()).map(split).collect())
    }

    /// A `git` that is asked about this repository.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let foreign = self.found.top.as_deref().unwrap_or(&self.found.own);
        let mut command = process::command(self.folder.path(), foreign);
        command.env("GIT_OBJECT_DIRECTORY", self.found.shared.join("objects"));
        if let Some(top) = &self.found.top {
            command.env("GIT_WORK_TREE", top).env("GIT_INDEX_FILE", self.found.own.join("index")).current_dir(top);
        }
        command.args(arguments);
        command
    }
}

/// What of it may hold here: a few words, each from a list.
fn own_config(said: &BTreeMap<String, String>, bare: bool) -> String {
    let extended = said.get("extensions.objectformat").is_some() || said.get("extensions.refstorage").is_some();
    let mut text = format!("[core]\n\trepositoryformatversion = {}\n\tbare = {bare}\n", u8::from(extended));
    for (name, values) in HARMLESS {
        let Some(value) = said.get(*name).filter(|value| values.contains(&value.as_str())) else { continue };
        if let Some((section, key)) = name.split_once('.') {
            text.push_str(&format!("[{section}]\n\t{key} = {value}\n"));
        }
    }
    text
}

/// `HEAD` as a file; old ones are links.
fn head(own: &Path) -> Option<String> {
    let path = own.join("HEAD");
    if let Ok(target) = fs::read_link(&path) {
        let target = target.to_str().filter(|target| is_branch(target))?;
        return Some(format!("ref: {target}\n"));
    }
    let text = String::from_utf8(bounded(&path, 4096)?).ok()?;
    let text = text.trim();
    let fine = text.strip_prefix("ref:").map_or_else(|| is_id(text), |name| is_branch(name.trim()));
    fine.then(|| format!("{text}\n"))
}

/// Every branch, tag and the like with its object, and whether all of them could be read.
fn branches(shared: &Path) -> (BTreeMap<String, String>, bool) {
    let (mut found, mut whole) = (BTreeMap::new(), true);
    let packed = shared.join("packed-refs");
    match bounded(&packed, LARGEST_PACKED_REFS) {
        Some(text) => {
            let text = String::from_utf8_lossy(&text);
            for line in text.lines().filter(|line| !line.starts_with(['#', '^'])) {
                match line.split_once(' ').filter(|(id, name)| is_id(id) && is_branch(name)) {
                    Some((id, name)) => _ = found.insert(name.to_owned(), id.to_owned()),
                    None => whole = false,
                }
            }
        }
        None => whole &= fs::symlink_metadata(&packed).is_err(),
    }
    let walk = Walk { skipped: &[], obeys_ignore: false, most: MOST_BRANCHES };
    let Ok(walked) = walk.through(&shared.join("refs")) else { return (found, whole) };
    whole &= !walked.cut;
    for file in walked.files {
        let parts = file.path.components().map(Component::as_os_str);
        let name = parts.fold("refs".to_owned(), |name, part| format!("{name}/{}", part.to_string_lossy()));
        let text = bounded(&shared.join("refs").join(&file.path), 4096).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        match is_id(&text) && is_branch(&name) {
            true => _ = found.insert(name, text),
            // Another name for a branch that is listed as well; or a write that is under way.
            false => whole &= text.starts_with("ref:") || name.ends_with(".lock"),
        }
    }
    (found, whole)
}

fn is_id(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A name as `git check-ref-format` allows it.
fn is_branch(name: &str) -> bool {
    let fine = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let refused = |character: char| character.is_control() || " ~^:?*[\\\u{fffd}".contains(character);
    name.starts_with("refs/")
        && name.split('/').all(fine)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_from_a_list_are_taken_over() {
        let said = [
            ("core.autocrlf", "input"),
            ("core.fsmonitor", "touch x"),
            ("core.eol", "lf\n[alias]"),
            ("extensions.objectformat", "sha256"),
        ];
        let said = said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let text = own_config(&said, false);
        assert!(text.contains("autocrlf = input") && text.contains("repositoryformatversion = 1"), "{text}");
        assert!(!text.contains("touch") && !text.contains("alias"), "{text}");
    }

    #[test]
    fn names_of_branches() {
        assert!(is_branch("refs/heads/feature/a-1") && is_branch("refs/tags/v1.0") && is_branch("refs/stash"));
        for bad in
            ["heads/a", "refs/../x", "refs/heads/.a", "refs/heads/a b", "refs/heads/a.lock", "refs//a", "refs/a\n"]
        {
            assert!(!is_branch(bad), "{bad}");
        }
    }
}
