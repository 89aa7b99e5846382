//! What a probe is, and when its result may be believed.
//!
//! A probe tries its control on a subject and reports cases. It also owns a control experiment: two small known subjects,
//! one where the thing is present and one where it is absent. Before its word counts, it must say *holds* of the first
//! and *broken* of the second (see [`crate::runner`]).

use std::{borrow::Cow, future::Future, io, pin::Pin};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::subject::{Fixture, Subject};

/// A boxed future of a probe.
pub type Working<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tries one control.
pub trait Probe: Send + Sync {
    /// Which control it tries, and how.
    fn about(&self) -> About;

    /// The control's id in the catalogue.
    fn control(&self) -> Cow<'static, str> {
        self.about().control
    }

    /// How it looks.
    fn kind(&self) -> ProbeKind {
        self.about().kind
    }

    /// It measures time, load or counters of the target, or breaks something: nothing else may run beside it.
    fn alone(&self) -> bool {
        self.kind() == ProbeKind::Drill
    }

    /// Its target is the app at its public address: where that does not answer, there is nothing to look at.
    fn needs_target(&self) -> bool {
        self.kind() == ProbeKind::Live
    }

    /// Another way to try the same, for when this one is not possible: it breaks something on the live target, and runs
    /// only when that was asked for.
    fn disruptive(&self) -> Option<&dyn Probe> {
        None
    }

    /// Tries the control.
    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting>;

    /// A known subject where the control holds.
    fn present(&self) -> Working<'_, io::Result<Fixture>>;

    /// A known subject where it does not.
    fn absent(&self) -> Working<'_, io::Result<Fixture>>;
}

/// What a probe is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The control's id in the catalogue.
    pub control: Cow<'static, str>,
    /// How it looks.
    pub kind: ProbeKind,
    /// What it may do to its target.
    pub class: SafetyClass,
}

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Cases that should have been tried.
    pub planned: usize,
    /// Cases that were tried and told something.
    pub executed: usize,
    /// What it comes to.
    pub outcome: Outcome,
    /// In one line, with numbers.
    pub observed: String,
}

/// What a sighting comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every case held.
    Holds,
    /// A case did not hold; what it was.
    Broken(String),
    /// The cases do not tell; why.
    Unclear(String),
    /// Nothing was tried; what is missing and how to give it.
    NotTried(String),
}

/// Collects cases into a [`Sighting`].
#[derive(Debug, Default)]
pub struct Cases {
    planned: usize,
    executed: usize,
    broken: Option<String>,
    unclear: Option<String>,
    seen: Vec<String>,
}

impl Sighting {
    /// Nothing was tried because something is not known.
    pub fn not_tried(what_to_do: impl Into<String>) -> Self {
        Self { planned: 0, executed: 0, outcome: Outcome::NotTried(what_to_do.into()), observed: String::new() }
    }
}

impl Cases {
    /// So many cases are planned.
    pub fn plan(planned: usize) -> Self {
        Self { planned, ..Self::default() }
    }

    /// More cases than first thought.
    pub fn plan_more(&mut self, more: usize) {
        self.planned += more;
    }

    /// A case that was tried. When it does not hold, `seen` becomes the reason (the first one is kept).
    pub fn tried(&mut self, holds: bool, seen: impl Into<String>) {
        let seen = seen.into();
        self.executed += 1;
        if !holds && self.broken.is_none() {
            self.broken = Some(seen.clone());
        }
        self.seen.push(seen);
    }

    /// A case that told nothing.
    pub fn told_nothing(&mut self, why: impl Into<String>) {
        self.unclear.get_or_insert(why.into());
    }

    /// Whether a case did not hold: then the rest need not be waited for.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Ends before all cases could be tried.
    pub fn gave_up(mut self, why: impl Into<String>) -> Sighting {
        self.told_nothing(why);
        self.sighting("")
    }

    /// What it comes to. `summary` stands for the list of what was seen when every case held.
    pub fn sighting(self, summary: impl Into<String>) -> Sighting {
        let outcome = match (self.broken, self.unclear) {
            (Some(what), _) => Outcome::Broken(what),
            (None, Some(why)) => Outcome::Unclear(why),
            (None, None) if self.executed == 0 || self.executed < self.planned => {
                Outcome::Unclear(format!("{} of {} cases were tried", self.executed, self.planned))
            }
            (None, None) => Outcome::Holds,
        };
        let observed = match outcome {
            Outcome::Holds => summary.into(),
            _ => self.seen.join("; "),
        };
        Sighting { planned: self.planned, executed: self.executed, outcome, observed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_or_missing_cases_never_hold() {
        assert!(matches!(Cases::plan(0).sighting("x").outcome, Outcome::Unclear(_)));
        let mut cases = Cases::plan(2);
        cases.tried(true, "one");
        assert!(matches!(cases.sighting("x").outcome, Outcome::Unclear(_)));
        let mut cases = Cases::plan(2);
        cases.tried(true, "one");
        cases.tried(true, "two");
        assert_eq!(cases.sighting("both").outcome, Outcome::Holds);
    }

    #[test]
    fn one_broken_case_is_enough_and_the_first_is_the_reason() {
        let mut cases = Cases::plan(3);
        cases.tried(false, "first");
        cases.tried(false, "second");
        cases.told_nothing("third");
        assert_eq!(cases.sighting("x").outcome, Outcome::Broken("first".into()));
    }
}
