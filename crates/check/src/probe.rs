//! What a probe is, and when its result may be believed.
//!
//! A probe tries its control on a subject and reports cases. It also owns a control experiment: two small known subjects,
//! one where the thing is present and one where it is absent. Before its word counts, it must say *holds* of the first
//! and *broken* of the second (see [`crate::runner`]).

use std::{borrow::Cow, future::Future, io, pin::Pin};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::subject::{Fixture, Subject};

pub use seaworthy_repository::{Cases, Outcome, Sighting};

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

    /// Whether it may come to need its control experiment with this subject: others need not be prepared for it.
    fn may_look(&self, subject: &Subject) -> bool {
        !self.needs_target() || subject.url.is_some()
    }

    /// It looks at paths, of which the team may waive some.
    fn reads_paths(&self) -> bool {
        false
    }

    /// It runs the project's own commands, which takes as long as they take: it has a budget of its own.
    fn runs_code(&self) -> bool {
        false
    }

    /// Its control experiment costs so much that it is done only when its result is needed, and not beforehand.
    fn costly(&self) -> bool {
        false
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
