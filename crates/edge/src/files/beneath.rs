//! Opening what is below a folder and nothing else, whatever symbolic links say and whoever swaps them meanwhile.
//!
//! The kernel resolves the path under `RESOLVE_BENEATH`, in one step with the opening: nothing is checked first and
//! opened later. Links that stay below the root work, all others are refused. Where `openat2` is missing (before Linux
//! 5.6, under some sandboxes, on other systems) the path is walked folder by folder and no link is followed at all.

use std::{
    fs::{File, Metadata},
    io,
    os::fd::OwnedFd,
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};

/// The folder, held open.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

/// What is at a place.
#[derive(Debug)]
pub(crate) enum Entry {
    File(OpenFile),
    Folder,
    /// Nothing, or nothing that is served: a link out of the root, a device, a pipe, a file without permission.
    Missing,
}

/// A regular file with what the system said about it once it was open.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub file: File,
    pub metadata: Metadata,
}

/// A path only: enough to look below it.
#[cfg(target_os = "linux")]
const FOLDER: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// Never waits for the other end of a pipe, and takes no terminal.
const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

impl Root {
    /// Opens the folder itself; links on the way to it are the operator's choice and followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, FOLDER, Mode::empty())?))
    }

    /// Opens what is at a relative path of plain segments; empty is the root itself.
    pub(crate) fn entry(&self, relative: &str) -> io::Result<Entry> {
        let opened = match resolve(&self.0, if relative.is_empty() { "." } else { relative }) {
            Ok(opened) => opened,
            Err(error) => return missing_or(error, relative),
        };
        let file = File::from(opened);
        let metadata = file.metadata()?;
        Ok(match metadata.file_type() {
            kind if kind.is_file() => Entry::File(OpenFile { file, metadata }),
            kind if kind.is_dir() => Entry::Folder,
            _ => Entry::Missing,
        })
    }
}

fn missing_or(error: Errno, relative: &str) -> io::Result<Entry> {
    match error {
        Errno::EACCES => {
            tracing::warn!(path = relative, "a file may not be read: no permission");
            Ok(Entry::Missing)
        }
        // A link out of the root is EXDEV, a socket ENXIO, a name that no file can have ENAMETOOLONG or EINVAL.
        Errno::ENOENT
        | Errno::ENOTDIR
        | Errno::ELOOP
        | Errno::EXDEV
        | Errno::ENXIO
        | Errno::ENODEV
        | Errno::ENAMETOOLONG
        | Errno::EINVAL => Ok(Entry::Missing),
        error => Err(error.into()),
    }
}

#[cfg(target_os = "linux")]
fn resolve(root: &OwnedFd, relative: &str) -> nix::Result<OwnedFd> {
    use nix::fcntl::{OpenHow, ResolveFlag, openat2};

    let within = ResolveFlag::RESOLVE_BENEATH.union(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    // EAGAIN: something was renamed while `..` of a link was resolved, and the kernel cannot vouch for the result.
    for _ in 0..8 {
        match openat2(root, relative, OpenHow::new().flags(READ).resolve(within)) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // Sandboxes refuse calls that they do not know with EPERM.
            Err(Errno::ENOSYS | Errno::EPERM) => return walk(root, relative),
            resolved => return resolved,
        }
    }
    walk(root, relative)
}

#[cfg(not(target_os = "linux"))]
fn resolve(root: &OwnedFd, relative: &str) -> nix::Result<OwnedFd> {
    walk(root, relative)
}

fn walk(root: &OwnedFd, relative: &str) -> nix::Result<OwnedFd> {
    let (folders, name) = relative.rsplit_once('/').unwrap_or(("", relative));
    let mut folder: Option<OwnedFd> = None;
    for segment in folders.split('/').filter(|segment| !segment.is_empty()) {
        let flags = FOLDER | OFlag::O_NOFOLLOW;
        folder = Some(openat(folder.as_ref().unwrap_or(root), segment, flags, Mode::empty())?);
    }
    openat(folder.as_ref().unwrap_or(root), name, READ | OFlag::O_NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, os::unix::net::UnixListener};

    use nix::unistd::mkfifo;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("inner")).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        fs::write(root.join("inner/a.txt"), "a").unwrap();
        symlink("inner/a.txt", root.join("link")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(folder.path().join("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        mkfifo(&root.join("pipe"), Mode::S_IRWXU).unwrap();
        drop(UnixListener::bind(root.join("socket")).unwrap());
        folder
    }

    #[test]
    fn only_regular_files_below_the_root_are_opened() {
        let folder = folder();
        let root = Root::open(&folder.path().join("root")).unwrap();
        assert!(matches!(root.entry("inner/a.txt").unwrap(), Entry::File(_)));
        assert!(matches!(root.entry("inner").unwrap(), Entry::Folder));
        assert!(matches!(root.entry("").unwrap(), Entry::Folder));
        let long = "a".repeat(5000);
        let missing = [
            "out",
            "absolute",
            "up/secret",
            "up",
            "magic/etc/passwd",
            "loop",
            "pipe",
            "socket",
            "nothing",
            "inner/a.txt/b",
            "a\0b",
            &long,
            "../secret",
        ];
        for path in missing {
            assert!(matches!(root.entry(path).unwrap(), Entry::Missing), "{path}");
        }
    }

    #[test]
    fn without_the_kernels_help_no_link_is_followed() {
        let folder = folder();
        let Root(root) = Root::open(&folder.path().join("root")).unwrap();
        assert!(walk(&root, "inner/a.txt").is_ok());
        assert!(walk(&root, "inner").is_ok());
        for path in ["link", "out", "absolute", "up/secret", "loop", "magic/etc/passwd", "nothing"] {
            assert!(walk(&root, path).is_err(), "{path}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_link_that_stays_below_the_root_works() {
        let folder = folder();
        let root = Root::open(&folder.path().join("root")).unwrap();
        let found = root.entry("link").unwrap();
        // A kernel without openat2 follows none.
        let followed = matches!(found, Entry::File(_));
        assert!(followed || matches!(resolve(&root.0, "link"), Err(Errno::ELOOP)));
    }
}
