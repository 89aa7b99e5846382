//! What is known of a control or an item.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer. Only `pass` and `attested` close a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was tried, and it held.
    Pass,
    /// A person vouches for it, until a date.
    Attested,
    /// There is nothing here that it could apply to. Never counted as a pass.
    NotApplicable,
    /// Nothing was tried, and the reason says why.
    NotRun,
    /// It held once; that is too long ago or was another release.
    Expired,
    /// It was tried, and the result does not tell.
    Inconclusive,
    /// The probe itself failed.
    Error,
    /// It was tried, and it did not hold.
    Fail,
}

impl Verdict {
    /// Every verdict, in the order of a summary.
    pub const ALL: [Self; 8] = [
        Self::Pass,
        Self::Fail,
        Self::Inconclusive,
        Self::NotRun,
        Self::NotApplicable,
        Self::Attested,
        Self::Expired,
        Self::Error,
    ];

    /// Whether a box may be ticked.
    pub fn closes(self) -> bool {
        matches!(self, Self::Pass | Self::Attested)
    }

    /// The verdict of an item that needs all of these: the one furthest from closing.
    pub fn all_of(verdicts: impl IntoIterator<Item = Self>) -> Option<Self> {
        verdicts.into_iter().max()
    }

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Attested => "attested",
            Self::NotApplicable => "not-applicable",
            Self::NotRun => "not-run",
            Self::Expired => "expired",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composite_is_as_open_as_its_most_open_part() {
        use Verdict::{Attested, Error, Fail, NotApplicable, NotRun, Pass};
        assert_eq!(Verdict::all_of([Pass, Attested]), Some(Attested));
        assert_eq!(Verdict::all_of([Pass, NotRun]), Some(NotRun));
        assert_eq!(Verdict::all_of([NotRun, Fail, Error]), Some(Fail));
        assert!(!Verdict::all_of([Pass, NotApplicable]).unwrap().closes());
        assert_eq!(Verdict::all_of([]), None);
    }
}
