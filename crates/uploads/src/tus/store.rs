//! Uploads on the disk: a description, the bytes, and how many of them are durable. Blocking.
//!
//! The number is written after the bytes, each with a sync: whatever happens, it is never ahead of them. What has no
//! description is known to nobody: it was not yet told to its client, or never will be.

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

use super::ledger::{Full, Ledger, Limits};
use crate::receive;

/// What this process does not know, and has no description after so long, will never have one.
const ORPHANED: Duration = Duration::from_secs(3600);
/// What a file was last written before we began is another process' no longer: but clocks of file systems are coarse.
const BEFORE: Duration = Duration::from_secs(5);

/// What is known of an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    pub id: String,
    /// The path of the route that it is for.
    pub target: String,
    pub length: u64,
    /// As the client wrote them, decoded, in order.
    pub metadata: Vec<(String, String)>,
    /// `Upload-Metadata` as the client wrote it.
    #[serde(default)]
    pub metadata_field: Option<String>,
    /// Who may go on with it; nothing: whoever knows its id.
    pub owner: Option<String>,
    /// The address that began it, or its network: whom it is counted for when it has no owner.
    #[serde(default)]
    pub client: Option<String>,
    pub expires_ms: u64,
    /// All bytes came with its creation, but the app has not taken it: the last one is to be sent again, and is not written
    /// again.
    #[serde(default)]
    pub held_back: bool,
    /// What came of it in the end.
    pub answer: Option<Answer>,
}

impl Description {
    /// Whom it is counted for.
    pub(super) fn client(&self) -> &str {
        self.owner.as_deref().or(self.client.as_deref()).unwrap_or_default()
    }
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
    /// Read from the disk when it is first asked for.
    ledger: Mutex<Option<Ledger>>,
    began: SystemTime,
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
        let (folder, ledger) = (folder.join("tus"), Mutex::default());
        Self { folder, busy: Arc::default(), ledger, began: SystemTime::now() }
    }

    /// One request at a time.
    pub(crate) fn take(&self, id: &str) -> Option<Taken> {
        let free = self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        free.then(|| Taken { id: id.to_owned(), busy: self.busy.clone() })
    }

    /// Room for a new upload. Nobody finds it before [`Store::announce`], and a crash before that leaves an orphan.
    pub(crate) fn create(
        &self,
        mut description: Description,
        lifetime: Duration,
        limits: Limits,
    ) -> io::Result<Result<Description, Full>> {
        receive::folder(&self.folder)?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        description.id = random.iter().map(|byte| format!("{byte:02x}")).collect();
        description.expires_ms = now_ms().saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
        match self.counting(|ledger| ledger.reserve(&description, limits)) {
            Err(full) => return Ok(Err(full)),
            Ok(gone) => gone.iter().for_each(|id| self.remove(id)),
        }
        let new = |extension: &str| {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(&description.id, extension))
        };
        let make = || {
            new("bin")?.sync_all()?;
            let at = new("at")?;
            at.write_all_at(&0_u64.to_be_bytes(), 0)?;
            at.sync_all()
        };
        // A disk that is full must not keep the half of it.
        make().inspect_err(|_| self.remove(&description.id))?;
        Ok(Ok(description))
    }

    /// Makes it an upload that its client may be told of: from now on it is found, also after a crash.
    pub(crate) fn announce(&self, description: &Description) -> io::Result<()> {
        self.write(description)
    }

    /// The upload of this id, unless it has expired.
    pub(crate) fn find(&self, id: &str) -> Option<Description> {
        self.read(id).filter(|found| found.expires_ms > now_ms())
    }

    /// The same, expired or not.
    fn read(&self, id: &str) -> Option<Description> {
        let read = is_id(id).then(|| fs::read(self.path(id, "json")).ok()).flatten()?;
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

    /// In place of its bytes, for what is not to be written: they may be the app's file too.
    pub(crate) fn scratch(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.folder)
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
        self.counting(|ledger| ledger.complete(&description.id));
        fs::remove_file(self.path(&description.id, "bin"))
    }

    /// A file that the app was told of and has refused is not its own.
    pub(crate) fn take_back(&self, id: &str) {
        for path in self.handed_over(id) {
            let _ = fs::remove_file(path);
        }
    }

    /// Ends it. A file that the app was told of stays: who never heard the app's answer cannot know that it was not taken.
    pub(crate) fn remove(&self, id: &str) {
        let open = self.path(id, "bin").exists() && self.read(id).is_none_or(|one| one.answer.is_none());
        for path in self.handed_over(id).filter(|_| open) {
            tracing::warn!(
                path = %path.display(),
                "an upload has ended of which it is not known whether the app took its file: the file stays where it is"
            );
        }
        for extension in ["json", "bin", "at"] {
            let _ = fs::remove_file(self.path(id, extension));
        }
        self.counting(|ledger| ledger.remove(id));
    }

    /// Ends what has expired, and what nobody will ever ask for: of a creation that a crash has cut off, or without bytes.
    pub(crate) fn clean(&self) {
        let now = now_ms();
        let lost = |one: &Description| one.answer.is_none() && !self.path(&one.id, "bin").exists();
        for one in self.all().filter(|one| one.expires_ms <= now || lost(one)) {
            if let Some(_taken) = self.take(&one.id) {
                // It may have been completed since it was listed.
                if self.read(&one.id).is_none_or(|one| one.expires_ms <= now || lost(&one)) {
                    self.remove(&one.id);
                }
            }
        }
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let written = entry.metadata().and_then(|found| found.modified()).ok();
            let is_old =
                written.is_some_and(|at| at + BEFORE < self.began || at.elapsed().is_ok_and(|age| age > ORPHANED));
            let id = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            if is_old && !path.with_extension("json").exists() && !self.counting(|ledger| ledger.knows(&id)) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// A second name for its bytes, which the app may take over.
    pub(crate) fn hand_over(&self, id: &str, extension: &str) -> io::Result<PathBuf> {
        let folder = self.delivered();
        receive::folder(&folder)?;
        let path = std::path::absolute(folder.join(format!("{id}.{extension}")))?;
        match fs::hard_link(self.path(id, "bin"), &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(path),
            other => other.map(|()| path),
        }
    }

    fn delivered(&self) -> PathBuf {
        self.folder.with_file_name("delivered")
    }

    /// The files of this upload that the app was told of, and has not moved.
    fn handed_over(&self, id: &str) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(self.delivered()).into_iter().flatten().flatten().map(|entry| entry.path());
        let id = id.to_owned();
        entries.filter(move |path| is_id(&id) && path.file_stem().is_some_and(|stem| *stem == *id))
    }

    fn counting<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        change(ledger.get_or_insert_with(|| Ledger::of(self.all())))
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

