//! What was seen: cases, and what they come to.

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
    /// Where and how it looked, a line each: for the transcript.
    pub notes: Vec<String>,
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
    /// There is nothing here that it could apply to; why.
    NotApplicable(String),
    /// Every case held, and the rest only a person can say.
    ForAPerson(String),
}

/// Collects cases into a [`Sighting`].
#[derive(Debug, Default)]
pub struct Cases {
    planned: usize,
    executed: usize,
    broken: Option<String>,
    unclear: Option<String>,
    seen: Vec<String>,
    notes: Vec<String>,
}

impl Sighting {
    /// Nothing was tried because something is not known.
    pub fn not_tried(what_to_do: impl Into<String>) -> Self {
        Self::of(Outcome::NotTried(what_to_do.into()))
    }

    /// There is nothing here that the control could apply to. Never for a thing that is merely missing.
    pub fn not_applicable(why: impl Into<String>) -> Self {
        Self::of(Outcome::NotApplicable(why.into()))
    }

    /// It cannot be told.
    pub fn unclear(why: impl Into<String>) -> Self {
        Self::of(Outcome::Unclear(why.into()))
    }

    /// The cases held; what is left only a person can say.
    #[must_use]
    pub fn for_a_person(self) -> Self {
        match self.outcome {
            Outcome::Holds => Self { outcome: Outcome::ForAPerson(self.observed.clone()), ..self },
            _ => self,
        }
    }

    fn of(outcome: Outcome) -> Self {
        Self { planned: 0, executed: 0, outcome, observed: String::new(), notes: Vec::new() }
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

    /// A line for the transcript.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
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
        Sighting { planned: self.planned, executed: self.executed, outcome, observed, notes: self.notes }
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
