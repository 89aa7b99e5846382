//! The files of a folder that somebody else filled: links are not followed, what is no plain file is not opened, and
//! nothing is without bounds.
//!
//! `.gitignore` is obeyed as Git does. It is read here and not by the library's own walk, because that one opens whatever
//! has the name: a pipe would hold it for ever.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use crate::stop::Stop;

/// Folders below folders that are gone into.
const DEEPEST: usize = 200;
/// Entries of one folder that are looked at.
const MOST_ENTRIES: usize = 200_000;
/// Rules of one `.gitignore`; a file with more is not obeyed.
const MOST_RULES: usize = 5_000;
const LARGEST_RULES: u64 = 1 << 20;

/// A plain file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkedFile {
    /// Relative to where the walk began.
    pub path: PathBuf,
    /// In bytes.
    pub length: u64,
}

/// How to go through a folder.
#[derive(Debug, Clone, Copy)]
pub struct Walk<'a> {
    /// Names of folders that are passed over, except for the first one.
    pub skipped: &'a [&'a [&'a str]],
    /// Whether what `.gitignore` names is passed over.
    pub obeys_ignore: bool,
    /// How many files at most.
    pub most: usize,
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Walked {
    /// Plain files, folder after folder in the order of their names.
    pub files: Vec<WalkedFile>,
    /// True when there is more than was looked at.
    pub cut: bool,
}

/// A folder that is still to be read.
struct Pending {
    path: PathBuf,
    depth: usize,
    /// How many of the rules in force hold for it.
    rules: usize,
}

impl Walk<'_> {
    /// Goes through it.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn through(&self, root: &Path) -> io::Result<Walked> {
        self.through_unless(root, &Stop::default())
    }

    /// As [`Self::through`], and broken off when that is told ([`Stop::check`]).
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn through_unless(&self, root: &Path, stop: &Stop) -> io::Result<Walked> {
        fs::read_dir(root)?;
        let mut walked = Walked::default();
        let mut rules: Vec<Gitignore> = Vec::new();
        let mut pending = vec![Pending { path: PathBuf::new(), depth: 0, rules: 0 }];
        while let Some(folder) = pending.pop() {
            stop.check();
            rules.truncate(folder.rules);
            if folder.depth > DEEPEST {
                walked.cut = true;
                continue;
            }
            if self.obeys_ignore {
                rules.extend(rules_of(root, &folder.path));
            }
            let Some(entries) = entries(&root.join(&folder.path), &mut walked.cut) else { continue };
            let mut folders = Vec::new();
            for entry in entries {
                let (Ok(kind), name) = (entry.file_type(), entry.file_name()) else { continue };
                let path = folder.path.join(&name);
                let skipped = kind.is_dir() && self.skips(name.to_str());
                if skipped || !(kind.is_dir() || kind.is_file()) || is_ignored(&rules, root, &path, kind.is_dir()) {
                    continue;
                }
                if kind.is_dir() {
                    folders.push(Pending { path, depth: folder.depth + 1, rules: rules.len() });
                    continue;
                }
                if walked.files.len() == self.most {
                    walked.cut = true;
                    return Ok(walked);
                }
                let length = entry.metadata().map_or(u64::MAX, |metadata| metadata.len());
                walked.files.push(WalkedFile { path, length });
            }
            pending.extend(folders.into_iter().rev());
        }
        Ok(walked)
    }

    fn skips(&self, name: Option<&str>) -> bool {
        name.is_some_and(|name| self.skipped.iter().any(|names| names.contains(&name)))
    }
}

/// A folder's entries by name. What cannot be read cannot be the app's, except where its path is too long to be opened.
fn entries(folder: &Path, cut: &mut bool) -> Option<Vec<fs::DirEntry>> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) => {
            *cut |= error.kind() == io::ErrorKind::InvalidFilename;
            return None;
        }
    };
    let mut entries: Vec<fs::DirEntry> = read.flatten().take(MOST_ENTRIES + 1).collect();
    if entries.len() > MOST_ENTRIES {
        *cut = true;
        entries.truncate(MOST_ENTRIES);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    Some(entries)
}

