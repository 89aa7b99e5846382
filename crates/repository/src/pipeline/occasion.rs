//! When a part of a pipeline runs.

/// What can start a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A change is proposed, or changed.
    PullRequest,
    /// A commit came to the default branch.
    DefaultBranch,
    /// A commit came to a branch of somebody's work.
    FeatureBranch,
    /// A commit came to a branch whose name is that of a staging environment.
    StagingBranch,
    /// A commit came to a branch whose name is that of production, or of a release.
    ProductionBranch,
    /// A tag, or a release.
    Tag,
    /// The clock.
    Schedule,
    /// A person.
    Manual,
}

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// It is not so.
    No,
    /// The files alone do not tell.
    Maybe,
    /// It is so.
    Yes,
}

impl From<bool> for Truth {
    fn from(known: bool) -> Self {
        if known { Self::Yes } else { Self::No }
    }
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PullRequest,
        Self::DefaultBranch,
        Self::FeatureBranch,
        Self::StagingBranch,
        Self::ProductionBranch,
        Self::Tag,
        Self::Schedule,
        Self::Manual,
    ];
}

/// On which events something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occasions([Truth; 8]);

impl Occasions {
    /// On none.
    pub const NEVER: Self = Self([Truth::No; 8]);
    /// On all.
    pub const ALWAYS: Self = Self([Truth::Yes; 8]);
    /// The files do not tell.
    pub const UNKNOWN: Self = Self([Truth::Maybe; 8]);

    /// On these.
    pub fn of(events: &[Event]) -> Self {
        events.iter().fold(Self::NEVER, |occasions, event| occasions.with(*event, Truth::Yes))
    }

    /// What `decide` says of each event.
    pub fn by(mut decide: impl FnMut(Event) -> Truth) -> Self {
        Self(Event::ALL.map(&mut decide))
    }

    /// Whether it runs on this event.
    pub fn on(&self, event: Event) -> Truth {
        self.0[event as usize]
    }

    /// The same, but for one event.
    #[must_use]
    pub fn with(mut self, event: Event, truth: Truth) -> Self {
        self.0[event as usize] = truth;
        self
    }

    /// When both run.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::by(|event| self.on(event).min(other.on(event)))
    }

    /// When either runs.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::by(|event| self.on(event).max(other.on(event)))
    }

    /// Whether it runs on every change before it is merged: on pull requests, or on each push to each branch.
    pub fn before_merge(&self) -> Truth {
        self.on(Event::PullRequest).max(self.on(Event::FeatureBranch))
    }

    /// Whether it runs for what is proposed or merged, as opposed to by hand and by the clock.
    pub fn on_changes(&self) -> Truth {
        self.before_merge().max(self.on(Event::DefaultBranch))
    }

    /// Whether it ever runs.
    pub fn ever(&self) -> Truth {
        self.0.iter().copied().max().unwrap_or(Truth::No)
    }
}

/// One case that conditions are tried with.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What happened.
    pub event: Event,
    /// The branch, when there is one; for a pull request the one that it goes to.
    pub branch: String,
    /// The default branch as this scenario takes it.
    pub default_branch: String,
}

/// Names that a default branch has, when nothing tells.
const DEFAULT_BRANCHES: [&str; 3] = ["main", "master", "trunk"];

/// Every scenario of an event. `known` are names that the default branch may have, the surest first; an unusual one may
/// be somebody's work that is checked out, and then the usual names are tried too.
pub fn scenarios(event: Event, known: &[String]) -> Vec<Scenario> {
    let usual = DEFAULT_BRANCHES.map(str::to_owned);
    let default: Vec<String> = match known.first() {
        Some(sure) if usual.contains(sure) => vec![sure.clone()],
        _ => known.iter().cloned().chain(usual).collect(),
    };
    let names: Vec<String> = match event {
        Event::PullRequest | Event::DefaultBranch => default.clone(),
        Event::FeatureBranch => vec!["some-feature".to_owned()],
        Event::StagingBranch => ["staging", "stage", "develop", "dev", "test", "qa"].map(str::to_owned).to_vec(),
        Event::ProductionBranch => ["production", "prod", "release", "live", "deploy"].map(str::to_owned).to_vec(),
        Event::Tag | Event::Schedule | Event::Manual => vec![default[0].clone()],
    };
    let of = |branch: String| Scenario {
        event,
        default_branch: if default.contains(&branch) { branch.clone() } else { default[0].clone() },
        branch,
    };
    names.into_iter().map(of).collect()
}

/// The best that any scenario of each event gives.
pub fn tried(known: &[String], decide: impl Fn(&Scenario) -> Truth) -> Occasions {
    Occasions::by(|event| scenarios(event, known).iter().map(&decide).max().unwrap_or(Truth::No))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_both_runs_when_both_do() {
        let push = Occasions::of(&[Event::DefaultBranch, Event::Tag]);
        let tag = Occasions::of(&[Event::Tag, Event::Manual]);
        assert_eq!(push.and(tag), Occasions::of(&[Event::Tag]));
        assert_eq!(push.or(tag).on(Event::Manual), Truth::Yes);
        assert_eq!(push.before_merge(), Truth::No);
        assert_eq!(push.and(Occasions::UNKNOWN).on(Event::Tag), Truth::Maybe);
    }

    #[test]
    fn a_default_branch_may_have_a_name_of_its_own() {
        let decide = |scenario: &Scenario| Truth::from(scenario.branch == "develop");
        assert_eq!(tried(&["develop".into()], decide).on(Event::DefaultBranch), Truth::Yes);
        assert_eq!(tried(&[], decide).on(Event::DefaultBranch), Truth::No);
        assert_eq!(tried(&[], decide).on(Event::StagingBranch), Truth::Yes);
    }
}
