//! The file that evidence is kept in: one signed JSON line a record, each naming the hash of the line before it.
//!
//! Beside it stands its *head*: how many records there are and the hash of the last, signed too, so that lines cut off at the
//! end are missed. What a crash leaves of a half-written line stays where it is; the record after it names its hash, which
//! says that it was there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use jiff::Timestamp;
use seaworthy_checklist::Catalogue;
use seaworthy_core::Clock;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    finding::{Finding, ProbeKind},
    hash,
    record::{Content, ItemReference, Record, Seen, meaning},
    signing::{SigningKey, VerifyingKey},
    target::Target,
};

/// Longer transcripts are cut; their hash covers the whole.
const KEPT_LINES: usize = 200;

/// The ledger, with the key that signs what is added.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    key: SigningKey,
    /// How long what a probe saw counts.
    valid: Duration,
}

/// Evidence cannot be kept, so nothing may be ticked.
#[derive(Debug, Error)]
#[error("cannot keep evidence in {path}: {source}; check the folder, or set [check] evidence")]
pub struct LedgerError {
    path: PathBuf,
    source: io::Error,
}

/// How many records there are, and which is the last.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Head {
    /// Records so far.
    pub records: u64,
    /// SHA-256 of the last line.
    pub last: String,
    /// Who signed.
    pub key: String,
    /// Base64, over `records`, a space and `last`.
    pub signature: String,
}

impl Ledger {
    /// Opens or begins a ledger.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn open(path: &Path, key: SigningKey, valid: Duration) -> Result<Self, LedgerError> {
        let ledger = Self { path: path.to_owned(), key, valid };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| ledger.explain(source))?;
        }
        ledger.file().map_err(|source| ledger.explain(source))?;
        Ok(ledger)
    }

    /// The key that its records are signed with.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Only its owner may read it: transcripts tell a lot about a system.
    fn file(&self) -> io::Result<File> {
        OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&self.path)
    }

    fn explain(&self, source: io::Error) -> LedgerError {
        LedgerError { path: self.path.clone(), source }
    }

    /// Keeps what was found of one control, for these lines; on disk when this returns. The finding then knows its record and
    /// until when it counts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(
        &mut self,
        finding: &mut Finding,
        items: Vec<ItemReference>,
        target: &Target,
        clock: &dyn Clock,
    ) -> Result<(), LedgerError> {
        let control = Catalogue::built_in().find(&finding.control);
        let seen = Seen {
            catalogue: control.map(meaning).unwrap_or_default(),
            items,
            method: method(finding.kind).to_owned(),
            target: target.clone(),
            // The record has an end of its own.
            finding: Finding { expires: None, evidence: None, ..finding.clone() },
            transcript: finding.transcript[..finding.transcript.len().min(KEPT_LINES)].to_vec(),
            transcript_sha256: hash(finding.transcript.join("\n").as_bytes()),
        };
        finding.expires = finding.verdict.closes().then(|| second(self.expiry(time(clock))));
        finding.evidence = Some(self.keep(Content::Finding(Box::new(seen)), clock)?);
        Ok(())
    }

    /// Keeps any record; on disk when this returns. Its hash comes back.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&mut self, content: Content, clock: &dyn Clock) -> Result<String, LedgerError> {
        self.write(content, time(clock)).map_err(|source| self.explain(source))
    }

    fn write(&self, content: Content, now: Timestamp) -> io::Result<String> {
        let mut file = self.file()?;
        // Held until the file is closed: another check may be writing to the same chain.
        file.lock()?;
        let end = End::of(&mut file)?;
        self.compare_with_head(&end)?;
        if end.torn {
            file.write_all(b"\n")?;
        }
        let expires = self.expiry(now);
        let record = Record {
            sequence: end.records + 1,
            previous: end.last,
            time: second(now),
            expires: second(expires),
            content,
        };
        let line = sign(&record, &self.key)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_data()?;
        let last = hash(line.as_bytes());
        self.write_head(record.sequence, &last)?;
        Ok(last)
    }

    /// A record on top of an end that was cut off or altered would sign that it was never there.
    fn compare_with_head(&self, end: &End) -> io::Result<()> {
        let Ok(text) = fs::read_to_string(head_path(&self.path)) else { return Ok(()) };
        let head: Option<Head> =
            serde_json::from_str(&text).ok().filter(|head: &Head| head.is_signed_by(self.key.public()));
        let Some(head) = head else {
            return Err(io::Error::other(
                "its head was altered, or signed by another key; nothing is added to it. Keep both files, and begin a new ledger",
            ));
        };
        let same = head.records < end.records || (head.records == end.records && head.last == end.last_record);
        if same {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "records were removed or altered at its end (its head has seen {}); nothing is added to it. Keep both files, and \
             begin a new ledger",
            head.records
        )))
    }

    fn expiry(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.valid).unwrap_or(Timestamp::MAX)
    }

    fn write_head(&self, records: u64, last: &str) -> io::Result<()> {
        let signature = BASE64.encode(self.key.sign(format!("{records} {last}").as_bytes()));
        let head = Head { records, last: last.to_owned(), key: self.key.public().id(), signature };
        let (path, beside) = (head_path(&self.path), head_path(&self.path).with_extension("head.new"));
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
        serde_json::to_writer(&mut file, &head)?;
        file.sync_all()?;
        fs::rename(beside, path)
    }
}

/// Where the head of a ledger is.
pub fn head_path(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

impl Head {
    /// Whether its signature is of this key.
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        BASE64
            .decode(&self.signature)
            .is_ok_and(|signature| key.verifies(format!("{} {}", self.records, self.last).as_bytes(), &signature))
    }
}

