//! `seaworthy attest`: what only people can say.

use std::process::ExitCode;

use jiff::Timestamp;
use seaworthy_check::{State, states};
use seaworthy_checklist::Catalogue;
use seaworthy_core::SystemClock;
use seaworthy_evidence::{Attested, Content, Ledger, Record, Scope, Statement, StatementError, attested, time};
use serde_json::json;

use super::{ERROR_STATUS, known_key, ledger, past, settings};
use crate::{cli::AttestArguments, failure::Failure, terminal};

/// Keeps a statement, or shows them.
pub fn main(arguments: &AttestArguments) -> Result<ExitCode, Failure> {
    let (settings, profile) = settings(&arguments.place)?;
    let environment = profile.name();
    let now = time(&SystemClock);
    let (Some(control), Some(by)) = (&arguments.control, &arguments.by) else {
        // Looking leaves no trace: where there is no key yet, nobody has said anything.
        let records = known_key(&settings)?.map(|key| past(&settings.evidence, key.public())).unwrap_or_default();
        list(&records, environment, now, arguments.json);
        return Ok(ExitCode::SUCCESS);
    };
    let mut ledger = ledger(&settings)?;
    let mut records = past(ledger.path(), ledger.key().public());
    for_people(control, &settings.custom_ids())?;
    let scope = scope(control, environment);
    let refuse = |error: StatementError| Failure::new("SEA_ATTEST_REFUSED", &error);
    let because = arguments.because.as_deref().unwrap_or_default();
    let statement = match () {
        () if arguments.approve => Statement::approves(control, by, because, &scope, &records, now),
        () if arguments.withdraw => Statement::withdraws(control, by, because),
        () => Statement::holds(control, by, arguments.role.as_deref(), because, arguments.until, now),
    };
    keep(&mut ledger, statement.map_err(refuse)?.within(scope.clone()), &mut records)?;
    if let Some(approver) = &arguments.approver {
        let approval = Statement::approves(control, approver, "", &scope, &records, now).map_err(refuse)?;
        keep(&mut ledger, approval, &mut records)?;
    }
    tell(control, attested(control, &scope, &records, now).as_ref(), arguments.json);
    Ok(ExitCode::SUCCESS)
}

/// The control as it is meant now, in this environment.
fn scope(control: &str, environment: Option<&str>) -> Scope {
    Scope::new(Catalogue::built_in().find(control), environment)
}

fn keep(ledger: &mut Ledger, statement: Statement, records: &mut Vec<Record>) -> Result<(), Failure> {
    ledger
        .keep(Content::Statement(statement), &SystemClock)
        .map_err(|error| Failure::new("SEA_CHECK_EVIDENCE", &error).with_status(ERROR_STATUS))?;
    *records = past(ledger.path(), ledger.key().public());
    Ok(())
}

/// What a probe tries, no word replaces; and a control that is in no list is a slip.
fn for_people(control: &str, custom: &[String]) -> Result<(), Failure> {
    let state = states().into_iter().find(|(known, _)| known.id == control).map(|(_, state)| state);
    if matches!(state, Some(State::Probe(_))) || custom.iter().any(|id| id == control) {
        let text =
            format!("a probe tries {control}, and no word replaces what it sees; see seaworthy check --controls");
        return Err(Failure::text("SEA_ATTEST_REFUSED", text));
    }
    if state.is_some() {
        return Ok(());
    }
    let catalogue = Catalogue::built_in();
    let near = catalogue.controls().iter().map(|known| &known.id).chain(custom);
    let near =
        near.max_by(|one, other| strsim::jaro_winkler(one, control).total_cmp(&strsim::jaro_winkler(other, control)));
    let near = near.map(|id| format!("did you mean `{id}`? ")).unwrap_or_default();
    let text = format!("there is no control `{control}`; {near}seaworthy check --controls lists them");
    Err(Failure::text("SEA_ATTEST_CONTROL", text))
}

fn list(records: &[Record], environment: Option<&str>, now: Timestamp, as_json: bool) {
    let mut controls: Vec<&str> = Vec::new();
    for record in records {
        if let Content::Statement(statement) = &record.content
            && !controls.contains(&statement.control.as_str())
        {
            controls.push(&statement.control);
        }
    }
    for control in &controls {
        tell(control, attested(control, &scope(control, environment), records, now).as_ref(), as_json);
    }
    if controls.is_empty() && !as_json {
        terminal::line("nobody has attested anything");
    }
}

fn tell(control: &str, state: Option<&Attested>, as_json: bool) {
    let (word, text) = match state {
        Some(Attested::Holds { by, approved_by, because, until }) => {
            ("attested", format!("{by} vouches for it until {until}, approved by {approved_by}: {because}"))
        }
        Some(Attested::Unapproved { by, until, .. }) => (
            "unapproved",
            format!(
                "{by} vouches for it until {until}. It counts once a second person has approved: seaworthy attest {control} \
                 --approve --by NAME"
            ),
        ),
        Some(Attested::Expired { by, until }) => ("expired", format!("{by} vouched for it until {until}")),
        Some(Attested::Outdated { by }) => {
            ("outdated", format!("{by} vouched for it, and what it asks for has changed since; attest it again"))
        }
        None => ("withdrawn", "nobody vouches for it any more".to_owned()),
    };
    if as_json {
        terminal::line(&json!({ "control": control, "state": word, "text": text }).to_string());
    } else {
        terminal::line(&format!("{control}: {word}. {text}"));
    }
}
