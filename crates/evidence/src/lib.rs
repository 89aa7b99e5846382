//! What was seen of each control and what that means for each item, and the ledger that keeps it.

mod attestation;
mod finding;
mod ledger;
mod record;
mod report;
mod signing;
mod standing;
mod target;
mod verdict;
mod verify;

pub use attestation::{Attested, Says, Scope, Statement, StatementError, attested};
pub use finding::{Experiment, Finding, ProbeKind, SafetyClass};
pub use ledger::{Head, Ledger, LedgerError, head_path, time};
pub use record::{Content, ItemReference, Record, Seen};
pub use report::{ControlReport, Report, ReportItem};
pub use signing::{KeyError, SigningKey, VerifyingKey};
pub use standing::{Standing, seen_then, standing, was_seen_to_fail};
pub use target::Target;
pub use verdict::Verdict;
pub use verify::{Flaw, Verification, verify};

use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
