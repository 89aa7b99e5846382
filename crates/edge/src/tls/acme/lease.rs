//! The right to do something alone among nodes that share a folder: a file with an owner and an end.
//!
//! A node that dies blocks nobody for longer than [`TERM`]. Looking and writing happen under a lock of the file system
//! that is held for an instant, because two nodes could otherwise both find an old lease expired. Clocks of the nodes
//! must agree to within a few seconds; if they do not, the worst is an order made twice.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::tls::{
    atomic_file::{read_if_there, remove, write_private},
    now,
};

/// Seconds for which a lease is given.
const TERM: i64 = 30;
/// How often its holder extends it.
pub(super) const BEAT: Duration = Duration::from_secs(8);

/// Held until dropped, or until its holder stops to extend it.
#[derive(Debug)]
pub(super) struct Lease {
    path: PathBuf,
    owner: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    owner: String,
    expires: i64,
}

impl Lease {
    /// `None` when another holds it, or is just looking.
    pub fn acquire(folder: &Path, name: &str) -> io::Result<Option<Self>> {
        // A lease is one holder's: two in one process exclude each other too.
        let owner = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        let lease = Self { path: folder.join(format!("{name}.json")), owner };
        let Some(_guard) = lease.guard()? else { return Ok(None) };
        if lease.entry()?.is_some_and(|entry| entry.expires > now()) {
            lease.forget();
            return Ok(None);
        }
        lease.write()?;
        Ok(Some(lease))
    }

    /// Extends it. False when it went to another meanwhile: stop.
    pub fn renew(&self) -> io::Result<bool> {
        // Somebody looks at it this instant; our term is long enough to come back.
        let Some(_guard) = self.guard()? else { return Ok(true) };
        let ours = self.entry()?.is_some_and(|entry| entry.owner == self.owner);
        if ours {
            self.write()?;
        }
        Ok(ours)
    }

    fn write(&self) -> io::Result<()> {
        let entry = Entry { owner: self.owner.clone(), expires: now() + TERM };
        write_private(&self.path, &serde_json::to_vec(&entry)?)
    }

    fn entry(&self) -> io::Result<Option<Entry>> {
        Ok(read_if_there(&self.path)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn guard(&self) -> io::Result<Option<Option<File>>> {
        let file = File::options().write(true).create(true).truncate(false).open(self.path.with_extension("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Some(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks: then an expired lease may find two takers, and an order is made twice.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Some(None)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Nothing to give back on drop.
    fn forget(mut self) {
        self.owner.clear();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Best effort: what stays expires.
        let Ok(Some(_guard)) = self.guard() else { return };
        if matches!(self.entry(), Ok(Some(entry)) if entry.owner == self.owner) {
            let _ = remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    fn expire(folder: &Path) {
        let entry = Entry { owner: "dead".into(), expires: now() - 1 };
        write_private(&folder.join("a.json"), &serde_json::to_vec(&entry).unwrap()).unwrap();
    }

    #[test]
    fn one_holder_at_a_time_and_given_back_on_drop() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lease::acquire(folder.path(), "a").unwrap().unwrap();
        assert!(Lease::acquire(folder.path(), "a").unwrap().is_none());
        assert!(Lease::acquire(folder.path(), "b").unwrap().is_some());
        assert!(first.renew().unwrap());
        drop(first);
        assert!(Lease::acquire(folder.path(), "a").unwrap().is_some());
    }

    #[test]
    fn a_dead_holder_blocks_nobody_and_a_slow_one_learns_that_it_lost() {
        let folder = tempfile::tempdir().unwrap();
        let slow = Lease::acquire(folder.path(), "a").unwrap().unwrap();
        expire(folder.path());
        let next = Lease::acquire(folder.path(), "a").unwrap().unwrap();
        assert!(!slow.renew().unwrap());
        drop(slow);
        assert!(next.renew().unwrap(), "the loser took nothing away");
    }

    #[test]
    fn an_expired_lease_finds_one_taker_of_many() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            expire(folder.path());
            let takers = AtomicUsize::new(0);
            let leases: Vec<_> = thread::scope(|scope| {
                let take = || {
                    let lease = Lease::acquire(folder.path(), "a").unwrap();
                    takers.fetch_add(usize::from(lease.is_some()), Ordering::SeqCst);
                    lease
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(takers.load(Ordering::SeqCst) <= 1);
            drop(leases);
        }
    }
}
