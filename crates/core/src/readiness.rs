//! Whether the node may receive traffic: the AND of named conditions, each held by the task that knows.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

/// What one condition says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum Condition {
    /// Not there yet, with what it waits for.
    Pending(String),
    /// It holds.
    Ready,
    /// It does not hold, with the reason.
    Failed(String),
}

/// The board on which the rooms post their conditions. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Condition>>>);

/// The right to change one condition. Dropped without [`ReadinessHandle::retire`], the condition is *failed*: a task
/// that died must never leave a node that looks ready.
#[derive(Debug)]
pub struct ReadinessHandle {
    board: Readiness,
    name: &'static str,
    retired: bool,
}

impl Readiness {
    /// Declares a condition, pending until its holder says more.
    pub fn declare(&self, name: &'static str, waits_for: impl Into<String>) -> ReadinessHandle {
        self.lock().insert(name, Condition::Pending(waits_for.into()));
        ReadinessHandle { board: self.clone(), name, retired: false }
    }

    /// True when every declared condition is ready (and at least one is declared).
    pub fn is_ready(&self) -> bool {
        let board = self.lock();
        !board.is_empty() && board.values().all(|condition| *condition == Condition::Ready)
    }

    /// Every condition by name.
    pub fn conditions(&self) -> BTreeMap<&'static str, Condition> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Condition>> {
        // A holder that panicked leaves a whole map behind: each write is one insert.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadinessHandle {
    /// Posts a new state.
    pub fn set(&self, condition: Condition) {
        self.board.lock().insert(self.name, condition);
    }

    /// Takes the condition off the board: it no longer matters.
    pub fn retire(mut self) {
        self.retired = true;
        self.board.lock().remove(self.name);
    }
}

impl Drop for ReadinessHandle {
    fn drop(&mut self) {
        if !self.retired {
            self.set(Condition::Failed("its task has ended".into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_every_condition_and_at_least_one() {
        let board = Readiness::default();
        assert!(!board.is_ready());
        let edge = board.declare("edge", "the listener");
        let app = board.declare("app", "the health check");
        edge.set(Condition::Ready);
        assert!(!board.is_ready());
        app.set(Condition::Ready);
        assert!(board.is_ready());
    }

    #[test]
    fn a_dropped_handle_means_failed_and_a_retired_one_means_nothing() {
        let board = Readiness::default();
        let edge = board.declare("edge", "the listener");
        edge.set(Condition::Ready);
        let app = board.declare("app", "the health check");
        app.set(Condition::Ready);
        drop(app);
        assert!(matches!(board.conditions()["app"], Condition::Failed(_)));
        assert!(!board.is_ready());
        board.declare("app", "again").retire();
        assert!(board.is_ready());
    }
}
