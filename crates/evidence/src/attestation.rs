//! What only people can say: who said it, who else stands by it, why, and until when.
//!
//! A statement counts when a second person has approved it and its day has not passed. It can be withdrawn. A statement never
//! overrules a probe that saw the control fail.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::{Content, Record};

/// The longest that a statement may hold, in days.
const LONGEST_DAYS: i32 = 366;
/// How long it holds when nobody says.
const USUAL_DAYS: i32 = 180;

/// What a person says of a control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The control.
    pub control: String,
    /// What is said.
    pub says: Says,
    /// Who says it.
    pub by: String,
    /// In which role.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<String>,
    /// On what grounds.
    pub because: String,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "statement")]
pub enum Says {
    /// That the control holds, until the end of a day (UTC).
    Holds {
        /// The last day.
        until: Date,
    },
    /// That the statement with this sequence number is right.
    Approves {
        /// The statement's number.
        sequence: u64,
    },
    /// That what was said of the control before no longer holds.
    Withdraws,
}

/// What the ledger's people say of a control now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attested {
    /// It holds.
    Holds {
        /// Who said so.
        by: String,
        /// Who approved.
        approved_by: String,
        /// Why.
        because: String,
        /// The last day.
        until: Date,
    },
    /// Nobody else has approved it.
    Unapproved {
        /// Who said so.
        by: String,
        /// The statement's number.
        sequence: u64,
        /// The last day.
        until: Date,
    },
    /// Its day has passed.
    Expired {
        /// Who had said so.
        by: String,
        /// The last day.
        until: Date,
    },
}

/// A statement that cannot be accepted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StatementError {
    /// A name, or a reason, is missing.
    #[error("{0} is empty; {1}")]
    Empty(&'static str, &'static str),
    /// The day is not a future one.
    #[error("{0} has passed; name a day to come, at most {LONGEST_DAYS} days ahead")]
    Passed(Date),
    /// Too far ahead.
    #[error(
        "{0} is more than {LONGEST_DAYS} days ahead: what nobody looks at for so long is not known; choose an earlier day"
    )]
    TooLong(Date),
    /// There is nothing to approve.
    #[error(
        "nobody has attested {0}, or it was withdrawn or has expired; attest it first: seaworthy attest {0} --by NAME --because \"…\""
    )]
    NothingToApprove(String),
    /// The author approves their own words.
    #[error("{0} said it and cannot approve it too; a second person must")]
    OwnWords(String),
    /// It is approved already.
    #[error("{0} has already approved it")]
    Approved(String),
}

impl Statement {
    /// That a control holds; without a day, for half a year.
    ///
    /// # Errors
    /// When a part is empty or the day is not one of the coming 366.
    pub fn holds(
        control: &str,
        by: &str,
        role: Option<&str>,
        because: &str,
        until: Option<Date>,
        now: Timestamp,
    ) -> Result<Self, StatementError> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let until = until.unwrap_or_else(|| today.saturating_add(USUAL_DAYS.days()));
        if until < today {
            return Err(StatementError::Passed(until));
        }
        if until > today.saturating_add(LONGEST_DAYS.days()) {
            return Err(StatementError::TooLong(until));
        }
        Self::new(control, Says::Holds { until }, by, role, because)
    }

    /// That somebody else's statement is right.
    ///
    /// # Errors
    /// When there is none, or it is the approver's own or approved already.
    pub fn approves(
        control: &str,
        by: &str,
        because: &str,
        records: &[Record],
        now: Timestamp,
    ) -> Result<Self, StatementError> {
        match attested(control, records, now) {
            Some(Attested::Unapproved { by: author, .. }) if same_person(&author, by) => {
                Err(StatementError::OwnWords(author))
            }
            Some(Attested::Unapproved { sequence, .. }) => {
                Self::new(control, Says::Approves { sequence }, by, None, because)
            }
            Some(Attested::Holds { approved_by, .. }) => Err(StatementError::Approved(approved_by)),
            Some(Attested::Expired { .. }) | None => Err(StatementError::NothingToApprove(control.to_owned())),
        }
    }

    /// That it no longer holds.
    ///
    /// # Errors
    /// When a part is empty.
    pub fn withdraws(control: &str, by: &str, because: &str) -> Result<Self, StatementError> {
        Self::new(control, Says::Withdraws, by, None, because)
    }

    fn new(control: &str, says: Says, by: &str, role: Option<&str>, because: &str) -> Result<Self, StatementError> {
        if by.trim().is_empty() {
            return Err(StatementError::Empty("the name", "say who vouches for it: --by \"Ann Other\""));
        }
        if because.trim().is_empty() && !matches!(says, Says::Approves { .. }) {
            return Err(StatementError::Empty(
                "the reason",
                "say on what grounds: --because \"audit of 2026-03-01, report 17\"",
            ));
        }
        let role = role.map(|role| role.trim().to_owned()).filter(|role| !role.is_empty());
        Ok(Self {
            control: control.to_owned(),
            says,
            by: by.trim().to_owned(),
            role,
            because: because.trim().to_owned(),
        })
    }
}

