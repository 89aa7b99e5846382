//! Uploads on the disk: a description, the bytes, and how many of them are durable. Blocking.
//!
//! The number is written after the bytes, each with a sync: whatever happens, it is never ahead of them.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::receive;

/// Uploads at a time, those included whose answers are kept: the smallest one takes files too.
const MOST: usize = 10_000;
/// What has no description after so long will never have one.
const ORPHANED: Duration = Duration::from_secs(3600);

/// What is known of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    pub id: String,
    /// The path of the route that it is for.
    pub target: String,
    pub length: u64,
    /// As the client wrote them, decoded, in order.
    pub metadata: Vec<(String, String)>,
    /// Who may go on with it; nothing: whoever knows its id.
    pub owner: Option<String>,
    pub expires_ms: u64,
    /// What came of it in the end.
    pub answer: Option<Answer>,
}

/// An answer of the app, or of ours, that is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub location: Option<String>,
    pub body: String,
}

/// The folder of all uploads.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    busy: Arc<Mutex<HashSet<String>>>,
}

/// The right to work on one upload, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    id: String,
    busy: Arc<Mutex<HashSet<String>>>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Store {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.join("tus"), busy: Arc::default() }
    }

    /// One request at a time.
    pub(crate) fn take(&self, id: &str) -> Option<Taken> {
        let free = self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        free.then(|| Taken { id: id.to_owned(), busy: self.busy.clone() })
    }

    /// A new upload; `None` when there are too many, or when the sum of all would be more than `room`.
    pub(crate) fn create(
        &self,
        mut description: Description,
        lifetime: Duration,
        room: u64,
    ) -> io::Result<Option<Description>> {
        receive::folder(&self.folder)?;
        let all: Vec<Description> = self.all().collect();
        let promised =
            all.iter().filter(|one| one.answer.is_none()).fold(0_u64, |sum, one| sum.saturating_add(one.length));
        if all.len() >= MOST || promised.saturating_add(description.length) > room {
            return Ok(None);
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        description.id = random.iter().map(|byte| format!("{byte:02x}")).collect();
        description.expires_ms = now_ms().saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
        let new = |extension: &str| {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(&description.id, extension))
        };
        new("bin")?.sync_all()?;
        let at = new("at")?;
        at.write_all_at(&0_u64.to_be_bytes(), 0)?;
        at.sync_all()?;
        self.write(&description)?;
        Ok(Some(description))
    }

    /// The upload of this id, unless it has expired.
    pub(crate) fn find(&self, id: &str) -> Option<Description> {
        self.read(id).filter(|found| found.expires_ms > now_ms())
    }

    /// The same, expired or not.
    fn read(&self, id: &str) -> Option<Description> {
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let read = is_id.then(|| fs::read(self.path(id, "json")).ok()).flatten()?;
        serde_json::from_slice(&read).ok()
    }

    /// How many bytes of it are durable.
    pub(crate) fn offset(&self, id: &str) -> io::Result<u64> {
        let mut number = [0; 8];
        File::open(self.path(id, "at"))?.read_exact_at(&mut number, 0)?;
        Ok(u64::from_be_bytes(number))
    }

    /// Its bytes, to read and to write.
    pub(crate) fn open(&self, id: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path(id, "bin"))
    }

    /// Makes what was written up to there durable, and then says so.
    pub(crate) fn settle(&self, id: &str, file: &File, offset: u64) -> io::Result<()> {
        file.sync_data()?;
        let at = OpenOptions::new().write(true).open(self.path(id, "at"))?;
        at.write_all_at(&offset.to_be_bytes(), 0)?;
        at.sync_data()
    }

    /// Keeps what came of it in place of its bytes.
    pub(crate) fn finish(&self, description: &Description) -> io::Result<()> {
        self.write(description)?;
        fs::remove_file(self.path(&description.id, "bin"))
    }

    /// What the app did not take over is not its own.
    pub(crate) fn take_back(&self, id: &str) {
        let entries = fs::read_dir(self.folder.with_file_name("delivered")).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(id)) {
            let _ = fs::remove_file(entry.path());
        }
    }

    /// Ends it.
    pub(crate) fn remove(&self, id: &str) {
        // What the app has taken is its own, also when we were stopped before our name for its bytes was gone.
        let taken = self.read(id).and_then(|one| one.answer).is_some_and(|answer| answer.status < 400);
        if !taken && self.path(id, "bin").exists() {
            self.take_back(id);
        }
        for extension in ["json", "bin", "at"] {
            let _ = fs::remove_file(self.path(id, extension));
        }
    }

    /// Ends what has expired, and what a crash has left of one that was about to begin.
    pub(crate) fn clean(&self) {
        let now = now_ms();
        for one in self.all().filter(|one| one.expires_ms <= now) {
            if let Some(_taken) = self.take(&one.id) {
                self.remove(&one.id);
            }
        }
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
            if !entry.path().with_extension("json").exists() && age.is_some_and(|age| age > ORPHANED) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// A second name for its bytes, which the app may take over.
    pub(crate) fn hand_over(&self, id: &str, extension: &str) -> io::Result<PathBuf> {
        let folder = self.folder.with_file_name("delivered");
        receive::folder(&folder)?;
        let path = std::path::absolute(folder.join(format!("{id}.{extension}")))?;
        match fs::hard_link(self.path(id, "bin"), &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(path),
            other => other.map(|()| path),
        }
    }

    fn all(&self) -> impl Iterator<Item = Description> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let described = entries.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        described.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok())
    }

    /// Whole or not at all.
    fn write(&self, description: &Description) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(description)?)?;
        file.as_file().sync_all()?;
        file.persist(self.path(&description.id, "json")).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, id: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{id}.{extension}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(length: u64) -> Description {
        Description {
            id: String::new(),
            target: "/files".into(),
            length,
            metadata: vec![("filename".into(), "a.txt".into())],
            owner: None,
            expires_ms: 0,
            answer: None,
        }
    }

    #[test]
    fn an_upload_lives_on_the_disk_and_ends_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let hour = Duration::from_secs(3600);
        let store = Store::new(folder.path());
        let made = store.create(description(60), hour, 100).unwrap().unwrap();
        assert_eq!(store.create(description(41), hour, 100).unwrap(), None, "no room");
        let file = store.open(&made.id).unwrap();
        file.write_all_at(b"12345", 0).unwrap();
        store.settle(&made.id, &file, 3).unwrap();
        let again = Store::new(folder.path());
        assert_eq!((again.find(&made.id), again.offset(&made.id).unwrap()), (Some(made.clone()), 3));
        assert_eq!(again.find("../../../../etc/passwd"), None);
        let short = store.create(description(1), Duration::ZERO, 100).unwrap().unwrap();
        assert_eq!(store.find(&short.id), None, "expired");
        store.clean();
        assert!(store.offset(&short.id).is_err() && store.offset(&made.id).is_ok());
        let taken = store.take(&made.id).unwrap();
        assert!(store.take(&made.id).is_none());
        drop(taken);
        assert!(store.take(&made.id).is_some());
        let delivered = store.hand_over(&made.id, "txt").unwrap();
        store.finish(&made).unwrap();
        assert_eq!(fs::read(delivered).unwrap(), b"12345");
    }
}
