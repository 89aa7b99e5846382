//! Whether the store may be relied on. Lost at the first error, or when it was too late three times in a row; found again
//! when it was in time three times in a row, so that one that limps is not asked for every request.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// So many times in a row it must be late, or in time, before that is believed.
const IN_A_ROW: u32 = 3;

/// What became of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// An answer in time.
    InTime,
    /// No answer in time.
    Late,
    /// An error, or no connection.
    Broken,
}

/// The state, without a lock: every core reads it for every request.
#[derive(Debug, Default)]
pub(crate) struct Health {
    up: AtomicBool,
    /// How often in a row it was not as the state says.
    against: AtomicU32,
}

impl Health {
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Notes it. `Some`: the state has just become this; of several callers one alone learns it.
    pub(crate) fn note(&self, heard: Heard) -> Option<bool> {
        let up = self.is_up();
        if (heard == Heard::InTime) == up {
            // The usual case writes nothing, so that cores do not take the line from each other.
            if self.against.load(Ordering::Relaxed) != 0 {
                self.against.store(0, Ordering::Relaxed);
            }
            return None;
        }
        let against = self.against.fetch_add(1, Ordering::Relaxed) + 1;
        if heard != Heard::Broken && against < IN_A_ROW {
            return None;
        }
        self.against.store(0, Ordering::Relaxed);
        (self.up.swap(!up, Ordering::Relaxed) == up).then_some(!up)
    }

    /// The very first answer need not be repeated.
    pub(crate) fn begin(&self) {
        self.up.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_believed_at_once_and_the_rest_three_times() {
        let health = Health::default();
        health.begin();
        assert_eq!([health.note(Heard::Late), health.note(Heard::Late)], [None, None]);
        assert_eq!(health.note(Heard::InTime), None, "it starts again");
        let heard = [Heard::Late; 4].map(|heard| health.note(heard));
        assert_eq!((heard, health.is_up()), ([None, None, Some(false), None], false));
        assert_eq!(health.note(Heard::Broken), None, "it is known");
        let heard =
            [Heard::InTime, Heard::Late, Heard::InTime, Heard::InTime, Heard::InTime].map(|one| health.note(one));
        assert_eq!(heard, [None, None, None, None, Some(true)]);
        assert_eq!(health.note(Heard::Broken), Some(false));
    }
}
