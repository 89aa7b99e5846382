//! What the history holds: paths and contents, each once.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read, Write},
    process::{ChildStdin, Stdio},
    thread,
};

use super::{Git, process::Running};

/// A file's content somewhere in history.
pub struct Blob {
    /// Object id.
    pub id: String,
    /// One of the paths that it had.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// What [`Git::blobs`] went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Blobs {
    /// Contents that were shown.
    pub shown: usize,
    /// Contents that are larger than was asked for, with the path of one.
    pub larger: usize,
}

/// An object of the history, before it is read.
struct Listed {
    id: String,
    path: String,
}

impl Git {
    /// Every path of every commit of every branch.
    ///
    /// # Errors
    /// When the history cannot be read to its end.
    pub fn paths_ever(&self) -> Result<BTreeSet<String>, String> {
        // By commits, not by objects: an object of two paths is listed under one.
        let arguments = [
            "log",
            "--all",
            "-m",
            "--root",
            "--name-only",
            "--no-renames",
            "--format=",
            "-z",
            "--no-ext-diff",
            "--no-textconv",
            "--no-show-signature",
            "--no-mailmap",
            "--ignore-submodules=dirty",
        ];
        let (running, _, answer) = Running::start(self.stand_in.command(&arguments), "log", &self.stop)?;
        let mut answer = BufReader::with_capacity(1 << 16, answer);
        let (mut paths, mut path) = (BTreeSet::new(), Vec::new());
        while let Ok(1..) = answer.read_until(0, &mut path) {
            // Commits are set apart by line ends.
            let text = String::from_utf8_lossy(&path);
            let text = text.trim_end_matches('\0').trim_start_matches('\n');
            if !text.is_empty() && !paths.contains(text) {
                paths.insert(text.to_owned());
            }
            path.clear();
        }
        running.end(answer.into_inner())?;
        Ok(paths)
    }

    /// Shows every file content of history that is at most `largest` bytes long, each once.
    ///
    /// # Errors
    /// When the history cannot be read to its end.
    pub fn blobs(&self, largest: u64, see: impl FnMut(Blob)) -> Result<Blobs, String> {
        self.blobs_of(|_| true, largest, see)
    }

    /// As [`Self::blobs`], of files with such paths alone. A content of several paths goes by one of them.
    ///
    /// # Errors
    /// When the history cannot be read to its end.
    pub fn blobs_of(
        &self,
        wanted: impl Fn(&str) -> bool,
        largest: u64,
        mut see: impl FnMut(Blob),
    ) -> Result<Blobs, String> {
        let mut counted = Blobs::default();
        let mut listed = self.objects()?;
        listed.retain(|object| wanted(&object.path));
        let listed = self.of_size(listed, largest, &mut counted)?;
        let (running, mut answer) = self.about_objects(&["cat-file", "--batch", "--buffer"], &listed)?;
        for Listed { id, path } in listed {
            let (kind, size) = header(&mut answer)?;
            let Some(size) = size else { return Err(format!("object {id} is missing")) };
            let mut content = Vec::with_capacity(usize::try_from(size.min(largest)).unwrap_or_default() + 1);
            let read = (&mut answer).take(size + 1).read_to_end(&mut content);
            read.map_err(|error| format!("git cat-file broke off: {error}"))?;
            if content.len() as u64 != size + 1 {
                return Err("git cat-file broke off".into());
            }
            content.pop();
            if kind == "blob" {
                counted.shown += 1;
                see(Blob { id, path, content });
            }
        }
        running.end(answer.into_inner())?;
        Ok(counted)
    }

    /// Every file content that any branch or tag reaches, with a path where it has one.
    fn objects(&self) -> Result<Vec<Listed>, String> {
        let every = ["rev-list", "--all", "--objects"];
        let filtered = ["rev-list", "--all", "--objects", "--filter=object:type=blob"];
        // A Git before 2.32 knows no such filter; what is no file is then passed over by its kind.
        self.listed(&filtered).or_else(|_| self.listed(&every))
    }

    fn listed(&self, arguments: &[&str]) -> Result<Vec<Listed>, String> {
        let (running, _, answer) = Running::start(self.stand_in.command(arguments), "rev-list", &self.stop)?;
        let mut answer = BufReader::with_capacity(1 << 16, answer);
        let (mut listed, mut line) = (Vec::new(), Vec::new());
        while let Ok(1..) = answer.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            // Without a blank behind it, it is a commit.
            if let Some((id, path)) = text.trim_end_matches('\n').split_once(' ') {
                listed.push(Listed { id: id.to_owned(), path: path.to_owned() });
            }
            line.clear();
        }
        running.end(answer.into_inner())?;
        Ok(listed)
    }

    /// Those that are file contents and not too large: sizes are known without unpacking.
    fn of_size(&self, listed: Vec<Listed>, largest: u64, counted: &mut Blobs) -> Result<Vec<Listed>, String> {
        let arguments = ["cat-file", "--batch-check", "--buffer"];
        let (running, mut answer) = self.about_objects(&arguments, &listed)?;
        let mut kept = Vec::new();
        for object in listed {
            let (kind, size) = header(&mut answer)?;
            match size {
                None => return Err(format!("object {} is missing", object.id)),
                Some(_) if kind != "blob" => {}
                Some(size) if size > largest => counted.larger += 1,
                Some(_) => kept.push(object),
            }
        }
        running.end(answer.into_inner())?;
        Ok(kept)
    }

    fn about_objects(
        &self,
        arguments: &[&str],
        listed: &[Listed],
    ) -> Result<(Running, BufReader<super::process::Answer>), String> {
        let mut command = self.stand_in.command(arguments);
        command.stdin(Stdio::piped());
        let (running, input, answer) = Running::start(command, "cat-file", &self.stop)?;
        let Some(input) = input else { return Err("git cat-file has no input".into()) };
        let ids: Vec<String> = listed.iter().map(|object| object.id.clone()).collect();
        // A thread of its own, because git stops reading while nobody reads what it writes. Its error shows as a short read.
        thread::spawn(move || write_ids(input, &ids));
        Ok((running, BufReader::with_capacity(1 << 18, answer)))
    }
}

fn write_ids(input: ChildStdin, ids: &[String]) -> io::Result<()> {
    let mut input = io::BufWriter::new(input);
    ids.iter().try_for_each(|id| writeln!(input, "{id}"))?;
    input.flush()
}

/// `ID KIND SIZE`; no size when the object is missing.
fn header(answer: &mut impl BufRead) -> Result<(String, Option<u64>), String> {
    let mut line = String::new();
    let read = answer.take(1024).read_line(&mut line).map_err(|error| format!("git cat-file broke off: {error}"))?;
    if read == 0 {
        return Err("git cat-file broke off".into());
    }
    let mut fields = line.split_whitespace().skip(1);
    let kind = fields.next().unwrap_or_default().to_owned();
    Ok((kind, fields.next().and_then(|size| size.parse().ok())))
}
