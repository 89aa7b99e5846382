//! The Unix socket: made for this user alone, and never taken from a Seaworthy that still runs.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt, net::UnixStream as StdUnixStream},
    path::Path,
};

use tokio::net::UnixListener;

/// What became of the socket.
pub(crate) enum Bound {
    Listening(UnixListener),
    /// Another process answers there.
    Taken,
}

/// Binds the socket; a file that a dead process left behind is replaced.
pub(crate) fn bind(path: &Path) -> io::Result<Bound> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    if StdUnixStream::connect(path).is_ok() {
        return Ok(Bound::Taken);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(Bound::Listening(listener))
}
