//! What was seen, kept: one JSON line a control and run, each naming the hash of the line before it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use seaworthy_core::Clock;
use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{report::Target, runner::Finding};

/// Evidence older than this no longer counts.
const VALID_DAYS: i64 = 90;
/// Longer transcripts are cut; their hash covers the whole.
const KEPT_LINES: usize = 200;

/// The file that evidence is appended to.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    last: String,
}

/// Evidence cannot be kept, so nothing may be ticked.
#[derive(Debug, Error)]
#[error("cannot keep evidence in {path}: {source}; check the folder, or set [check] evidence")]
pub struct LedgerError {
    path: PathBuf,
    source: io::Error,
}

#[derive(Serialize)]
struct Record<'a> {
    /// SHA-256 of the line before this one; of nothing for the first.
    previous: &'a str,
    time: String,
    expires: String,
    /// SHA-256 of the control's catalogue entry.
    catalogue: String,
    target: &'a Target,
    #[serde(flatten)]
    finding: &'a Finding,
    transcript: &'a [String],
    transcript_sha256: String,
}

impl Ledger {
    /// Opens or begins a ledger.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let explain = |source| LedgerError { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(explain)?;
        }
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(explain(error)),
        };
        let last = text.lines().last().map_or_else(|| hash(b""), |line| hash(line.as_bytes()));
        Ok(Self { path: path.to_owned(), last })
    }

    /// Appends what was found of one control; on disk when this returns.
    pub fn append(&mut self, finding: &Finding, target: &Target, clock: &dyn Clock) -> Result<(), LedgerError> {
        let explain = |source| LedgerError { path: self.path.clone(), source };
        let now = clock.unix_micros();
        let kept = &finding.transcript[..finding.transcript.len().min(KEPT_LINES)];
        let control = crate::Catalogue::built_in().find(&finding.control);
        let record = Record {
            previous: &self.last,
            time: timestamp(now),
            expires: timestamp(now.saturating_add(VALID_DAYS * 86_400 * 1_000_000)),
            catalogue: hash(control.map(|control| format!("{control:?}")).unwrap_or_default().as_bytes()),
            target,
            finding,
            transcript: kept,
            transcript_sha256: hash(finding.transcript.join("\n").as_bytes()),
        };
        let mut line = serde_json::to_vec(&record).map_err(|error| explain(error.into()))?;
        let next = hash(&line);
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).map_err(explain)?;
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(explain)?;
        self.last = next;
        Ok(())
    }
}

/// RFC 3339, to the second.
pub(crate) fn timestamp(micros: i64) -> String {
    Timestamp::from_second(micros.div_euclid(1_000_000)).map_or_else(|_| micros.to_string(), |time| time.to_string())
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use seaworthy_core::FixedClock;

    use super::*;
    use crate::Verdict;

    #[test]
    fn each_line_names_the_hash_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/evidence.jsonl");
        let finding = Finding::not_run("docs.license", "no repository");
        let target = Target::default();
        for second in 0..3 {
            let mut ledger = Ledger::open(&path).unwrap();
            ledger.append(&finding, &target, &FixedClock(second * 1_000_000)).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        for pair in lines.windows(2) {
            let next: serde_json::Value = serde_json::from_str(pair[1]).unwrap();
            assert_eq!(next["previous"], hash(pair[0].as_bytes()));
            assert_eq!(next["verdict"], Verdict::NotRun.word());
        }
        assert!(lines[2].contains("\"time\":\"1970-01-01T00:00:02Z\"") && lines[2].contains("1970-04-01"));
    }
}
