//! Questions to a Git repository, asked through the `git` program: it reads every format that exists.

mod history;
mod process;
mod stand_in;

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

pub use history::{Blob, Blobs};
use process::Running;
use stand_in::{Found, StandIn};

use crate::stop::Stop;

/// A repository that can be read. Git sees a stand-in for it: nothing that the repository configures can run.
#[derive(Debug, Clone)]
pub struct Git {
    stand_in: Arc<StandIn>,
    stop: Stop,
}

/// Of all new files together, what is read to tell one state from another; of the rest size and time must do.
const MOST_HASHED: u64 = 1 << 30;

impl Git {
    /// Opens the repository that the folder is in. The error says why that is not possible.
    pub fn open(folder: &Path) -> Result<Self, String> {
        Self::open_unless(folder, Stop::default())
    }

    /// As [`Self::open`]; what is asked of it ends with an error once that is told.
    pub fn open_unless(folder: &Path, stop: Stop) -> Result<Self, String> {
        if !folder.is_dir() {
            return Err(format!("{} is not a folder", folder.display()));
        }
        let git = Self { stand_in: Arc::new(StandIn::of(Found::around(folder)?, &stop)?), stop };
        git.output(&["rev-parse", "--git-dir"])?;
        Ok(git)
    }

    /// The same repository for a look of its own.
    pub(crate) fn for_look(&self, stop: Stop) -> Self {
        Self { stop, ..self.clone() }
    }

    /// The commit that is checked out; with `+changes:` and a hash of them when the files are not those of the commit.
    pub fn head(&self) -> Option<String> {
        let commit = self.output(&["rev-parse", "--verify", "HEAD"]).ok()?.trim().to_owned();
        let Some(top) = &self.stand_in.found.top else { return Some(commit) };
        let mut state = Sha256::new();
        let changed = self.changes(&mut state).ok()?;
        // What is new and not ignored is part of what runs; what we write ourselves is not.
        let new = self.output(&["ls-files", "--others", "--exclude-standard", "-z", "--full-name", ":/"]).ok()?;
        let mut left = MOST_HASHED;
        let mut is_new = false;
        for path in new.split('\0').filter(|path| !path.is_empty() && !path.split('/').any(|part| part == ".seaworthy"))
        {
            self.stop.check();
            is_new = true;
            state.update(format!("{path} {}\n", state_of(&top.join(path), &mut left)));
        }
        if !changed && !is_new {
            return Some(commit);
        }
        Some(format!("{commit}+changes:{}", hexadecimal(&state.finalize()).get(..12).unwrap_or_default()))
    }

    /// Adds what differs from the commit, and says whether anything does. Submodules count by the commit they are at: for
    /// more Git would start another Git inside them, with their own configuration.
    fn changes(&self, state: &mut Sha256) -> Result<bool, String> {
        let arguments =
            ["diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary", "--no-color", "--ignore-submodules=dirty"];
        let (running, _, mut answer) = Running::start(self.stand_in.command(&arguments), "diff", &self.stop)?;
        let (mut buffer, mut any) = ([0; 1 << 16], false);
        loop {
            match answer.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    any = true;
                    state.update(buffer.get(..length).unwrap_or_default());
                }
            }
        }
        running.end(answer)?;
        Ok(any)
    }

    /// Whether a path would be ignored by a `.gitignore` of the repository itself: a developer's own settings protect
    /// nobody else.
    pub fn ignores(&self, path: &str) -> Result<bool, String> {
        let command = self.stand_in.command(&["check-ignore", "-v", "--no-index", "--", path]);
        match process::ask(command, "check-ignore", &self.stop) {
            // `FILE:LINE:RULE<tab>PATH`; a rule that takes it out again is shown too.
            Ok(answer) => {
                let answer = String::from_utf8_lossy(&answer);
                let mut fields = answer.splitn(3, ':');
                let (file, rule) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
                Ok(file.ends_with(".gitignore") && !rule.starts_with('!'))
            }
            // It ends with 1, and without a complaint, when the path is not ignored.
            Err(why) if why.ends_with("failed (1)") => Ok(false),
            Err(why) => Err(why),
        }
    }

    /// Why the history here is not the whole history, when it is not.
    pub fn incomplete(&self) -> Option<String> {
        self.stand_in.incomplete.map(str::to_owned)
    }

    /// Where its files are; nothing for a bare repository.
    pub fn top(&self) -> Option<&Path> {
        self.stand_in.found.top.as_deref()
    }

    /// The files below a folder of it that are tracked, and those that are new and not ignored; relative to that folder.
    pub fn work_files(&self, folder: &Path) -> Result<Vec<PathBuf>, String> {
        let below = match (self.top(), folder.canonicalize()) {
            (Some(top), Ok(folder)) => {
                let top = top.canonicalize().unwrap_or_else(|_| top.to_owned());
                folder.strip_prefix(&top).map(Path::to_owned).unwrap_or_default()
            }
            _ => PathBuf::new(),
        };
        let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--full-name", ":/"];
        let text = self.output(&arguments)?;
        let paths = text.split('\0').filter(|path| !path.is_empty()).map(Path::new);
        let mut paths: Vec<PathBuf> =
            paths.filter_map(|path| Some(path.strip_prefix(&below).ok()?.to_owned())).collect();
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// The paths of what the index holds.
    pub fn tracked(&self) -> Result<Vec<PathBuf>, String> {
        let text = self.output(&["ls-files", "--cached", "-z", "--full-name", ":/"])?;
        Ok(text.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect())
    }

    /// Names that the default branch may have: what the remote calls so, and what is checked out.
    pub fn default_branches(&self) -> Vec<String> {
        let remote = self.output(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"]).ok();
        let own = self.output(&["symbolic-ref", "--quiet", "HEAD"]).ok();
        let name = |text: String| text.trim().rsplit_once("heads/").map(|(_, name)| name.to_owned());
        let remote = remote.and_then(|text| text.trim().strip_prefix("refs/remotes/origin/").map(String::from));
        remote.into_iter().chain(own.and_then(name)).collect()
    }

    /// When a path was last changed by a commit, in seconds since 1970; nothing when no commit has it.
    pub fn last_changed(&self, path: &Path) -> Option<i64> {
        let path = path.to_str()?;
        self.output(&["log", "-1", "--format=%ct", "--", path]).ok()?.trim().parse().ok()
    }

    fn output(&self, arguments: &[&str]) -> Result<String, String> {
        let bytes = process::ask(self.stand_in.command(arguments), arguments.first().unwrap_or(&""), &self.stop)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A file's content by its hash, a link by what it says. A pipe or a device has none.
fn state_of(path: &Path, left: &mut u64) -> String {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return String::new() };
    if metadata.is_symlink() {
        return std::fs::read_link(path).map(|target| target.display().to_string()).unwrap_or_default();
    }
    if !metadata.is_file() {
        return "no file".into();
    }
    if metadata.len() > *left {
        return format!("{} {:?}", metadata.len(), metadata.modified().ok());
    }
    *left -= metadata.len();
    let mut hash = Sha256::new();
    if let Ok(file) = File::open(path) {
        let mut file = file.take(metadata.len());
        let mut buffer = [0; 1 << 16];
        while let Ok(length @ 1..) = file.read(&mut buffer) {
            hash.update(buffer.get(..length).unwrap_or_default());
        }
    }
    hexadecimal(&hash.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod hostile_tests;
