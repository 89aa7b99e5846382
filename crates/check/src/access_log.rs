//! Reading the part of an access log that was written since a moment.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// A log is written in batches: this long is waited for lines that must come.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why such a path is not looked for.
pub(crate) const QUIET: &str = "logs often leave it out on purpose";

/// Paths that many leave out of their log on purpose, because a machine asks for them every second.
pub(crate) fn is_quiet(path: &str) -> bool {
    let words = ["health", "ready", "live", "ping", "metrics", "status", "favicon"];
    path.split('/').any(|segment| words.iter().any(|word| segment.starts_with(word)))
}

/// Sees what is appended from now on.
pub(crate) struct LogReader {
    path: PathBuf,
    from: u64,
}

impl LogReader {
    pub(crate) fn from_now(path: &Path) -> Self {
        Self { path: path.to_owned(), from: fs::metadata(path).map_or(0, |data| data.len()) }
    }

    /// Waits until `enough` says so, or until patience is over; the lines so far.
    pub(crate) async fn lines_until(&self, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines();
            if enough(&lines) || Instant::now() > deadline {
                return lines;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many of these texts are in the lines, waiting for all.
    pub(crate) async fn lines_with_all(&self, texts: &HashSet<String>) -> usize {
        let count =
            |lines: &[String]| texts.iter().filter(|text| lines.iter().any(|line| line.contains(*text))).count();
        count(&self.lines_until(|lines| count(lines) == texts.len()).await)
    }

    fn lines(&self) -> Vec<String> {
        let mut text = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.from))?;
            file.read_to_end(&mut text)
        });
        // A log that cannot be read has no lines, and a probe that needs some says so.
        if read.is_err() {
            return Vec::new();
        }
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }
}