/// The record as a line, its signature last: what is signed is the line without that field.
fn sign(record: &Record, key: &SigningKey) -> io::Result<String> {
    let mut body = serde_json::to_string(record)?;
    body.pop();
    body.push_str(&format!(",\"key\":\"{}\"", key.public().id()));
    let signature = BASE64.encode(key.sign(format!("{body}}}").as_bytes()));
    Ok(format!("{body},\"signature\":\"{signature}\"}}"))
}

/// What was signed, and the signature.
pub(crate) fn split_signature(line: &str) -> Option<(String, Vec<u8>)> {
    let (body, rest) = line.rsplit_once(",\"signature\":\"")?;
    let signature = BASE64.decode(rest.strip_suffix("\"}")?).ok()?;
    Some((format!("{body}}}"), signature))
}

/// How a ledger ends.
struct End {
    records: u64,
    /// SHA-256 of the last line, of nothing when there is none.
    last: String,
    /// SHA-256 of the last line that is a record.
    last_record: String,
    /// The last line has no end: a write broke off.
    torn: bool,
}

impl End {
    /// Reads backwards to the last record, so that a long ledger costs no more than a short one.
    fn of(file: &mut File) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        let (mut tail, mut start) = (Vec::new(), length);
        loop {
            let lines: Vec<&[u8]> = tail.split(|byte| *byte == b'\n').collect();
            // The first piece may begin in the middle of a line.
            let whole = if start == 0 { &lines[..] } else { lines.get(1..).unwrap_or_default() };
            let record = whole.iter().rev().find_map(|line| {
                let record: serde_json::Value = serde_json::from_slice(line).ok()?;
                Some((record["sequence"].as_u64()?, hash(line)))
            });
            if record.is_some() || start == 0 {
                let last = whole.iter().rev().find(|line| !line.is_empty());
                let (records, last_record) = record.unwrap_or_default();
                return Ok(Self {
                    records,
                    last_record,
                    last: hash(last.copied().unwrap_or_default()),
                    torn: tail.last().is_some_and(|byte| *byte != b'\n'),
                });
            }
            let more = start.min(64 * 1024);
            let mut chunk = vec![0; usize::try_from(more).unwrap_or(0)];
            file.read_exact_at(&mut chunk, start - more)?;
            chunk.extend_from_slice(&tail);
            (tail, start) = (chunk, start - more);
        }
    }
}

/// Every line of a ledger, without its line feed.
pub(crate) fn lines(mut file: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect())
}

fn method(kind: Option<ProbeKind>) -> &'static str {
    match kind {
        Some(ProbeKind::Live | ProbeKind::Drill) => "TEST",
        Some(ProbeKind::Static) => "EXAMINE",
        None => "INTERVIEW",
    }
}

/// The clock's time, as a timestamp.
pub fn time(clock: &dyn Clock) -> Timestamp {
    Timestamp::from_microsecond(clock.unix_micros()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// RFC 3339, to the second.
pub(crate) fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests {
    use seaworthy_core::FixedClock;

    use super::*;
    use crate::Verdict;

    fn ledger(path: &Path) -> Ledger {
        Ledger::open(path, SigningKey::open(&path.with_extension("key")).unwrap(), Duration::from_secs(90 * 86_400))
            .unwrap()
    }

    fn add(path: &Path, second: i64) -> String {
        let mut finding = Finding::not_run("docs.license", "no repository");
        let clock = FixedClock(second * 1_000_000);
        ledger(path).append(&mut finding, Vec::new(), &Target::default(), &clock).unwrap();
        finding.evidence.unwrap()
    }

    #[test]
    fn each_line_names_the_hash_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/evidence.jsonl");
        let hashes: Vec<String> = (0..3).map(|second| add(&path, second)).collect();
        let lines = lines(&File::open(&path).unwrap()).unwrap();
        assert_eq!(lines.len(), 3);
        for (index, line) in lines.iter().enumerate() {
            let record: serde_json::Value = serde_json::from_slice(line).unwrap();
            let before = index.checked_sub(1).map_or_else(|| hash(b""), |before| hashes[before].clone());
            assert_eq!(
                (record["sequence"].as_u64(), record["previous"].as_str()),
                (Some(index as u64 + 1), Some(&*before))
            );
            assert_eq!(record["verdict"], Verdict::NotRun.word());
            assert_eq!(hash(line), hashes[index]);
        }
        let last = String::from_utf8(lines[2].clone()).unwrap();
        assert!(last.contains("\"time\":\"1970-01-01T00:00:02Z\"") && last.contains("1970-04-01"), "{last}");
    }

    #[test]
    fn a_line_that_a_crash_cut_off_is_left_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evidence.jsonl");
        add(&path, 1);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"sequence\":2,\"prev").unwrap();
        add(&path, 2);
        let lines = lines(&File::open(&path).unwrap()).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&lines[2]).unwrap();
        assert_eq!((record["sequence"].as_u64(), record["previous"].as_str()), (Some(2), Some(&*hash(&lines[1]))));
    }

    #[test]
    fn a_record_longer_than_one_read_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evidence.jsonl");
        let mut finding = Finding::not_run("docs.license", "no repository");
        finding.transcript = vec!["x".repeat(2000); 150];
        let clock = FixedClock(0);
        for _ in 0..3 {
            ledger(&path).append(&mut finding, Vec::new(), &Target::default(), &clock).unwrap();
        }
        let last: serde_json::Value = serde_json::from_slice(&lines(&File::open(&path).unwrap()).unwrap()[2]).unwrap();
        assert_eq!(last["sequence"], 3);
    }
}