/// What people say of a control at this moment; `None` when nobody says anything, or it was withdrawn.
pub fn attested(control: &str, records: &[Record], now: Timestamp) -> Option<Attested> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut open: Option<(u64, &Statement, Date)> = None;
    let mut approval: Option<&str> = None;
    for record in records {
        let Content::Statement(statement) = &record.content else { continue };
        if statement.control != control {
            continue;
        }
        match &statement.says {
            Says::Holds { until } => (open, approval) = (Some((record.sequence, statement, *until)), None),
            Says::Withdraws => (open, approval) = (None, None),
            Says::Approves { sequence } => {
                // Whoever wrote the line, the rule is held here too.
                if open.is_some_and(|(number, said, _)| number == *sequence && !same_person(&said.by, &statement.by)) {
                    approval = Some(&statement.by);
                }
            }
        }
    }
    let (sequence, said, until) = open?;
    let by = said.by.clone();
    Some(match approval {
        _ if until < today => Attested::Expired { by, until },
        Some(approver) => {
            Attested::Holds { by, approved_by: approver.to_owned(), because: said.because.clone(), until }
        }
        None => Attested::Unapproved { by, sequence, until },
    })
}

fn same_person(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const CONTROL: &str = "process.security-audit";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn records(statements: Vec<Statement>) -> Vec<Record> {
        let record = |(index, statement)| Record {
            sequence: index as u64 + 1,
            previous: String::new(),
            time: String::new(),
            expires: String::new(),
            content: Content::Statement(statement),
        };
        statements.into_iter().enumerate().map(record).collect()
    }

    #[test]
    fn it_counts_with_a_second_person_and_until_its_day() {
        let now = at("2026-03-01T10:00:00Z");
        let said = Statement::holds(CONTROL, "Ann", Some("CTO"), "audit 17", Some(date(2026, 4, 1)), now).unwrap();
        let mut all = records(vec![said.clone()]);
        assert!(matches!(attested(CONTROL, &all, now), Some(Attested::Unapproved { sequence: 1, .. })));
        assert_eq!(Statement::approves(CONTROL, " ann ", "", &all, now), Err(StatementError::OwnWords("Ann".into())));
        let approval = Statement::approves(CONTROL, "Ben", "", &all, now).unwrap();
        all = records(vec![said.clone(), approval.clone()]);
        assert!(matches!(attested(CONTROL, &all, now), Some(Attested::Holds { .. })));
        assert!(matches!(attested(CONTROL, &all, at("2026-04-01T23:59:59Z")), Some(Attested::Holds { .. })));
        assert!(matches!(attested(CONTROL, &all, at("2026-04-02T00:00:00Z")), Some(Attested::Expired { .. })));
        assert_eq!(Statement::approves(CONTROL, "Eve", "", &all, now), Err(StatementError::Approved("Ben".into())));
        // New words need a new approval, and a withdrawal ends everything.
        all = records(vec![said.clone(), approval.clone(), said.clone()]);
        assert!(matches!(attested(CONTROL, &all, now), Some(Attested::Unapproved { sequence: 3, .. })));
        all = records(vec![said, approval, Statement::withdraws(CONTROL, "Eve", "wrong report").unwrap()]);
        assert_eq!(attested(CONTROL, &all, now), None);
        assert_eq!(attested("docs.license", &all, now), None);
    }

    #[test]
    fn words_without_a_name_a_reason_or_a_day_are_refused() {
        let now = at("2026-03-01T10:00:00Z");
        let say = |by, because, until| Statement::holds(CONTROL, by, None, because, until, now);
        assert!(matches!(say("  ", "x", None), Err(StatementError::Empty("the name", _))));
        assert!(matches!(say("Ann", "", None), Err(StatementError::Empty("the reason", _))));
        assert!(matches!(say("Ann", "x", Some(date(2026, 2, 28))), Err(StatementError::Passed(_))));
        assert!(matches!(say("Ann", "x", Some(date(2028, 1, 1))), Err(StatementError::TooLong(_))));
        let usual = say("Ann", "x", None).unwrap();
        assert_eq!(usual.says, Says::Holds { until: date(2026, 8, 28) });
        assert!(matches!(Statement::approves(CONTROL, "Ben", "", &[], now), Err(StatementError::NothingToApprove(_))));
    }
}
