//! Whether a ledger is what was written: nothing altered, nothing missing, nothing in another order.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::Path,
};

use serde::Serialize;
use thiserror::Error;

use crate::{
    hash,
    ledger::{Head, head_path, lines, split_signature},
    record::Record,
    signing::VerifyingKey,
};

/// What was found out about a ledger.
#[derive(Debug, Default, Serialize)]
pub struct Verification {
    /// Records that were read and are in place.
    pub records: u64,
    /// SHA-256 of the last line: pin it elsewhere, and nothing before it can be changed unseen.
    pub last: String,
    /// Keys that records name.
    pub keys: BTreeSet<String>,
    /// What is wrong, in the order of the lines. Nothing, when all is well.
    pub problems: Vec<Flaw>,
    /// What is odd and harmless.
    pub remarks: Vec<String>,
    /// What the records say, as far as they can be read.
    #[serde(skip)]
    pub content: Vec<Record>,
}

/// Something that is wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Flaw {
    /// A line is no record.
    #[error("line {0} is no record: it was altered")]
    Unreadable(usize),
    /// A line has no signature, or one that is not of the key.
    #[error("line {line} (record {sequence}) was altered, or was not signed by the key {key}")]
    Signature {
        /// From 1.
        line: usize,
        /// As it says.
        sequence: u64,
        /// The key that should have signed.
        key: String,
    },
    /// The line before it is not the one that it names.
    #[error(
        "line {line} (record {sequence}) does not follow the line before it: something between them was altered, removed or moved"
    )]
    Chain {
        /// From 1.
        line: usize,
        /// As it says.
        sequence: u64,
    },
    /// A number is missing or out of place.
    #[error(
        "line {line} is record {sequence} where record {expected} belongs: records are missing, or in another order"
    )]
    Sequence {
        /// From 1.
        line: usize,
        /// As it says.
        sequence: u64,
        /// What belongs there.
        expected: u64,
    },
    /// The head knows of records that are not there.
    #[error("the ledger ends with record {records}, and its head has seen {head}: records are missing at the end")]
    CutShort {
        /// What is there.
        records: u64,
        /// What was there.
        head: u64,
    },
    /// The record that the head names is another one.
    #[error("record {0} is not the one that the head of the ledger names")]
    Replaced(u64),
    /// The head is missing, or was not signed by the key.
    #[error("the head of the ledger {0}: whether records are missing at the end cannot be told")]
    Head(&'static str),
    /// The pinned hash is not the last line's, nor of one before it.
    #[error("no line has the hash {0}, which was pinned: the ledger was rewritten or cut short")]
    Pinned(String),
}

impl Serialize for Flaw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a ledger and finds what is wrong with it. `pinned` is the hash of a line that is known to have been there.
///
/// # Errors
/// When the file cannot be read.
pub fn verify(path: &Path, key: &VerifyingKey, pinned: Option<&str>) -> io::Result<Verification> {
    let file = match File::open(path) {
        // Removed whole: its head still knows of it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && head_path(path).exists() => None,
        opened => Some(opened?),
    };
    // Until the head was read too: somebody may be writing.
    if let Some(file) = &file {
        file.lock_shared()?;
    }
    let lines = file.as_ref().map_or(Ok(Vec::new()), lines)?;
    let mut found = Verification { last: hash(b""), ..Verification::default() };
    let mut hashes = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let number = index + 1;
        let line_hash = hash(line);
        match std::str::from_utf8(line).ok().and_then(|text| Some((text, serde_json::from_str::<Record>(text).ok()?))) {
            Some((text, record)) => found.record(number, text, record, key),
            None if acknowledged(lines.get(index + 1), &line_hash, key) => {
                found.remarks.push(format!("line {number} was cut off by a crash, and the record after it says so"));
            }
            // Nothing was acknowledged before its line was whole.
            None if number == lines.len() && !line.is_empty() && line.first() == Some(&b'{') => {
                found.remarks.push(format!("line {number}, the last, was cut off while it was written"));
                continue;
            }
            None => found.problems.push(Flaw::Unreadable(number)),
        }
        found.last.clone_from(&line_hash);
        hashes.push(line_hash);
    }
    found.judge_head(path, key, &hashes);
    if let Some(pinned) = pinned.filter(|pinned| !hashes.iter().any(|hash| hash == pinned)) {
        found.problems.push(Flaw::Pinned(pinned.to_owned()));
    }
    Ok(found)
}

impl Verification {
    fn record(&mut self, line: usize, text: &str, record: Record, key: &VerifyingKey) {
        let sequence = record.sequence;
        let named = serde_json::from_str::<serde_json::Value>(text).ok();
        self.keys.extend(named.and_then(|value| value["key"].as_str().map(str::to_owned)));
        if !split_signature(text).is_some_and(|(body, signature)| key.verifies(body.as_bytes(), &signature)) {
            self.problems.push(Flaw::Signature { line, sequence, key: key.id() });
        }
        if record.previous != self.last {
            self.problems.push(Flaw::Chain { line, sequence });
        }
        let expected = self.records + 1;
        if sequence != expected {
            self.problems.push(Flaw::Sequence { line, sequence, expected });
        }
        self.records = sequence;
        self.content.push(record);
    }

