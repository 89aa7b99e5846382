//! What stands between a project's commands and the machine.

use std::{
    fmt,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// How a command is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Namespaces of its own: no network but loopback, everything read-only but temporary folders, nothing outlives it.
    Room,
    /// A copy, a clean environment and a process group; the kernel allows no more.
    Group,
}

/// Sets up a [`Protection::Room`].
pub const ENTER: &str = include_str!("enter.sh");

impl Protection {
    /// The strongest one that this machine allows; found out once, by entering it.
    pub fn strongest() -> Self {
        static FOUND: OnceLock<Protection> = OnceLock::new();
        *FOUND.get_or_init(|| if room_can_be_entered() { Self::Room } else { Self::Group })
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Room => {
                "ran in namespaces of its own: no network but loopback, everything read-only but temporary folders"
            }
            Self::Group => {
                "ran in a copy with a clean environment; this kernel allows no namespaces, so the network was reachable"
            }
        })
    }
}

/// `unshare` and its arguments up to the script's own. When this program dies, it dies too, where `setpriv` can say so.
pub fn unshare() -> Command {
    static CAN_FOLLOW: OnceLock<bool> = OnceLock::new();
    let can_follow = *CAN_FOLLOW.get_or_init(|| {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    let mut command = Command::new(if can_follow { "setpriv" } else { "unshare" });
    if can_follow {
        command.args(["--pdeathsig", "KILL", "--", "unshare"]);
    }
    command.args(["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL"]);
    command.args(["--", "sh", "-c", ENTER, "enter"]);
    command
}

/// Enters one over a layer, because that is what fails where the rest works.
fn room_can_be_entered() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let base = folder.path();
    let names = ["copy", "lower", "upper", "work", "copy/over", "home"].map(|name| base.join(name));
    if names.iter().any(|path| std::fs::create_dir(path).is_err()) {
        return false;
    }
    let [copy, lower, upper, work, over, home] = &names;
    let mut command = unshare();
    command.arg(base).args([copy, copy]).args(user_and_group()).arg(home);
    command.args([lower, over, upper, work]).args(["--", "sh", "-c", ": > over/written && test -e over/written"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let entered = command.status().is_ok_and(|status| status.success()) && !lower.join("written").exists();
    super::copy::unlock(base);
    entered
}

/// Who runs this, by number.
pub fn user_and_group() -> [String; 2] {
    [nix::unistd::getuid().to_string(), nix::unistd::getgid().to_string()]
}
