//! Whether an instance is well, over time: one rule for instances that we start and for addresses where they run.

use std::{convert::Infallible, time::Duration};

use seaworthy_core::UpstreamAddress;
use tokio::time::sleep;

use crate::health::Health;

/// So many bad answers in a row make an instance unwell; one good answer makes it well.
const UNWELL_AFTER: u32 = 2;
/// Longest pause between two questions to an address that was never well: it may be about to start.
const WHILE_STARTING: Duration = Duration::from_millis(250);

/// What is asked, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthChecks {
    /// The question.
    pub health: Health,
    /// Pause between two questions.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// What the answers so far say.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    well: bool,
    ever_well: bool,
    asked: bool,
    failures: u32,
}

/// The instance has become another one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// For the first time, or again; true for the first time.
    Well(bool),
    /// With what was seen.
    Unwell(String),
}

impl HealthChecks {
    /// Asks once. The error says what was seen.
    pub(crate) async fn ask(&self, address: &UpstreamAddress) -> Result<(), String> {
        self.health.ask(address, self.timeout).await
    }
}

impl Pulse {
    /// Of an instance that has just given a good answer.
    pub(crate) fn well() -> Self {
        Self { well: true, ever_well: true, asked: true, failures: 0 }
    }

    /// Asks for as long as the instance runs, and tells of each change.
    pub(crate) async fn watch(
        &mut self,
        address: &UpstreamAddress,
        checks: impl Fn() -> HealthChecks,
        changed: impl Fn(Change),
    ) -> Infallible {
        loop {
            sleep(self.pause(checks().interval)).await;
            let answer = checks().ask(address).await;
            if let Some(change) = self.judge(answer) {
                changed(change);
            }
        }
    }

    fn pause(&self, interval: Duration) -> Duration {
        match (self.asked, self.ever_well) {
            (false, _) => Duration::ZERO,
            (true, false) => interval.min(WHILE_STARTING),
            (true, true) => interval,
        }
    }

    fn judge(&mut self, answer: Result<(), String>) -> Option<Change> {
        self.asked = true;
        match answer {
            Ok(()) => {
                self.failures = 0;
                if self.well {
                    return None;
                }
                let first = !self.ever_well;
                (self.well, self.ever_well) = (true, true);
                Some(Change::Well(first))
            }
            Err(reason) => {
                self.failures = self.failures.saturating_add(1);
                (self.failures == UNWELL_AFTER).then(|| {
                    self.well = false;
                    Change::Unwell(reason)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad() -> Result<(), String> {
        Err("/health answers 503".into())
    }

    #[test]
    fn two_bad_answers_make_it_unwell_and_one_good_one_makes_it_well() {
        let mut pulse = Pulse::well();
        assert_eq!(pulse.judge(bad()), None);
        assert_eq!(pulse.judge(Ok(())), None);
        assert_eq!(pulse.judge(bad()), None);
        assert_eq!(pulse.judge(bad()), Some(Change::Unwell("/health answers 503".into())));
        assert_eq!(pulse.judge(bad()), None, "told once");
        assert_eq!(pulse.judge(Ok(())), Some(Change::Well(false)));
        assert_eq!(pulse.judge(Ok(())), None);
    }

    #[test]
    fn an_address_is_asked_at_once_and_often_until_its_first_good_answer() {
        let interval = Duration::from_secs(2);
        let mut pulse = Pulse::default();
        assert_eq!(pulse.pause(interval), Duration::ZERO);
        assert_eq!(pulse.judge(bad()), None);
        assert_eq!(pulse.pause(interval), WHILE_STARTING);
        assert!(matches!(pulse.judge(bad()), Some(Change::Unwell(_))));
        assert_eq!(pulse.judge(Ok(())), Some(Change::Well(true)));
        assert_eq!(pulse.pause(interval), interval);
    }
}
