//! One line of the ledger.

use seaworthy_checklist::Control;
use serde::{Deserialize, Serialize};

use crate::{attestation::Statement, finding::Finding, hash, target::Target};

/// What a line says. Its chain (`sequence`, `previous`) and its signature stand around it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
pub enum Content {
    /// A probe looked.
    Finding(Box<Seen>),
    /// A person spoke.
    Statement(Statement),
}

/// What a probe saw, and of what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    /// SHA-256 of the control's entry in the catalogue: what it meant when it was proved.
    pub catalogue: String,
    /// The lines that it answers.
    pub items: Vec<ItemReference>,
    /// How it was found out, in the words of NIST SP 800-53A: `TEST`, `EXAMINE` or `INTERVIEW`.
    pub method: String,
    /// What was looked at.
    pub target: Target,
    /// What became of it.
    #[serde(flatten)]
    pub finding: Finding,
    /// What was sent and seen, redacted; long ones are cut.
    pub transcript: Vec<String>,
    /// SHA-256 of the whole transcript, lines joined by line feeds.
    pub transcript_sha256: String,
}

/// A line of a checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemReference {
    /// The file, as given.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// SHA-256 of its text.
    pub text_sha256: String,
}

/// A whole line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// From 1, without gaps.
    pub sequence: u64,
    /// SHA-256 of the line before; of nothing for the first.
    pub previous: String,
    /// When it was written (RFC 3339).
    pub time: String,
    /// From then on it no longer counts.
    pub expires: String,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
}

/// What a control means, as one hash: words that only help to find it do not count.
pub fn meaning(control: &Control) -> String {
    hash(format!("{}\n{:?}\n{}\n{}", control.id, control.kind, control.means, control.proved).as_bytes())
}
