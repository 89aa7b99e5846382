//! Questions to a Git repository, asked through the `git` program: it reads every format that exists.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

/// A repository that can be read.
#[derive(Debug)]
pub struct Git {
    folder: PathBuf,
}

/// A file's content somewhere in history.
pub struct Blob {
    /// Object id.
    pub id: String,
    /// One of the paths that it had.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl Git {
    /// Opens the repository that the folder is in. The error says why that is not possible.
    pub fn open(folder: &Path) -> Result<Self, String> {
        if !folder.is_dir() {
            return Err(format!("{} is not a folder", folder.display()));
        }
        let git = Self { folder: folder.to_owned() };
        git.output(&["rev-parse", "--git-dir"])?;
        Ok(git)
    }

    /// The commit that is checked out; with `+changes:` and a hash of them when the files are not those of the commit.
    pub fn head(&self) -> Option<String> {
        let commit = self.output(&["rev-parse", "HEAD"]).ok()?.trim().to_owned();
        let mut changes = self.output(&["diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary"]).ok()?;
        // What is new and not ignored is part of what runs; what we write ourselves is not.
        let new = self.output(&["ls-files", "--others", "--exclude-standard", "-z", "--full-name", ":/"]).ok()?;
        let top = PathBuf::from(self.output(&["rev-parse", "--show-toplevel"]).ok()?.trim());
        for path in new.split('\0').filter(|path| !path.is_empty() && !path.split('/').any(|part| part == ".seaworthy"))
        {
            let content = std::fs::read(top.join(path)).unwrap_or_default();
            changes.push_str(&format!("{path} {}\n", hash(&content)));
        }
        if changes.is_empty() {
            return Some(commit);
        }
        Some(format!("{commit}+changes:{}", hash(changes.as_bytes()).get(..12).unwrap_or_default()))
    }

    /// Whether a path would be ignored by a `.gitignore` of the repository itself: a developer's own settings protect
    /// nobody else.
    pub fn ignores(&self, path: &str) -> Result<bool, String> {
        let mut command =
            self.command(&["-c", "core.excludesFile=/dev/null", "check-ignore", "-v", "--no-index", path]);
        let output = command.output().map_err(missing)?;
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout)
                .split(':')
                .next()
                .is_some_and(|file| file.ends_with(".gitignore"))),
            Some(1) => Ok(false),
            _ => Err("git check-ignore failed".into()),
        }
    }

    /// Why the history here is not the whole history, when it is not.
    pub fn incomplete(&self) -> Option<String> {
        let shallow = self.output(&["rev-parse", "--is-shallow-repository"]).is_ok_and(|text| text.trim() == "true");
        let partial =
            self.output(&["config", "--get-regexp", r"remote\..*\.promisor"]).is_ok_and(|text| !text.trim().is_empty());
        (shallow || partial)
            .then(|| "this is a shallow or partial clone: fetch the whole history (fetch-depth: 0)".to_owned())
    }

    /// The files below the folder that are tracked, and those that are new and not ignored; relative to it.
    pub fn work_files(&self) -> Result<Vec<PathBuf>, String> {
        let text = self.output(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let mut paths: Vec<PathBuf> = text.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Every path of every commit of every branch.
    pub fn paths_ever(&self) -> Result<BTreeSet<String>, String> {
        // By commits, not by objects: an object of two paths is listed under one.
        let arguments =
            ["-c", "core.quotePath=false", "log", "--all", "-m", "--root", "--name-only", "--no-renames", "--format="];
        let text = self.output(&arguments)?;
        Ok(text.lines().filter(|path| !path.is_empty()).map(str::to_owned).collect())
    }

    /// Shows every file content of history that is at most `largest` bytes long, each once.
    pub fn blobs(&self, largest: u64, mut see: impl FnMut(Blob)) -> Result<usize, String> {
        let objects = self.objects()?;
        let mut process = self.command(&["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let process =
            process.as_mut().map_err(|error| missing(std::io::Error::new(error.kind(), error.to_string())))?;
        let (Some(mut input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("git cat-file has no pipes".into());
        };
        let ids: Vec<String> = objects.iter().map(|(id, _)| id.clone()).collect();
        // A thread of its own, because git stops reading while nobody reads what it writes.
        let writer = std::thread::spawn(move || ids.iter().try_for_each(|id| writeln!(input, "{id}")));
        let mut output = BufReader::new(output);
        let mut seen = 0;
        for (id, path) in objects {
            let mut head = String::new();
            output.read_line(&mut head).map_err(|error| format!("git cat-file broke off: {error}"))?;
            let mut fields = head.split_whitespace().skip(1);
            let (kind, size) =
                (fields.next().unwrap_or_default(), fields.next().and_then(|size| size.parse::<u64>().ok()));
            let Some(size) = size else { continue };
            let mut content = Vec::new();
            let read = (&mut output).take(size + 1).read_to_end(&mut content);
            read.map_err(|error| format!("git cat-file broke off: {error}"))?;
            content.pop();
            if kind == "blob" && size <= largest {
                seen += 1;
                see(Blob { id, path, content });
            }
        }
        // Its error shows as a short read above.
        let _ = writer.join();
        let _ = process.wait();
        Ok(seen)
    }

    /// Every object that any branch or tag reaches, with a path where it has one.
    fn objects(&self) -> Result<Vec<(String, String)>, String> {
        let text = self.output(&["-c", "core.quotePath=false", "rev-list", "--all", "--objects"])?;
        let split = |line: &str| match line.split_once(' ') {
            Some((id, path)) => (id.to_owned(), path.to_owned()),
            None => (line.to_owned(), String::new()),
        };
        Ok(text.lines().map(split).collect())
    }

    fn output(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(arguments).output().map_err(missing)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(format!("git {}: {}", arguments.first().unwrap_or(&""), why.lines().next().unwrap_or("failed")))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        // A repository is data to us: none of its hooks or configured programs may run.
        command.arg("-C").arg(&self.folder).args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]);
        // `status` and `diff` would refresh the index, and a check must leave no trace.
        command.env("GIT_OPTIONAL_LOCKS", "0").args(arguments).stderr(Stdio::piped());
        command
    }
}

/// SHA-256 in hexadecimal.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn missing(error: std::io::Error) -> String {
    format!("git could not be run: {error}; install git")
}