/// The rules of a folder's own `.gitignore`.
fn rules_of(root: &Path, folder: &Path) -> Option<Gitignore> {
    let text = bounded(&root.join(folder).join(".gitignore"), LARGEST_RULES)?;
    let text = String::from_utf8_lossy(&text);
    if text.lines().count() > MOST_RULES {
        return None;
    }
    let mut builder = GitignoreBuilder::new(root.join(folder));
    for line in text.trim_start_matches('\u{feff}').lines() {
        // A rule that is none is passed over, as Git does.
        let _ = builder.add_line(None, line);
    }
    builder.build().ok().filter(|rules| !rules.is_empty())
}

/// The innermost rule that fits decides.
fn is_ignored(rules: &[Gitignore], root: &Path, path: &Path, is_folder: bool) -> bool {
    if rules.is_empty() {
        return false;
    }
    let whole = root.join(path);
    let decided = rules.iter().rev().map(|rules| rules.matched(&whole, is_folder)).find(|decided| !decided.is_none());
    matches!(decided, Some(Match::Ignore(_)))
}

/// The bytes of a plain file that is no longer than this. A link is none; a pipe or a device is not opened.
pub fn bounded(path: &Path, most: u64) -> Option<Vec<u8>> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > most {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
    // It may grow while it is read.
    File::open(path).ok()?.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_folder::folder_with;

    fn walk(root: &Path) -> Walked {
        Walk { skipped: &[&["skipped"]], obeys_ignore: true, most: 1_000 }.through(root).unwrap()
    }

    fn names(walked: &Walked) -> Vec<&str> {
        walked.files.iter().map(|file| file.path.to_str().unwrap()).collect()
    }

    #[test]
    fn the_innermost_rule_decides() {
        let folder = folder_with(&[
            (".gitignore", "*.log\n/made\n!keep.log\n# a\nsub/deep.txt\n"),
            ("a.log", ""),
            ("keep.log", ""),
            ("made/a", ""),
            ("sub/made/a", ""),
            ("sub/.gitignore", "!a.log\n/made/\n"),
            ("sub/a.log", ""),
            ("sub/deep.txt", ""),
            ("sub/made2/b.log", ""),
            ("after/b.log", ""),
            ("after/made/c", ""),
            ("skipped/a", ""),
        ]);
        let walked = walk(folder.path());
        assert_eq!(names(&walked), [".gitignore", "keep.log", "after/made/c", "sub/.gitignore", "sub/a.log"]);
        assert!(!walked.cut);
    }

    #[cfg(unix)]
    #[test]
    fn names_of_any_bytes_links_pipes_and_depth_end() {
        use std::os::unix::ffi::OsStrExt;
        let folder = folder_with(&[("a", "x")]);
        let root = folder.path();
        fs::write(root.join(std::ffi::OsStr::from_bytes(b"no-\xff-utf8")), "x").unwrap();
        std::os::unix::fs::symlink(".", root.join("loop")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", root.join("endless")).unwrap();
        std::process::Command::new("mkfifo").arg(root.join(".gitignore")).status().unwrap();
        assert_eq!(walk(root).files.len(), 2);

        let limited = Walk { skipped: &[], obeys_ignore: true, most: 1 }.through(root).unwrap();
        assert!(limited.cut && limited.files.len() == 1);
    }

    #[cfg(unix)]
    #[test]
    fn folders_below_folders_end() {
        // One step at a time, as an archive is unpacked: deeper than is looked, and longer than a path may be.
        let script = "import os,sys\nos.chdir(sys.argv[1])\nfor _ in range(int(sys.argv[2])):\n os.mkdir(sys.argv[3])\n os.chdir(sys.argv[3])\n";
        for (steps, name) in [("400", "d".to_owned()), ("40", "d".repeat(200))] {
            let folder = folder_with(&[("a", "x")]);
            let mut make = std::process::Command::new("python3");
            if make
                .args(["-c", script])
                .arg(folder.path())
                .args([steps, &name])
                .status()
                .is_ok_and(|made| made.success())
            {
                assert!(walk(folder.path()).cut);
            }
        }
    }
}
