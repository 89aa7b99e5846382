//! What is known of every instance: for the admin API, for readiness, and for whoever waits until the app is well.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use seaworthy_core::{Condition, InstanceReport, InstanceState, ReadinessHandle};
use tokio::sync::watch;

/// The reports of all instances. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Board(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// How many instances are well.
    well: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    entries: Vec<Entry>,
    /// `None` once the app was told to stop.
    readiness: Option<ReadinessHandle>,
    ever_well: bool,
}

#[derive(Debug)]
struct Entry {
    number: u16,
    report: InstanceReport,
    /// Why it is not well.
    why: String,
}

impl Board {
    /// An empty one, which posts the readiness of the whole.
    pub(crate) fn new(readiness: ReadinessHandle) -> Self {
        let state = State { entries: Vec::new(), readiness: Some(readiness), ever_well: false };
        Self(Arc::new(Shared { state: Mutex::new(state), well: watch::Sender::new(0) }))
    }

    /// Adds an instance.
    pub(crate) fn add(&self, number: u16, id: &str, address: String) {
        let report = InstanceReport {
            id: id.into(),
            pid: None,
            address,
            state: InstanceState::Starting,
            restarts: 0,
            memory_bytes: None,
            last_exit: None,
            crash_loop: false,
        };
        let mut state = self.lock();
        let at = state.entries.partition_point(|entry| entry.number < number);
        state.entries.insert(at, Entry { number, report, why: "it is starting".into() });
        self.post(&mut state);
    }

    /// Takes an instance off.
    pub(crate) fn remove(&self, id: &str) {
        let mut state = self.lock();
        state.entries.retain(|entry| entry.report.id != id);
        self.post(&mut state);
    }

    /// Changes what is told of an instance; `why` says why it is not well, and stays as it was when empty.
    pub(crate) fn update(&self, id: &str, why: &str, change: impl FnOnce(&mut InstanceReport)) {
        let mut state = self.lock();
        if let Some(entry) = state.entries.iter_mut().find(|entry| entry.report.id == id) {
            change(&mut entry.report);
            if !why.is_empty() {
                why.clone_into(&mut entry.why);
            }
        }
        self.post(&mut state);
    }

    /// Process ids of the running instances, which are also their groups.
    pub(crate) fn groups(&self) -> HashSet<u32> {
        self.lock().entries.iter().filter_map(|entry| entry.report.pid).collect()
    }

    /// Notes how much memory each group takes.
    pub(crate) fn note_memory(&self, of: impl Fn(u32) -> Option<u64>) {
        for entry in &mut self.lock().entries {
            entry.report.memory_bytes = entry.report.pid.and_then(&of);
        }
    }

    /// True while an instance of this number is told of, if only because it finishes its requests.
    pub(crate) fn has(&self, number: u16) -> bool {
        self.lock().entries.iter().any(|entry| entry.number == number)
    }

    /// True once any instance was well.
    pub(crate) fn ever_well(&self) -> bool {
        self.lock().ever_well
    }

    /// How many instances are well, now and on every change.
    pub(crate) fn well(&self) -> watch::Receiver<usize> {
        self.0.well.subscribe()
    }

    /// All of them, in the order of their numbers.
    pub(crate) fn reports(&self) -> Vec<InstanceReport> {
        self.lock().entries.iter().map(|entry| entry.report.clone()).collect()
    }

    /// The app was told to stop: its readiness no longer matters.
    pub(crate) fn retire(&self) {
        if let Some(readiness) = self.lock().readiness.take() {
            readiness.retire();
        }
    }

    /// Holds the readiness for as long as the fleet runs.
    pub(crate) fn hold(&self) -> Hold {
        Hold(self.clone())
    }

    fn post(&self, state: &mut State) {
        let well = state.entries.iter().filter(|entry| entry.report.state == InstanceState::Ready).count();
        state.ever_well |= well > 0;
        if let Some(readiness) = &state.readiness {
            readiness.set(condition(state, well));
        }
        self.0.well.send_replace(well);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each update leaves whole reports behind.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fails the readiness when the fleet's task ends without having been told to: handles of the fleet keep the board alive.
#[derive(Debug)]
pub(crate) struct Hold(Board);

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.0.lock().readiness.take());
    }
}

/// Takes an instance for down when its task ends, however that came about.
#[derive(Debug)]
pub(crate) struct Presence {
    /// Where it is told.
    pub board: Board,
    /// `app-1`.
    pub id: String,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.board.update(&self.id, "nobody keeps it running", |report| {
            report.pid = None;
            report.state = InstanceState::Down;
        });
    }
}

fn condition(state: &State, well: usize) -> Condition {
    if well > 0 {
        return Condition::Ready;
    }
    let reason = |entry: &Entry| {
        let crash_loop = if entry.report.crash_loop { "crash loop: " } else { "" };
        format!("{}: {crash_loop}{}", entry.report.id, entry.why)
    };
    let reasons: Vec<String> = state.entries.iter().map(reason).collect();
    let text = format!("0 of {} instances are healthy ({})", state.entries.len(), reasons.join("; "));
    if state.ever_well { Condition::Failed(text) } else { Condition::Pending(text) }
}

#[cfg(test)]
mod tests {
    use seaworthy_core::Readiness;

    use super::*;

    #[test]
    fn ready_while_one_instance_is_well_and_says_how_many_otherwise() {
        let readiness = Readiness::default();
        let board = Board::new(readiness.declare("app", "its start"));
        let set = |id: &str, state, why: &str| board.update(id, why, |report| report.state = state);
        board.add(2, "app-2", String::new());
        board.add(1, "app-1", String::new());
        assert!(matches!(&readiness.conditions()["app"], Condition::Pending(why) if why.contains("0 of 2")));
        assert_eq!(board.reports()[0].id, "app-1");
        set("app-1", InstanceState::Ready, "");
        assert!(readiness.is_ready() && board.ever_well());
        set("app-2", InstanceState::Ready, "");
        set("app-1", InstanceState::Down, "signal: 9 (SIGKILL)");
        assert!(readiness.is_ready());
        assert_eq!(*board.well().borrow(), 1);
        set("app-2", InstanceState::Unhealthy, "/health answers 503");
        let Condition::Failed(why) = &readiness.conditions()["app"] else { panic!() };
        assert_eq!(why, "0 of 2 instances are healthy (app-1: signal: 9 (SIGKILL); app-2: /health answers 503)");
        board.retire();
        assert!(readiness.conditions().is_empty());
    }

    #[test]
    fn a_fleet_or_an_instance_that_dies_never_looks_ready() {
        let readiness = Readiness::default();
        let board = Board::new(readiness.declare("app", "its start"));
        let hold = board.hold();
        board.add(1, "app-1", String::new());
        let presence = Presence { board: board.clone(), id: "app-1".into() };
        board.update("app-1", "", |report| report.state = InstanceState::Ready);
        assert!(readiness.is_ready());
        drop(presence);
        assert!(!readiness.is_ready());
        board.update("app-1", "", |report| report.state = InstanceState::Ready);
        drop(hold);
        assert!(!readiness.is_ready());
    }
}
