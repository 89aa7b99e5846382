//! What a copy of a project holds.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Component, Path, PathBuf},
};

use seaworthy_repository::{Repository, Stop};

use super::SandboxError;

/// A project's own files.
const MOST_FILES: usize = 60_000;
const MOST_BYTES: u64 = 1 << 30;
/// Dependencies, when they must be copied.
const MOST_DEPENDENCY_FILES: usize = 200_000;
const MOST_DEPENDENCY_BYTES: u64 = 2 << 30;
/// Packages of a monorepo have their own dependencies some folders down.
const DEEPEST: usize = 4;

/// Copies the project's own files; gives how many.
pub fn project(
    repository: &Repository,
    copy: &Path,
    stop: &Stop,
    notes: &mut Vec<String>,
) -> Result<usize, SandboxError> {
    let root = &fs::canonicalize(repository.root())?;
    let paths: BTreeSet<PathBuf> =
        match repository.git().and_then(|git| git.work_files(repository.root()).map_err(|_| "")) {
            Ok(paths) if !paths.is_empty() => paths.into_iter().collect(),
            _ => repository.files().map(Path::to_owned).collect(),
        };
    if paths.len() > MOST_FILES {
        return Err(SandboxError::TooLarge(format!("{} files", paths.len())));
    }
    let (mut copied, mut bytes) = (0, 0);
    for path in paths.iter().filter(|path| is_inside(path) && !path.starts_with(".seaworthy")) {
        if stop.is_set() {
            return Err(SandboxError::Stopped);
        }
        let (from, to) = (root.join(path), copy.join(path));
        // A file that is tracked and deleted is not there.
        let Ok(metadata) = fs::symlink_metadata(&from) else { continue };
        if metadata.is_symlink() {
            copy_link(root, path, &to, notes)?;
        } else if metadata.is_file() && leads_nowhere_else(root, path) {
            bytes += metadata.len();
            if bytes > MOST_BYTES {
                return Err(SandboxError::TooLarge(format!("more than {} MiB", MOST_BYTES >> 20)));
            }
            make_parent(&to)?;
            fs::copy(&from, &to)?;
        } else {
            continue;
        }
        copied += 1;
    }
    Ok(copied)
}

/// Only names: no `..`, no root.
fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// A folder on the way may be a link.
fn leads_nowhere_else(root: &Path, path: &Path) -> bool {
    let parent = path.parent().map(|parent| fs::canonicalize(root.join(parent)));
    parent.is_some_and(|parent| parent.is_ok_and(|parent| parent.starts_with(root)))
}

/// A link to something of the project stays one; what leads out of it is left out.
fn copy_link(root: &Path, path: &Path, to: &Path, notes: &mut Vec<String>) -> io::Result<()> {
    let target = fs::read_link(root.join(path))?;
    let inside = fs::canonicalize(root.join(path)).is_ok_and(|real| real.starts_with(root));
    if !target.is_relative() || !inside {
        notes.push(format!("{} is a link that leads out of the project, and was left out", path.display()));
        return Ok(());
    }
    make_parent(to)?;
    #[cfg(unix)]
    std::os::unix::fs::symlink(target, to)?;
    Ok(())
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Folders of dependencies that are not among the project's own files; relative to its root.
pub fn dependency_folders(root: &Path, copy: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    look_into(root, Path::new(""), copy, DEEPEST, &mut found);
    found.sort();
    found
}

fn look_into(root: &Path, folder: &Path, copy: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = folder.join(&name);
        let real = root.join(&path);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let linked = entry.file_type().is_ok_and(|kind| kind.is_symlink()) && real.is_dir();
        let holds_dependencies = match name.as_str() {
            "node_modules" | ".pnpm" => true,
            ".venv" | "venv" | "env" | "virtualenv" => real.join("pyvenv.cfg").is_file(),
            "vendor" | ".bundle" | ".yarn" => true,
            _ => false,
        };
        if holds_dependencies && (is_folder || linked) {
            if !copy.join(&path).exists() {
                found.push(path);
            }
        } else if is_folder && depth > 1 && name != ".git" && name != "target" && copy.join(&path).is_dir() {
            look_into(root, &path, copy, depth - 1, found);
        }
    }
}

/// Copies dependencies with their links; gives how many files.
pub fn dependencies(from: &Path, to: &Path, stop: &Stop) -> Result<usize, SandboxError> {
    let (mut files, mut bytes) = (0, 0);
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from)?.flatten() {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push((from, to));
                continue;
            }
            if stop.is_set() {
                return Err(SandboxError::Stopped);
            }
            files += 1;
            bytes += if kind.is_file() { entry.metadata()?.len() } else { 0 };
            if files > MOST_DEPENDENCY_FILES || bytes > MOST_DEPENDENCY_BYTES {
                return Err(SandboxError::TooLarge("the dependencies hold too many files".into()));
            }
            if kind.is_symlink() {
                #[cfg(unix)]
                std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
            } else if kind.is_file() {
                fs::copy(&from, &to)?;
            }
        }
    }
    Ok(files)
}

/// Makes every folder one that can be removed: tests take rights away, and so do layers.
pub fn unlock(folder: &Path) {
    let Ok(metadata) = fs::symlink_metadata(folder) else { return };
    if !metadata.is_dir() {
        return;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if metadata.permissions().mode() & 0o700 != 0o700 {
            // What cannot be unlocked stays behind in the temporary folder.
            let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
        }
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    entries.flatten().for_each(|entry| unlock(&entry.path()));
}
