//! What only people can say: who said it, who else stands by it, why, and until when.
//!
//! A statement counts when a second person has approved it and its day has not passed. It can be withdrawn. A statement never
//! overrules a probe that saw the control fail.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use seaworthy_checklist::Control;

use crate::record::{Content, Record, meaning};

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
    /// What it is said of.
    #[serde(flatten)]
    pub scope: Scope,
}

/// What a statement is said of: one meaning of the control, in one environment or in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// What the control meant then (a hash); nothing for a control that is in no catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// The profile for which it was said; without one it is said of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
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
    /// What the control asks for is another thing now than what was said to hold.
    Outdated {
        /// Who had said so.
        by: String,
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
    /// The same, said of this alone.
    #[must_use]
    pub fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

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
        scope: &Scope,
        records: &[Record],
        now: Timestamp,
    ) -> Result<Self, StatementError> {
        match attested(control, scope, records, now) {
            Some(Attested::Unapproved { by: author, .. }) if same_person(&author, by) => {
                Err(StatementError::OwnWords(author))
            }
            Some(Attested::Unapproved { sequence, .. }) => {
                Self::new(control, Says::Approves { sequence }, by, None, because)
                    .map(|said| said.within(scope.clone()))
            }
            Some(Attested::Holds { approved_by, .. }) => Err(StatementError::Approved(approved_by)),
            Some(Attested::Expired { .. } | Attested::Outdated { .. }) | None => {
                Err(StatementError::NothingToApprove(control.to_owned()))
            }
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
            scope: Scope::default(),
        })
    }
}

impl Scope {
    /// A control as it is now, in this environment.
    pub fn new(known: Option<&Control>, environment: Option<&str>) -> Self {
        Self { meaning: known.map(meaning), environment: environment.map(str::to_owned) }
    }

    /// Whether something that was said of this is said of a check in that environment.
    fn covers(&self, environment: Option<&str>) -> bool {
        self.environment.is_none() || self.environment.as_deref() == environment
    }
}

/// What people say of a control at this moment, of its meaning and in its environment now; `None` when nobody says
/// anything, or it was withdrawn.
pub fn attested(control: &str, scope: &Scope, records: &[Record], now: Timestamp) -> Option<Attested> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut open: Option<(u64, &Statement, Date)> = None;
    let mut approval: Option<&str> = None;
    for record in records {
        let Content::Statement(statement) = &record.content else { continue };
        // A withdrawal is heard wherever it was said.
        let heard = statement.scope.covers(scope.environment.as_deref()) || statement.says == Says::Withdraws;
        if statement.control != control || !heard {
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
    if said.scope.meaning != scope.meaning {
        return Some(Attested::Outdated { by });
    }
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
        assert!(matches!(
            attested(CONTROL, &Scope::default(), &all, now),
            Some(Attested::Unapproved { sequence: 1, .. })
        ));
        assert_eq!(
            Statement::approves(CONTROL, " ann ", "", &Scope::default(), &all, now),
            Err(StatementError::OwnWords("Ann".into()))
        );
        let approval = Statement::approves(CONTROL, "Ben", "", &Scope::default(), &all, now).unwrap();
        all = records(vec![said.clone(), approval.clone()]);
        assert!(matches!(attested(CONTROL, &Scope::default(), &all, now), Some(Attested::Holds { .. })));
        assert!(matches!(
            attested(CONTROL, &Scope::default(), &all, at("2026-04-01T23:59:59Z")),
            Some(Attested::Holds { .. })
        ));
        assert!(matches!(
            attested(CONTROL, &Scope::default(), &all, at("2026-04-02T00:00:00Z")),
            Some(Attested::Expired { .. })
        ));
        assert_eq!(
            Statement::approves(CONTROL, "Eve", "", &Scope::default(), &all, now),
            Err(StatementError::Approved("Ben".into()))
        );
        // New words need a new approval, and a withdrawal ends everything.
        all = records(vec![said.clone(), approval.clone(), said.clone()]);
        assert!(matches!(
            attested(CONTROL, &Scope::default(), &all, now),
            Some(Attested::Unapproved { sequence: 3, .. })
        ));
        all = records(vec![said, approval, Statement::withdraws(CONTROL, "Eve", "wrong report").unwrap()]);
        assert_eq!(attested(CONTROL, &Scope::default(), &all, now), None);
        assert_eq!(attested("docs.license", &Scope::default(), &all, now), None);
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
        assert!(matches!(
            Statement::approves(CONTROL, "Ben", "", &Scope::default(), &[], now),
            Err(StatementError::NothingToApprove(_))
        ));
    }

    #[test]
    fn it_counts_for_one_meaning_and_where_it_was_said() {
        let now = at("2026-03-01T10:00:00Z");
        let scope = |meaning: &str, environment: Option<&str>| Scope {
            meaning: Some(meaning.into()),
            environment: environment.map(str::to_owned),
        };
        let said = |scope: Scope| Statement::holds(CONTROL, "Ann", None, "audit 17", None, now).unwrap().within(scope);
        let of = |scope: &Scope, all: &[Record]| attested(CONTROL, scope, all, now);
        let production = scope("a", Some("production"));
        let all = records(vec![said(production.clone())]);
        assert!(matches!(of(&production, &all), Some(Attested::Unapproved { .. })));
        assert_eq!(of(&scope("a", Some("staging")), &all), None, "another environment");
        assert_eq!(of(&scope("a", None), &all), None, "no environment in particular");
        assert!(matches!(of(&scope("b", Some("production")), &all), Some(Attested::Outdated { .. })));
        let all = records(vec![said(scope("a", None))]);
        assert!(matches!(of(&production, &all), Some(Attested::Unapproved { .. })), "said of all of them");
        let approval = Statement::approves(CONTROL, "Ben", "", &production, &all, now).unwrap();
        let all = records(vec![said(scope("a", None)), approval]);
        assert!(matches!(of(&production, &all), Some(Attested::Holds { .. })));
        assert!(matches!(of(&scope("a", Some("staging")), &all), Some(Attested::Unapproved { .. })));
    }
}
