//! Lines on their way to a file or to standard output, written in batches by one thread.
//!
//! A request pays for a short lock and a copy, never for a system call. What a crash of the machine can lose is what
//! came within the last batch (about 20 ms); a slow disk makes lines wait, and past a bound they are counted and dropped,
//! because a log must not stop the service.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Lines gather this long before they are written together.
const BATCH: Duration = Duration::from_millis(20);
/// How often a log file is looked for at its place, so that rotation by renaming works without a signal.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Bytes that may wait for a slow target.
const MAX_WAITING: usize = 16 << 20;

/// Where lines go. Clones share it.
#[derive(Debug, Clone)]
pub struct LogSink(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
    closed: bool,
}

impl LogSink {
    /// Appends to a file, which is made when it is missing.
    pub fn file(path: &Path) -> io::Result<Self> {
        Self::to(LogFile { file: open(path)?, path: path.to_owned(), looked: Instant::now() })
    }

    /// Writes to standard output.
    pub fn stdout() -> io::Result<Self> {
        Self::to(io::stdout())
    }

    /// Writes to any target, from a thread of its own.
    pub fn to(target: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = shared.clone();
        thread::Builder::new().name("log".into()).spawn(move || writer.write_out(target))?;
        Ok(Self(shared))
    }

    /// Takes one line, with its line break.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > MAX_WAITING {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.0.changed.notify_all();
        }
    }

    /// Lines that were dropped since the start because the target was too slow.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything pushed so far is written, at most this long. True when it is.
    pub fn flush(&self, at_most: Duration) -> bool {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.changed.notify_all();
        let waits = |state: &mut State| !state.waiting.is_empty() || state.writing;
        let waited = self.0.changed.wait_timeout_while(state, at_most, waits);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state.closed = false;
        !timeout.timed_out()
    }
}

/// A file that may be moved away under our feet: the next batch after that begins a new one.
struct LogFile {
    file: File,
    path: PathBuf,
    looked: Instant,
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.looked.elapsed() > LOOK_AGAIN {
            self.looked = Instant::now();
            let moved = match (self.path.metadata(), self.file.metadata()) {
                (Ok(there), Ok(ours)) => (there.dev(), there.ino()) != (ours.dev(), ours.ino()),
                _ => true,
            };
            if moved && let Ok(file) = open(&self.path) {
                self.file = file;
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole lines are appended under the lock, so what a panicking holder left is still lines.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self, mut target: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.lock();
            while state.waiting.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let hurry = state.closed;
            drop(state);
            if !hurry {
                thread::sleep(BATCH);
            }
            let mut state = self.lock();
            std::mem::swap(&mut state.waiting, &mut batch);
            state.writing = true;
            drop(state);
            let written = target.write_all(&batch).and_then(|()| target.flush());
            if written.is_err() {
                let lines = batch.iter().filter(|byte| **byte == b'\n').count();
                self.dropped.fetch_add(lines as u64, Ordering::Relaxed);
            }
            batch.clear();
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_arrives_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let sink = LogSink::file(&path).unwrap();
        for number in 0..5000 {
            sink.push(format!("line {number}\n").as_bytes());
        }
        assert!(sink.flush(Duration::from_secs(10)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 5000);
        assert!(text.lines().enumerate().all(|(number, line)| line == format!("line {number}")));
    }

    #[test]
    fn a_file_that_was_moved_away_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut file = LogFile { file: open(&path).unwrap(), path: path.clone(), looked: Instant::now() };
        file.write_all(b"one\n").unwrap();
        std::fs::rename(&path, folder.path().join("access.log.1")).unwrap();
        file.looked -= LOOK_AGAIN * 2;
        file.write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn a_target_that_hangs_costs_lines_and_not_the_service() {
        struct Hangs;
        impl Write for Hangs {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                loop {
                    thread::park();
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = LogSink::to(Hangs).unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..64 {
            sink.push(&line);
        }
        assert!(sink.dropped() > 0);
        assert!(!sink.flush(Duration::from_millis(50)));
    }
}
