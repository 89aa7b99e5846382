//! A small process that outlives a Seaworthy that was killed, for as long as it takes to kill what is left of the app.
//!
//! The parent-death signal (`launch.rs`) ends the process that we started, not what that one started: `npm start` or a
//! shell would leave the real server behind, on its port. The guard holds one end of a pipe, is told of every process
//! group, and kills those it still knows when the pipe ends.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use nix::sys::signal::Signal;

use crate::{
    family::{self, Kin},
    group::Group,
};

/// The way to the guard; without a launcher there is none. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard(Option<Arc<Process>>);

#[derive(Debug)]
struct Process {
    pipe: Mutex<Option<ChildStdin>>,
    child: Mutex<Child>,
}

impl Guard {
    /// Starts one.
    pub(crate) fn start(launcher: &Path) -> io::Result<Self> {
        let mut starting = Command::new(launcher);
        // It needs none of our secrets, and no signal that a terminal sends to us and ours.
        starting.arg("guard-apps").env_clear().current_dir("/").process_group(0);
        starting.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = family::start(Kin::Guard, || starting.spawn(), |child| Some(child.id()))?;
        let pipe = Mutex::new(child.stdin.take());
        Ok(Self(Some(Arc::new(Process { pipe, child: Mutex::new(child) }))))
    }

    /// Has a group killed when we end before it does.
    pub(crate) fn watch_over(&self, group: Group) {
        self.tell('+', group);
    }

    /// The group has no members any more, and its id may become another's.
    pub(crate) fn forget(&self, group: Group) {
        self.tell('-', group);
    }

    fn tell(&self, sign: char, group: Group) {
        let Some(process) = &self.0 else { return };
        let mut pipe = process.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let told = pipe.as_mut().map(|pipe| writeln!(pipe, "{sign}{}", group.id()));
        if let Some(Err(error)) = told {
            tracing::warn!(%error, "the guard is gone: what the app starts may outlive a Seaworthy that is killed");
            *pipe = None;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of the pipe is its end, after it has killed the groups that it was not told to forget.
        drop(self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.wait();
        family::forget(child.id());
    }
}

/// `seaworthy guard-apps`: reads groups until the pipe ends, and kills those that are left.
pub fn guard_apps(pipe: impl BufRead) {
    let mut groups = BTreeSet::new();
    for line in pipe.lines().map_while(Result::ok) {
        match line.split_at_checked(1) {
            Some(("+", id)) => drop(groups.insert(id.to_owned())),
            Some(("-", id)) => drop(groups.remove(id)),
            _ => {}
        }
    }
    for group in groups.iter().filter_map(|id| Group::of(id.parse().ok()?)) {
        group.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_groups_that_are_left_are_killed() {
        let start = || Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let (mut left, mut ended) = (start(), start());
        let (first, second) = (left.id(), ended.id());
        guard_apps(format!("+{first}\n+{second}\n\nnonsense\n-{second}\n").as_bytes());
        assert!(!left.wait().unwrap().success());
        assert!(ended.try_wait().unwrap().is_none());
        ended.kill().unwrap();
        ended.wait().unwrap();
    }
}
