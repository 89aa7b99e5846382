//! What is done with evidence beside a check: people's word, verification, looking.

pub mod attest;
pub mod controls;
pub mod evidence;
pub mod fix;

use std::path::Path;

use seaworthy_check::Settings;
use seaworthy_config::Profile;
use seaworthy_evidence::{Ledger, Record, SigningKey, VerifyingKey, verify};

use crate::{
    cli::Place,
    config::{Config, ConfigSource},
    failure::Failure,
    terminal,
};

/// An error of ours, as opposed to a verdict on the app, ends with 3.
pub const ERROR_STATUS: u8 = 3;

/// The config's `[check]`, and which profile it was read for.
fn settings(place: &Place) -> Result<(Settings, Profile), Failure> {
    let source = ConfigSource::new(place.config.as_deref(), place.profile.as_deref());
    let config = Config::load_with(&source).map_err(|error| Failure::from(error).with_status(ERROR_STATUS))?;
    Ok((config.check, config.profile))
}

/// The key that signs here, if there is one already.
fn known_key(settings: &Settings) -> Result<Option<SigningKey>, Failure> {
    if !settings.evidence_key.exists() {
        return Ok(None);
    }
    let key = SigningKey::open(&settings.evidence_key);
    key.map(Some).map_err(|error| Failure::new("SEA_EVIDENCE_KEY", &error).with_status(ERROR_STATUS))
}

/// The ledger, with the key that signs in it.
pub fn ledger(settings: &Settings) -> Result<Ledger, Failure> {
    let key = SigningKey::open(&settings.evidence_key)
        .map_err(|error| Failure::new("SEA_EVIDENCE_KEY", &error).with_status(ERROR_STATUS))?;
    Ledger::open(&settings.evidence, key, settings.evidence_valid.0)
        .map_err(|error| Failure::new("SEA_CHECK_EVIDENCE", &error).with_status(ERROR_STATUS))
}

/// What the ledger held before; nothing, said aloud, when it cannot be trusted.
pub fn past(path: &Path, key: &VerifyingKey) -> Vec<Record> {
    match verify(path, key, None) {
        Ok(found) if found.problems.is_empty() => found.content,
        Ok(found) => {
            let first = found.problems.first().map(ToString::to_string).unwrap_or_default();
            terminal::error_line(&format!(
                "the evidence in {} was tampered with, and nothing from it counts: {first} ({} findings; seaworthy evidence \
                 verify shows all)  [SEA_EVIDENCE_ALTERED]",
                path.display(),
                found.problems.len()
            ));
            Vec::new()
        }
        // It is new.
        Err(_) => Vec::new(),
    }
}
