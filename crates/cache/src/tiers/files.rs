//! The files of the disk tier: for their owner alone, and for one process at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::table::TableError;

/// Removes the files of a database; with `keep` the main one gets another name.
///
/// # Errors
/// A file that cannot be removed.
pub(super) fn discard(path: &Path, keep: bool) -> io::Result<()> {
    if keep {
        fs::rename(path, beside(path, ".damaged"))?;
    } else {
        gone(fs::remove_file(path))?;
    }
    gone(fs::remove_file(beside(path, "-wal")))?;
    gone(fs::remove_file(beside(path, "-shm")))
}

/// Removes what an earlier run left, where nobody uses it.
///
/// # Errors
/// One that is in use or cannot be removed.
pub(super) fn remove_left(path: &Path) -> Result<(), TableError> {
    if !path.exists() {
        return Ok(());
    }
    let _lock = lock(path)?;
    Ok(discard(path, false)?)
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