    fn judge_head(&mut self, path: &Path, key: &VerifyingKey, hashes: &[String]) {
        let text = match fs::read_to_string(head_path(path)) {
            Ok(text) => text,
            Err(_) if hashes.is_empty() => return,
            Err(_) => return self.problems.push(Flaw::Head("is missing")),
        };
        let Ok(head) = serde_json::from_str::<Head>(&text) else {
            return self.problems.push(Flaw::Head("cannot be read"));
        };
        if !head.is_signed_by(key) {
            return self.problems.push(Flaw::Head("was altered, or signed by another key"));
        }
        let last = self.content.last().map_or(0, |record| record.sequence);
        if head.records > last {
            self.problems.push(Flaw::CutShort { records: last, head: head.records });
        } else if !hashes.contains(&head.last) {
            self.problems.push(Flaw::Replaced(head.records));
        } else if head.records < last {
            // A crash between the record and the head; the record itself is signed and chained.
            self.remarks.push(format!("the head is {} record(s) behind", last - head.records));
        }
    }
}

/// Whether the next line is a signed record that names this one.
fn acknowledged(next: Option<&Vec<u8>>, line_hash: &str, key: &VerifyingKey) -> bool {
    let text = next.and_then(|line| std::str::from_utf8(line).ok());
    text.is_some_and(|text| {
        serde_json::from_str::<Record>(text).is_ok_and(|record| record.previous == line_hash)
            && split_signature(text).is_some_and(|(body, signature)| key.verifies(body.as_bytes(), &signature))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use seaworthy_core::FixedClock;

    use super::*;
    use crate::{Experiment, Finding, Ledger, SigningKey, Target, Verdict};

    struct Kept {
        folder: tempfile::TempDir,
    }

    impl Kept {
        fn new(records: i64) -> Self {
            let kept = Self { folder: tempfile::tempdir().unwrap() };
            (0..records).for_each(|_| kept.add());
            kept
        }

        fn path(&self) -> std::path::PathBuf {
            self.folder.path().join("evidence.jsonl")
        }

        fn key(&self) -> SigningKey {
            SigningKey::open(&self.folder.path().join("key.pem")).unwrap()
        }

        fn add(&self) {
            let mut ledger = Ledger::open(&self.path(), self.key(), std::time::Duration::from_secs(60)).unwrap();
            let mut finding = Finding::not_run("docs.license", "nothing, \"signature\":\"here\"}");
            ledger.append(&mut finding, Vec::new(), &Target::default(), &FixedClock(0)).unwrap();
        }

        /// What is found after the lines were changed so.
        fn after(&self, change: impl FnOnce(&mut Vec<String>)) -> Vec<Flaw> {
            let mut lines: Vec<String> = fs::read_to_string(self.path()).unwrap().lines().map(str::to_owned).collect();
            change(&mut lines);
            fs::write(self.path(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
            self.found().problems
        }

        fn found(&self) -> Verification {
            verify(&self.path(), self.key().public(), None).unwrap()
        }
    }

    #[test]
    fn what_was_written_is_in_order() {
        let kept = Kept::new(4);
        let found = kept.found();
        assert_eq!((found.records, found.problems.len(), found.remarks.len()), (4, 0, 0), "{:?}", found.problems);
        assert!(verify(&kept.path(), kept.key().public(), Some(&found.last)).unwrap().problems.is_empty());
        assert!(verify(&Kept::new(0).path(), kept.key().public(), None).is_err());
    }

    #[test]
    fn whatever_a_probe_can_find_is_read_back() {
        let kept = Kept::new(0);
        let mut ledger = Ledger::open(&kept.path(), kept.key(), std::time::Duration::from_secs(60)).unwrap();
        for verdict in Verdict::ALL {
            let experiment = Experiment { right: true, present: "p".into(), absent: "a".into() };
            let mut finding = Finding {
                verdict,
                kind: Some(crate::ProbeKind::Drill),
                class: Some(crate::SafetyClass::Scratch),
                experiment: Some(experiment.clone()),
                expires: Some("2020-01-01T00:00:00Z".into()),
                evidence: Some("x".into()),
                transcript: vec!["GET / \u{1b}[31m → 200".into()],
                ..Finding::not_run("docs.license", "r")
            };
            let item = crate::ItemReference { file: "l.md".into(), line: 3, text_sha256: hash(b"t") };
            ledger.append(&mut finding, vec![item], &Target::default(), &FixedClock(0)).unwrap();
            let found = kept.found();
            assert!(found.problems.is_empty(), "{:?}", found.problems);
            let crate::Content::Finding(seen) = &found.content.last().unwrap().content else { panic!("{found:?}") };
            assert_eq!((seen.finding.verdict, &seen.finding.experiment), (verdict, &Some(experiment)));
            assert_eq!((seen.transcript.len(), seen.items.len()), (1, 1));
        }
    }

    #[test]
    fn one_letter_is_enough_anywhere() {
        let text = fs::read_to_string(Kept::new(1).path()).unwrap();
        for place in (0..text.len() - 1).step_by(7) {
            let kept = Kept::new(3);
            let problems = kept.after(|lines| {
                let place = place.min(lines[1].len() - 1);
                let other = if lines[1].as_bytes()[place] == b'0' { "1" } else { "0" };
                lines[1].replace_range(place..=place, other);
            });
            assert!(!problems.is_empty(), "at {place}");
        }
    }

    #[test]
    fn what_is_missing_moved_repeated_or_cut_off_is_seen() {
        for lost in 0..4 {
            assert!(!Kept::new(4).after(|lines| drop(lines.remove(lost))).is_empty(), "{lost}");
        }
        assert!(!Kept::new(4).after(|lines| lines.swap(1, 2)).is_empty());
        assert!(!Kept::new(4).after(|lines| lines.swap(2, 3)).is_empty());
        assert!(!Kept::new(4).after(|lines| lines.insert(2, lines[1].clone())).is_empty());
        assert!(!Kept::new(4).after(|lines| lines.push(lines[3].clone())).is_empty());
        assert!(!Kept::new(4).after(Vec::clear).is_empty());
        let removed = Kept::new(4);
        fs::remove_file(removed.path()).unwrap();
        assert_eq!(removed.found().problems, [Flaw::CutShort { records: 0, head: 4 }]);
        assert_eq!(Kept::new(4).after(|lines| lines.truncate(2)), [Flaw::CutShort { records: 2, head: 4 }]);
    }

    #[test]
    fn another_key_cannot_write_and_a_whole_new_ledger_misses_its_pin() {
        let (kept, other) = (Kept::new(3), Kept::new(3));
        let pinned = kept.found().last;
        fs::copy(other.path(), kept.path()).unwrap();
        let problems = kept.found().problems;
        assert!(problems.iter().any(|flaw| matches!(flaw, Flaw::Signature { .. })), "{problems:?}");
        // With the key itself everything can be written anew, and only the pin tells.
        fs::remove_file(kept.path()).unwrap();
        fs::remove_file(head_path(&kept.path())).unwrap();
        (0..4).for_each(|_| kept.add());
        assert!(kept.found().problems.is_empty() || kept.found().last == pinned);
        let mut ledger = Ledger::open(&kept.path(), kept.key(), std::time::Duration::from_secs(60)).unwrap();
        let mut finding = Finding::not_run("docs.license", "other words");
        ledger.append(&mut finding, Vec::new(), &Target::default(), &FixedClock(9)).unwrap();
        let problems = verify(&kept.path(), kept.key().public(), Some("feed")).unwrap().problems;
        assert_eq!(problems, [Flaw::Pinned("feed".into())]);
    }

    #[test]
    fn nothing_is_added_on_top_of_an_end_that_was_tampered_with() {
        let changes: [fn(&mut Vec<String>); 4] = [
            |lines| lines.truncate(2),
            Vec::clear,
            |lines| lines[3] = "{erased".into(),
            |lines| lines[3] = lines[3].replace("docs.license", "docs.licence"),
        ];
        for change in changes {
            let kept = Kept::new(4);
            assert!(!kept.after(change).is_empty());
            let mut ledger = Ledger::open(&kept.path(), kept.key(), std::time::Duration::from_secs(60)).unwrap();
            let mut finding = Finding::not_run("docs.license", "more");
            let added = ledger.append(&mut finding, Vec::new(), &Target::default(), &FixedClock(0));
            assert!(added.is_err_and(|error| error.to_string().contains("nothing is added")));
            assert!(!kept.found().problems.is_empty(), "it is still seen");
        }
    }

    #[test]
    fn a_crash_is_no_flaw_and_a_missing_head_is() {
        let kept = Kept::new(2);
        let mut file = fs::OpenOptions::new().append(true).open(kept.path()).unwrap();
        file.write_all(b"{\"sequence\":3,\"previ").unwrap();
        let found = kept.found();
        assert_eq!((found.problems.len(), found.remarks.len(), found.records), (0, 1, 2), "{:?}", found.problems);
        kept.add();
        let found = kept.found();
        assert_eq!((found.problems.len(), found.remarks.len(), found.records), (0, 1, 3), "{:?}", found.problems);
        fs::remove_file(head_path(&kept.path())).unwrap();
        assert_eq!(kept.found().problems, [Flaw::Head("is missing")]);
    }
}
