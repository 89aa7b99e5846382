//! What was seen, kept: one JSON line a control and run, each naming the hash of the line before it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use seaworthy_core::Clock;
use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{finding::Finding, target::Target};

/// Evidence older than this no longer counts.
pub const VALID_DAYS: i64 = 90;
/// Longer transcripts are cut; their hash covers the whole.
const KEPT_LINES: usize = 200;

/// The file that evidence is appended to.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
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
        let ledger = Self { path: path.to_owned() };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| ledger.explain(source))?;
        }
        ledger.file().map_err(|source| ledger.explain(source))?;
        Ok(ledger)
    }

    /// Only its owner may read it: transcripts tell a lot about a system.
    fn file(&self) -> io::Result<File> {
        OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&self.path)
    }

    fn explain(&self, source: io::Error) -> LedgerError {
        LedgerError { path: self.path.clone(), source }
    }

    /// Appends what was found of one control; on disk when this returns.
    pub fn append(&mut self, finding: &Finding, target: &Target, clock: &dyn Clock) -> Result<(), LedgerError> {
        self.write(finding, target, clock.unix_micros()).map_err(|source| self.explain(source))
    }

    fn write(&self, finding: &Finding, target: &Target, now: i64) -> io::Result<()> {
        let mut file = self.file()?;
        // Held until the file is closed: another check may be writing to the same chain.
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let previous = text.lines().last().map_or_else(|| hash(b""), |line| hash(line.as_bytes()));
        let control = seaworthy_checklist::Catalogue::built_in().find(&finding.control);
        let record = Record {
            previous: &previous,
            time: timestamp(now),
            expires: timestamp(now.saturating_add(VALID_DAYS * 86_400 * 1_000_000)),
            catalogue: hash(control.map(|control| format!("{control:?}")).unwrap_or_default().as_bytes()),
            target,
            finding,
            transcript: &finding.transcript[..finding.transcript.len().min(KEPT_LINES)],
            transcript_sha256: hash(finding.transcript.join("\n").as_bytes()),
        };
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()
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
