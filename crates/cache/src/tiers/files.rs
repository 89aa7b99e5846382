//! The files of the disk tier: for their owner alone, and for one process at a time. What is not ours is not touched: a
//! `disk_path` may name somebody's data.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::table::TableError;

/// `PRAGMA application_id` of our databases, 1400337529: "Swty".
const OURS: u32 = 0x5377_7479;
/// Where SQLite has it, in the first page of the file.
const ID: std::ops::Range<usize> = 68..72;

/// The ending of the file that says that removals are missing in the database.
const MISSED: &str = ".missed";

/// Whose the file at a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// There is none, or an empty one.
    Nobodys,
    Ours,
    Anothers,
}

/// Looks at the mark in the file.
///
/// # Errors
/// The file may be there, and cannot be read.
pub(super) fn whose(path: &Path) -> io::Result<Whose> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(Whose::Nobodys),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(Whose::Anothers);
    }
    let mut head = Vec::new();
    file.take(ID.end as u64).read_to_end(&mut head)?;
    let ours = head.starts_with(b"SQLite format 3\0") && head.get(ID).is_some_and(|id| id == OURS.to_be_bytes());
    Ok(match head.is_empty() {
        true => Whose::Nobodys,
        false if ours => Whose::Ours,
        false => Whose::Anothers,
    })
}

/// Its folder may be missing too, or be a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Removes the files of a database of ours; with `keep` the main one gets another name.
///
/// # Errors
/// A file that cannot be removed.
pub(super) fn discard(path: &Path, keep: bool) -> io::Result<()> {
    if keep {
        fs::rename(path, beside(path, ".damaged"))?;
    } else {
        gone(fs::remove_file(path))?;
    }
    for ending in ["-wal", "-shm", "-journal"] {
        gone(fs::remove_file(beside(path, ending)))?;
    }
    sync_folder(path)
}

/// What was done in its folder outlasts a fall of the machine: a removed file would come back with what was purged.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Removes what an earlier run of ours left, where nobody uses it.
///
/// # Errors
/// One that is in use or cannot be removed.
pub(super) fn remove_left(path: &Path) -> Result<(), TableError> {
    if whose(path)? != Whose::Ours {
        return Ok(());
    }
    let removed = lock(path).and_then(|_lock| Ok(discard(path, false)?));
    if removed.is_err() {
        // What cannot be removed is not read when it is used again.
        mark(path)?;
    }
    removed
}

/// Leaves word beside a database of ours that answers in it may have been removed since: the next one who opens it empties
/// it. Where there is none, none is needed.
///
/// # Errors
/// It cannot be left.
pub(super) fn mark(path: &Path) -> io::Result<()> {
    let word = beside(path, MISSED);
    // One that cannot be looked at may be ours.
    if matches!(whose(path), Ok(Whose::Nobodys | Whose::Anothers)) || word.is_file() {
        return Ok(());
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(word)?.sync_all()?;
    sync_folder(path)
}

/// Whether such word is there.
pub(super) fn is_marked(path: &Path) -> bool {
    beside(path, MISSED).exists()
}

/// Takes it away.
///
/// # Errors
/// It is still there.
pub(super) fn unmark(path: &Path) -> io::Result<()> {
    gone(fs::remove_file(beside(path, MISSED)))
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes the database for this process, as long as the file is held.
///
/// # Errors
/// [`TableError::Busy`]: another one has it.
pub(super) fn lock(path: &Path) -> Result<File, TableError> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(beside(path, ".lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TableError::Busy),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The file, for its owner alone; SQLite gives its other files the same permissions.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}
