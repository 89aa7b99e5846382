//! What was found infected, kept for a person to look at: files that only this user can read, bounded, the oldest first to
//! go. Blocking.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use seaworthy_core::{Quarantine, Quarantined};

use crate::{receive, segments::Slice};

/// So many are kept at most: a test virus has 68 bytes, and a disk has so many files.
const MOST: usize = 1_000;
/// What the smallest takes of the disk.
const SMALLEST: u64 = 4_096;

/// A folder of infected files, each with a description beside it.
#[derive(Debug, Clone)]
pub struct QuarantineFolder {
    folder: PathBuf,
    limit: u64,
}

impl QuarantineFolder {
    pub(crate) fn new(folder: &Path, limit: u64) -> Self {
        Self { folder: folder.join("quarantine"), limit }
    }

    /// Keeps a file, when there is room for it at all. Its id.
    pub(crate) fn keep(&self, file: &Slice, mut about: Quarantined) -> io::Result<Option<String>> {
        if file.len() > self.limit {
            return Ok(None);
        }
        receive::folder(&self.folder)?;
        self.make_room(self.limit.saturating_sub(file.len().max(SMALLEST)))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        about.id = format!("{:013}-{:016x}", now.as_millis(), fastrand::u64(..));
        about.size = file.len();
        let create =
            |name: String| OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.folder.join(name));
        let write = || {
            let mut kept: File = create(format!("{}.bin", about.id))?;
            io::copy(&mut file.anew(), &mut kept)?;
            create(format!("{}.json", about.id))?.write_all(&serde_json::to_vec(&about)?)
        };
        // Half of one would never be listed, and so never be removed.
        write().inspect_err(|_| _ = self.remove(&about.id))?;
        Ok(Some(about.id))
    }

    /// Ids begin with the time, so the oldest is the first.
    fn make_room(&self, limit: u64) -> io::Result<()> {
        let mut all = self.list();
        let room = |all: &[Quarantined]| all.iter().map(|one| one.size.max(SMALLEST)).sum::<u64>();
        while !all.is_empty() && (all.len() >= MOST || room(&all) > limit) {
            let oldest = all.remove(0);
            self.remove(&oldest.id);
        }
        Ok(())
    }
}

impl Quarantine for QuarantineFolder {
    fn list(&self) -> Vec<Quarantined> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let described = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"));
        let read = |entry: fs::DirEntry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok();
        let mut all: Vec<Quarantined> = described.filter_map(read).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all
    }

    fn remove(&self, id: &str) -> bool {
        // Ids of ours are digits and dashes; nothing else becomes a path.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return false;
        }
        let gone = fs::remove_file(self.folder.join(format!("{id}.bin"))).is_ok();
        fs::remove_file(self.folder.join(format!("{id}.json"))).is_ok() || gone
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, sync::Arc};

    use super::*;

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = QuarantineFolder::new(folder.path(), 100_000);
        let file = |size: u64| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(size).unwrap();
            Slice::new(&Arc::new(file), 0..size)
        };
        let keep = |size: u64| quarantine.keep(&file(size), Quarantined::default()).unwrap();
        assert_eq!(keep(100_001), None);
        let first = keep(60_000).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = keep(40_000).unwrap();
        assert_eq!(quarantine.list().len(), 2);
        let path = folder.path().join("quarantine").join(format!("{first}.bin"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::thread::sleep(std::time::Duration::from_millis(2));
        let third = keep(50_000).unwrap();
        let ids: Vec<String> = quarantine.list().into_iter().map(|one| one.id).collect();
        assert_eq!(ids, [second.clone(), third]);
        assert!(!path.exists());
        assert!(quarantine.remove(&second) && !quarantine.remove(&second));
        assert!(!quarantine.remove("../../etc/passwd"));
    }

    #[test]
    fn small_files_are_bounded_too() {
        let folder = tempfile::tempdir().unwrap();
        let small = Slice::new(&Arc::new(tempfile::tempfile().unwrap()), 0..0);
        let narrow = QuarantineFolder::new(folder.path(), 10_000);
        for _ in 0..6 {
            narrow.keep(&small, Quarantined::default()).unwrap();
        }
        assert_eq!(narrow.list().len(), 2, "each takes a block of the disk, the last one too");
        let wide = QuarantineFolder::new(folder.path(), 1 << 40);
        for number in 0..MOST {
            let about = Quarantined { id: format!("0-{number}"), ..Quarantined::default() };
            let path = folder.path().join("quarantine").join(format!("{}.json", about.id));
            fs::write(path, serde_json::to_vec(&about).unwrap()).unwrap();
        }
        let last = wide.keep(&small, Quarantined::default()).unwrap().unwrap();
        let left = wide.list();
        assert_eq!((left.len(), left.last().map(|one| &one.id)), (MOST, Some(&last)), "the oldest have gone");
    }

    #[test]
    fn half_of_one_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = QuarantineFolder::new(folder.path(), 100_000);
        // It cannot be read: it is open for writing alone.
        let path = folder.path().join("unreadable");
        let unreadable = Arc::new(File::create(&path).unwrap());
        assert!(quarantine.keep(&Slice::new(&unreadable, 0..5), Quarantined::default()).is_err());
        assert_eq!(fs::read_dir(folder.path().join("quarantine")).unwrap().count(), 0);
    }
}
