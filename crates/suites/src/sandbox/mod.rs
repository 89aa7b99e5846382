//! A copy of a project in a temporary folder, in which its own commands run.
//!
//! The user's folder is never written to. Where the kernel lets us, the copy stands in the folder's own place, without
//! network, with everything else read-only; the notes say which protection was there.

mod copy;
mod launch;
mod output;
mod protection;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use seaworthy_repository::{Repository, Stop};
use tempfile::TempDir;
use thiserror::Error;

pub use launch::Ran;
pub use protection::Protection;

/// A project that commands may run in.
#[derive(Debug)]
pub struct Sandbox {
    scratch: TempDir,
    /// Where the files are for us.
    copy: PathBuf,
    /// Where they are for the commands.
    place: PathBuf,
    protection: Protection,
    dependencies: Vec<Layer>,
    notes: Vec<String>,
}

/// A folder of dependencies that is seen through a layer which takes what is written.
#[derive(Debug)]
struct Layer {
    lower: PathBuf,
    over: PathBuf,
    upper: PathBuf,
    work: PathBuf,
}

/// A command for the shell, and what it may take.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// As for `sh -c`.
    pub line: String,
    /// Where it runs, relative to the project.
    pub folder: PathBuf,
    /// Added to the clean environment.
    pub environment: Vec<(String, String)>,
    /// How long it may take.
    pub budget: Duration,
    /// Ends it at once, with everything that it started.
    pub stop: Stop,
}

/// Why there is no sandbox.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// A file cannot be read or written.
    #[error("the project cannot be copied: {0}")]
    Copy(#[from] io::Error),
    /// There is too much of it.
    #[error("{0}: it is too large to be copied")]
    TooLarge(String),
    /// Nobody waits for it any more.
    #[error("{ENDED}")]
    Stopped,
}

/// Why there is no result of a command, when the look that ran it was told to end.
pub const ENDED: &str = "it was ended before it was done: the look's time was over ([check] test_budget)";

impl Sandbox {
    /// Copies a project: what is tracked, and what is new and not ignored; its dependencies stay reachable.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn of(repository: &Repository, stop: &Stop) -> Result<Self, SandboxError> {
        let scratch = tempfile::Builder::new().prefix("seaworthy-suites-").tempdir()?;
        let base = fs::canonicalize(scratch.path())?;
        for folder in ["copy", "home", "tmp", "results", "layers"] {
            fs::create_dir(base.join(folder))?;
        }
        crate::drivers::write(&base.join("drivers"))?;
        let root = fs::canonicalize(repository.root())?;
        let copy = base.join("copy");
        let mut sandbox = Self {
            scratch,
            copy: copy.clone(),
            place: copy,
            protection: Protection::strongest(),
            dependencies: Vec::new(),
            notes: Vec::new(),
        };
        sandbox.notes.push(sandbox.protection.to_string());
        let copied = copy::project(repository, &sandbox.copy, stop, &mut sandbox.notes)?;
        sandbox.notes.push(format!("{copied} files copied"));
        // The copy cannot stand in its own parent's place.
        if sandbox.protection == Protection::Room && base.starts_with(&root) {
            sandbox.protection = Protection::Group;
        }
        if sandbox.protection == Protection::Room {
            sandbox.place.clone_from(&root);
        }
        sandbox.reach_dependencies(&root, &base, stop)?;
        Ok(sandbox)
    }

    /// Dependencies are never linked: a test that writes into one would write into the user's own.
    fn reach_dependencies(&mut self, root: &Path, base: &Path, stop: &Stop) -> Result<(), SandboxError> {
        for (number, folder) in copy::dependency_folders(root, &self.copy).into_iter().enumerate() {
            let Ok(lower) = fs::canonicalize(root.join(&folder)) else { continue };
            let over = self.copy.join(&folder);
            fs::create_dir_all(&over)?;
            let plain = |path: &Path| !path.to_string_lossy().contains([',', ':', '\\']);
            if self.protection == Protection::Room && plain(&lower) && plain(&over) && plain(base) {
                let layer = base.join("layers").join(number.to_string());
                let (upper, work) = (layer.join("upper"), layer.join("work"));
                fs::create_dir_all(&upper)?;
                fs::create_dir_all(&work)?;
                self.notes.push(format!("{} is read through a layer", folder.display()));
                self.dependencies.push(Layer { lower, over, upper, work });
            } else {
                let files = copy::dependencies(&lower, &over, stop)?;
                self.notes.push(format!("{} was copied: {files} files", folder.display()));
            }
        }
        Ok(())
    }

    /// What protected the machine, and what was copied: for the transcript.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The project's folder as its commands see it.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Where commands may leave their results.
    pub fn results(&self) -> PathBuf {
        self.base().join("results")
    }

    /// Our own helpers for test runners.
    pub fn drivers(&self) -> PathBuf {
        self.base().join("drivers")
    }

    /// The text of a file of the copy, as it is now.
    pub fn text(&self, path: &Path) -> Option<String> {
        fs::read_to_string(self.own(path).ok()?).ok()
    }

    /// Writes a file of the copy.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        fs::write(self.own(path)?, text)
    }

    /// Writes a file that a command reads, and gives its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn leave(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let results = self.results();
        if !fs::symlink_metadata(&results)?.is_dir() {
            return Err(io::Error::other("a command put something else in the place of our results"));
        }
        let path = results.join(name);
        // What is there may be a link.
        let _ = fs::remove_file(&path);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Where a file of the copy is. A command may have put a link in its place, which leads to the user's own files: we
    /// do not follow it.
    fn own(&self, path: &Path) -> io::Result<PathBuf> {
        let path = self.copy.join(path);
        let parent = fs::canonicalize(path.parent().unwrap_or(&self.copy))?;
        let linked = fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file());
        if !parent.starts_with(&self.copy) || linked {
            return Err(io::Error::other("a command put a link in the place of a file"));
        }
        Ok(path)
    }

    /// Runs a command, and ends everything that it started.
    pub fn run(&self, order: &Order) -> Ran {
        launch::run(self, order)
    }

    fn base(&self) -> PathBuf {
        self.copy.parent().unwrap_or(self.scratch.path()).to_owned()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        copy::unlock(self.scratch.path());
    }
}

#[cfg(test)]
mod tests;
