//! `seaworthy launch-app`: a moment between us and the app, in which its life is tied to ours.
//!
//! A Seaworthy that is killed with SIGKILL can stop nothing. So the app's process first runs this, asks the kernel to kill
//! it when its parent ends, and then becomes the app.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process,
};

use nix::unistd::getppid;
use thiserror::Error;

/// The app could not be launched.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// No command.
    #[error("there is no command to launch")]
    Empty,
    /// The kernel refused the parent-death signal.
    #[error("cannot tie the app's life to Seaworthy's: {0}")]
    Tie(nix::Error),
    /// Seaworthy ended before the signal was set.
    #[error("the Seaworthy that launched this has ended")]
    Orphan,
    /// The program cannot be run.
    #[error("cannot start `{program}`: {source}")]
    Exec {
        /// As written in the command.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// Becomes the app; returns only when it cannot. `parent` is the process id of the Seaworthy that launched it.
pub fn launch_app(parent: u32, words: &[OsString]) -> LaunchError {
    let Some((program, arguments)) = words.split_first() else { return LaunchError::Empty };
    if let Err(error) = tie_to_parent() {
        return LaunchError::Tie(error);
    }
    // The parent may have ended before the signal was set, and then no signal comes.
    if u32::try_from(getppid().as_raw()) != Ok(parent) {
        return LaunchError::Orphan;
    }
    let source = process::Command::new(program).args(arguments).exec();
    LaunchError::Exec { program: program.to_string_lossy().into_owned(), source }
}

#[cfg(target_os = "linux")]
fn tie_to_parent() -> nix::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
}

/// Other systems have no such signal; there the app outlives a Seaworthy that is killed.
#[cfg(not(target_os = "linux"))]
fn tie_to_parent() -> nix::Result<()> {
    Ok(())
}

/// The words that launch a command through `launcher`.
pub(crate) fn launching(launcher: &Path, program: &str, arguments: Vec<String>) -> (PathBuf, Vec<String>) {
    let own = ["launch-app".into(), "--parent".into(), process::id().to_string(), "--".into(), program.into()];
    (launcher.to_owned(), own.into_iter().chain(arguments).collect())
}

/// Looks for a program as the system will (POSIX `execvp`), so that a wrong name is told at once and not by the launcher.
pub(crate) fn find_program(program: &str, path: Option<&OsStr>) -> io::Result<()> {
    let runnable = |file: &Path| match file.metadata() {
        Ok(about) if about.is_file() && about.permissions().mode() & 0o111 != 0 => Ok(()),
        Ok(_) => Err(io::ErrorKind::PermissionDenied.into()),
        Err(error) => Err(error),
    };
    if program.contains('/') {
        return runnable(Path::new(program));
    }
    let own = env::var_os("PATH");
    let path = path.or(own.as_deref()).unwrap_or(OsStr::new("/usr/local/bin:/bin:/usr/bin"));
    let mut failed = io::Error::from_raw_os_error(nix::errno::Errno::ENOENT as i32);
    for folder in env::split_paths(path) {
        match runnable(&folder.join(program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => failed = error,
            Err(_) => {}
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_the_system_finds_them() {
        assert!(find_program("sh", None).is_ok());
        assert!(find_program("/bin/sh", None).is_ok());
        let missing = find_program("surely-no-such-program", None).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert_eq!(find_program("sh", Some(OsStr::new("/nowhere"))).unwrap_err().kind(), io::ErrorKind::NotFound);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plain"), "").unwrap();
        let plain = find_program("plain", Some(folder.path().as_os_str())).unwrap_err();
        assert_eq!(plain.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn an_orphan_is_not_launched() {
        assert!(matches!(launch_app(0, &[]), LaunchError::Empty));
    }
}
