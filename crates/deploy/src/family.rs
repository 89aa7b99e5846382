//! The children of this process: those that we start, and those that we inherit from the app.
//!
//! As subreaper, or as the first process of a container, we become the parent of every orphan that the app leaves behind.
//! `group.rs` sees to those that stayed in the app's process group; a daemon with a session of its own is found here. The
//! list is one for the whole process, as the kernel's is. A child in our own process group was started by another part of
//! this program, which also waits for it.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What a child is to us. Those that are not listed were inherited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kin {
    /// The leader of a process group of the app. Whoever started it takes its status.
    Leader,
    /// The guard. Whoever started it takes its status.
    Guard,
    /// It was here before the app: started by a program that then became us.
    Older,
}

static FAMILY: Mutex<BTreeMap<u32, Kin>> = Mutex::new(BTreeMap::new());

/// Starts a child and lists it, with no moment in between in which it could be taken for an inherited one.
pub(crate) fn start<T>(
    kin: Kin,
    starting: impl FnOnce() -> io::Result<T>,
    id: impl FnOnce(&T) -> Option<u32>,
) -> io::Result<T> {
    let mut family = family();
    let child = starting()?;
    if let Some(id) = id(&child) {
        family.insert(id, kin);
    }
    Ok(child)
}

/// Takes a child off the list: its status was taken, or nobody will ask for it.
pub(crate) fn forget(id: u32) {
    family().remove(&id);
}

/// Makes orphans of our processes our children instead of the system's, so that we can reap and end them.
pub(crate) fn inherit_orphans() {
    #[cfg(target_os = "linux")]
    {
        let mut family = family();
        for child in linux::children() {
            family.entry(child.id).or_insert(Kin::Older);
        }
        if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
            tracing::debug!(%error, "orphans of the app go to the system's first process");
        }
    }
}

/// Takes the status of inherited children that have ended. It reads `/proc`, but only when a child has ended.
pub(crate) fn reap_inherited() {
    #[cfg(target_os = "linux")]
    linux::reap(&mut family());
}

/// Kills what the app has started and what is left of it, daemons with a session of their own included, and waits until it
/// is gone, for `patience` at most. For the end of this process: no instance can survive it. It blocks.
pub fn kill_descendants(patience: Duration) {
    #[cfg(target_os = "linux")]
    linux::kill_all(patience);
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}

fn family() -> MutexGuard<'static, BTreeMap<u32, Kin>> {
    FAMILY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Elsewhere the first process of the system inherits and reaps orphans.
#[cfg(target_os = "linux")]
mod linux {
    use std::{collections::BTreeMap, fs, thread, time::Duration, time::Instant};

    use nix::{
        sys::{
            signal::{Signal, kill},
            wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
        },
        unistd::{Pid, getpgrp},
    };

    use super::{Kin, family};

    /// How often children are looked at while they end.
    const LOOK_EVERY: Duration = Duration::from_millis(10);

    /// A child of ours that is not in our process group.
    pub(super) struct Child {
        pub(super) id: u32,
        ended: bool,
    }

    impl Child {
        fn pid(&self) -> Option<Pid> {
            i32::try_from(self.id).ok().map(Pid::from_raw)
        }
    }

    /// All of them, from `/proc`.
    pub(super) fn children() -> Vec<Child> {
        let (own, group) = (std::process::id(), getpgrp().as_raw().unsigned_abs());
        let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
        let child = |folder: fs::DirEntry| {
            let id = folder.file_name().to_str()?.parse().ok()?;
            let stat = fs::read(folder.path().join("stat")).ok()?;
            let (state, parent, its_group) = parse(&String::from_utf8_lossy(&stat))?;
            (parent == own && its_group != group).then_some(Child { id, ended: state == 'Z' })
        };
        folders.filter_map(child).collect()
    }

    /// State, parent and group: the fields after the name, which may itself hold spaces and brackets.
    pub(super) fn parse(stat: &str) -> Option<(char, u32, u32)> {
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    }

    pub(super) fn reap(family: &mut BTreeMap<u32, Kin>) {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if matches!(waitid(Id::All, look), Err(_) | Ok(WaitStatus::StillAlive)) {
            return;
        }
        for child in children().into_iter().filter(|child| child.ended) {
            if matches!(family.get(&child.id), None | Some(Kin::Older))
                && let Some(pid) = child.pid()
            {
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                family.remove(&child.id);
            }
        }
    }

    /// Only children are killed: nobody else takes their status, so that their ids cannot be others' meanwhile. The children
    /// of one that is killed are ours at the next look.
    pub(super) fn kill_all(patience: Duration) {
        let since = Instant::now();
        loop {
            let mut family = family();
            let spared = |id: &u32| matches!(family.get(id), Some(Kin::Guard | Kin::Older));
            let alive: Vec<Pid> =
                children().iter().filter(|child| !child.ended && !spared(&child.id)).filter_map(Child::pid).collect();
            for pid in &alive {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            reap(&mut family);
            drop(family);
            if alive.is_empty() || since.elapsed() > patience {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        assert_eq!(linux::parse("7 (a) (b c) Z 1 5 7 0"), Some(('Z', 1, 5)));
        assert_eq!(linux::parse("7"), None);
    }
}