/// Nothing else becomes a path.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(length: u64) -> Description {
        Description {
            target: "/files".into(),
            length,
            metadata: vec![("filename".into(), "a.txt".into())],
            ..Description::default()
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);
    const LIMITS: Limits = Limits { room: 100, room_each: 100, each: 100 };

    fn make(store: &Store, length: u64, lifetime: Duration) -> Description {
        let made = store.create(description(length), lifetime, LIMITS).unwrap().unwrap();
        store.announce(&made).unwrap();
        made
    }

    fn files(folder: &Path) -> Vec<String> {
        let all = fs::read_dir(folder.join("tus")).unwrap();
        let mut all: Vec<_> = all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    #[test]
    fn an_upload_lives_on_the_disk_and_ends_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let made = make(&store, 60, HOUR);
        assert_eq!(store.create(description(41), HOUR, LIMITS).unwrap(), Err(Full::All), "no room");
        let file = store.open(&made.id).unwrap();
        file.write_all_at(b"12345", 0).unwrap();
        store.settle(&made.id, &file, 3).unwrap();
        let again = Store::new(folder.path());
        assert_eq!((again.find(&made.id), again.offset(&made.id).unwrap()), (Some(made.clone()), 3));
        assert_eq!(again.create(description(41), HOUR, LIMITS).unwrap(), Err(Full::All), "counted from the disk");
        assert_eq!(again.find("../../../../etc/passwd"), None);
        let short = make(&store, 1, Duration::ZERO);
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

    #[test]
    fn no_two_take_the_same_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let made: usize = std::thread::scope(|scope| {
            let begin = || scope.spawn(|| store.create(description(60), HOUR, LIMITS).unwrap().is_ok());
            let all: Vec<_> = (0..16).map(|_| begin()).collect();
            all.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
        });
        assert_eq!(made, 1, "60 of 100 bytes");
    }

    #[test]
    fn what_nobody_knows_of_is_removed_at_the_start_and_not_while_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let before = Store::new(folder.path());
        let cut = before.create(description(5), HOUR, LIMITS).unwrap().unwrap();
        let kept = make(&before, 5, HOUR);
        let lost = make(&before, 5, HOUR);
        fs::remove_file(before.path(&lost.id, "bin")).unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        for name in files(folder.path()) {
            File::options().write(true).open(folder.path().join("tus").join(name)).unwrap().set_modified(old).unwrap();
        }
        before.clean();
        assert!(before.path(&cut.id, "bin").exists(), "it is on its way");
        let after = Store::new(folder.path());
        after.clean();
        assert_eq!(files(folder.path()), ["at", "bin", "json"].map(|extension| format!("{}.{extension}", kept.id)));
    }

    #[test]
    fn the_apps_file_is_its_own_whenever_we_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let made = make(&store, 5, HOUR);
        store.open(&made.id).unwrap().write_all_at(b"12345", 0).unwrap();
        let path = store.hand_over(&made.id, "txt").unwrap();
        // Killed between the app's answer and our note of it; asked again, the app gets the same path.
        let again = Store::new(folder.path());
        assert_eq!(again.hand_over(&made.id, "txt").unwrap(), path);
        let other = make(&again, 5, HOUR);
        again.remove(&other.id);
        // Nobody asks again, and it expires: the app may have taken it.
        again.write(&Description { expires_ms: 1, ..made.clone() }).unwrap();
        again.clean();
        assert_eq!(again.find(&made.id), None);
        assert_eq!(fs::read(&path).unwrap(), b"12345");
        // One that the app has refused is not its own.
        again.take_back(&made.id);
        assert!(!path.exists());
    }
}
