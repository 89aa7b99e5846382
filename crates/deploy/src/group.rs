//! A process group of ours: its signals, and what its leader leaves behind.

use std::time::Duration;

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::time::{Instant, sleep};

/// How often a group is looked at while it ends.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A group that was killed is waited for this long: a process in an uninterruptible call ends later.
const AT_MOST: Duration = Duration::from_secs(2);

/// A group, named by its leader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group(Pid);

impl Group {
    /// The group of a process that was started as a leader. There is none of the first process: to the kernel, groups 0
    /// and 1 would be our own and everybody.
    pub(crate) fn of(leader: u32) -> Option<Self> {
        i32::try_from(leader).ok().filter(|id| *id > 1).map(|id| Self(Pid::from_raw(id)))
    }

    /// The leader's process id.
    pub(crate) fn id(self) -> u32 {
        self.0.as_raw().unsigned_abs()
    }

    /// Sends a signal to every member.
    pub(crate) fn signal(self, signal: Signal) {
        // The group may be gone already, which is what we want.
        let _ = killpg(self.0, signal);
    }

    /// Waits until no member is left, reaping those that became our children.
    pub(crate) async fn gone(self) {
        loop {
            self.reap();
            if killpg(self.0, None) == Err(Errno::ESRCH) {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Kills what the leader left behind, and reaps it; true when nothing is left. The leader itself must have been waited
    /// for.
    pub(crate) async fn clear(self) -> bool {
        let until = Instant::now() + AT_MOST;
        loop {
            self.signal(Signal::SIGKILL);
            self.reap();
            if killpg(self.0, None) == Err(Errno::ESRCH) {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Takes the status of members that ended and whose parent is gone: as subreaper or first process we have inherited
    /// them, and nobody else will. Never the leader's: that is for whoever started it.
    #[cfg(target_os = "linux")]
    pub(crate) fn reap(self) {
        use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::PGid(self.0), look) {
            match status.pid() {
                Some(member) if member != self.0 => {
                    let _ = waitpid(member, Some(WaitPidFlag::WNOHANG));
                }
                _ => return,
            }
        }
    }

    /// Elsewhere the first process of the system inherits and reaps them.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn reap(self) {}
}
