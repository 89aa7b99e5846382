//! `seaworthy evidence`: is it what was written, and what does it say?

use std::{collections::BTreeMap, process::ExitCode};

use seaworthy_evidence::{Content, Record, Seen, Verification, VerifyingKey, verify as verify_ledger};
use serde_json::json;

use super::{ERROR_STATUS, known_key, settings};
use crate::{
    cli::{EvidenceArguments, EvidenceCommand, ShowArguments, VerifyArguments},
    failure::Failure,
    terminal,
};

/// Verifies or shows.
pub fn main(arguments: &EvidenceArguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        EvidenceCommand::Verify(arguments) => verify(arguments),
        EvidenceCommand::Show(arguments) => show(arguments),
    }
}

fn verify(arguments: &VerifyArguments) -> Result<ExitCode, Failure> {
    let (settings, _) = settings(&arguments.place)?;
    let path = arguments.file.clone().unwrap_or_else(|| settings.evidence.clone());
    let key = match &arguments.key {
        Some(key) => {
            VerifyingKey::read(key).map_err(|error| Failure::new("SEA_EVIDENCE_KEY", &error).with_status(2))?
        }
        None => own_key(&settings)?,
    };
    let found = verify_ledger(&path, &key, arguments.pinned.as_deref()).map_err(|error| unreadable(&path, &error))?;
    if arguments.json {
        let object = json!({
            "file": path.display().to_string(),
            "records": found.records,
            "last": found.last,
            "key": { "id": key.id(), "public": key.to_string() },
            "ok": found.problems.is_empty(),
            "problems": found.problems,
            "remarks": found.remarks,
        });
        terminal::line(&object.to_string());
    } else {
        tell(&path.display().to_string(), &found, &key);
    }
    Ok(if found.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn own_key(settings: &seaworthy_check::Settings) -> Result<VerifyingKey, Failure> {
    let none = || {
        let text = format!(
            "there is no key at {}, so no signature can be verified; name the public one with --key",
            settings.evidence_key.display()
        );
        Failure::text("SEA_EVIDENCE_KEY", text).with_status(ERROR_STATUS)
    };
    Ok(known_key(settings)?.ok_or_else(none)?.public().clone())
}

fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Failure {
    let text =
        format!("cannot read the evidence in {}: {error}; run seaworthy check first, or name the file", path.display());
    Failure::text("SEA_CHECK_EVIDENCE", text).with_status(ERROR_STATUS)
}

fn tell(path: &str, found: &Verification, key: &VerifyingKey) {
    for problem in &found.problems {
        terminal::line(&format!("✘ {problem}"));
    }
    for remark in &found.remarks {
        terminal::line(&format!("– {remark}"));
    }
    let state = match found.problems.len() {
        0 => "✔ nothing was altered, removed or moved".to_owned(),
        count => format!("✘ {count} findings: this evidence cannot be trusted from the first of them on"),
    };
    terminal::line(&format!("{path}: {} records. {state}", found.records));
    terminal::line(&format!("signed by {}   public key {key}", key.id()));
    terminal::line(&format!("last line {}   keep it elsewhere, and --pinned finds a ledger written anew", found.last));
}

fn show(arguments: &ShowArguments) -> Result<ExitCode, Failure> {
    let (settings, _) = settings(&arguments.place)?;
    let path = &settings.evidence;
    let found = verify_ledger(path, &own_key(&settings)?, None).map_err(|error| unreadable(path, &error))?;
    if !found.problems.is_empty() {
        terminal::error_line(&format!(
            "{} findings about this evidence: seaworthy evidence verify  [SEA_EVIDENCE_ALTERED]",
            found.problems.len()
        ));
    }
    let wanted = |record: &&Record| arguments.control.as_deref().is_none_or(|wanted| wanted == control(record));
    let records: Vec<&Record> = found.content.iter().filter(wanted).collect();
    match (&arguments.control, arguments.json) {
        (_, true) => {
            for record in records {
                let line = serde_json::to_string(record).map_err(|error| Failure::new("SEA_CHECK_EVIDENCE", &error))?;
                terminal::line(&line);
            }
        }
        (Some(_), false) => records.iter().for_each(|record| in_full(record)),
        (None, false) => {
            let last: BTreeMap<&str, &Record> = records.into_iter().map(|record| (control(record), record)).collect();
            last.values().for_each(|record| terminal::line(&in_short(record)));
        }
    }
    Ok(if found.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn control(record: &Record) -> &str {
    match &record.content {
        Content::Finding(seen) => &seen.finding.control,
        Content::Statement(statement) => &statement.control,
    }
}

fn in_short(record: &Record) -> String {
    match &record.content {
        Content::Finding(seen) => {
            let finding = &seen.finding;
            format!("{}  {:13} {}: {}", record.time, finding.verdict.word(), finding.control, clean(&finding.reason))
        }
        Content::Statement(statement) => {
            let words = serde_json::to_string(&statement.says).unwrap_or_default();
            format!("{}  {:13} {}: {words} by {}", record.time, "statement", statement.control, clean(&statement.by))
        }
    }
}

fn in_full(record: &Record) {
    terminal::line(&in_short(record));
    if let Content::Finding(seen) = &record.content {
        let Seen { target, finding, transcript, .. } = &**seen;
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        terminal::line(&format!(
            "    live {}   release {}   {} of {} cases   counts until {}",
            or_none(&target.url),
            or_none(&target.commit),
            finding.executed,
            finding.planned,
            record.expires
        ));
        if let Some(experiment) = &finding.experiment {
            terminal::line(&format!(
                "    control experiment: where it is there, {}; where it is not, {}",
                clean(&experiment.present),
                clean(&experiment.absent)
            ));
        }
        transcript.iter().for_each(|line| terminal::line(&format!("    {}", clean(line))));
    }
}

/// Without anything that a terminal would obey.
fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
