//! Tokens that were verified a moment ago: a signature costs twenty to a hundred times what a look-up does.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use seaworthy_core::Principal;

use crate::{failed::Failed, token::Fingerprint, tokens::Verified};

/// So long at most, that what is withdrawn does not live on.
const LONGEST: Duration = Duration::from_secs(60);
/// So many tokens a core; some 3 MB with usual claims.
const MOST: usize = 4_096;

/// Tokens by their SHA-256, and who has sent wrong ones. One for each core, so that its locks are never waited for.
#[derive(Clone, Default)]
pub struct Remembered {
    known: Arc<Mutex<HashMap<Fingerprint, Entry>>>,
    pub(crate) failed: Failed,
}

struct Entry {
    principal: Principal,
    until: Instant,
    generation: u64,
}

impl Remembered {
    /// Whom this token is from, when that was found out with the keys that are trusted now.
    pub(crate) fn find(&self, token: &Fingerprint, generation: u64, now: Instant) -> Option<Principal> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get(token)?;
        (entry.until > now && entry.generation == generation).then(|| entry.principal.clone())
    }

    pub(crate) fn keep(&self, token: Fingerprint, verified: &Verified, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, entry| entry.until > now && entry.generation == verified.generation);
        }
        if known.len() >= MOST {
            // Any of them: it is verified once more. A look at each for every newcomer would be dearer.
            if let Some(somebody) = known.keys().next().copied() {
                known.remove(&somebody);
            }
        }
        let entry = Entry {
            principal: verified.principal.clone(),
            until: now + verified.holds.min(LONGEST),
            generation: verified.generation,
        };
        known.insert(token, entry);
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_core::{PrincipalDetails, PrincipalKind};

    use super::*;

    fn verified(holds: u64, generation: u64) -> Verified {
        let details = PrincipalDetails {
            kind: PrincipalKind::User,
            id: "a".into(),
            tenant: None,
            roles: Vec::new(),
            scopes: Vec::new(),
        };
        Verified { principal: Principal::new(details), holds: Duration::from_secs(holds), generation }
    }

    #[test]
    fn it_forgets_after_a_minute_at_expiry_and_when_keys_change() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        let at = |token, generation, seconds| {
            remembered.find(&[token; 32], generation, now + Duration::from_secs(seconds)).is_some()
        };
        remembered.keep([1; 32], &verified(3_600, 7), now);
        remembered.keep([2; 32], &verified(5, 7), now);
        assert!(at(1, 7, 59) && !at(1, 7, 60) && !at(1, 8, 0) && !at(3, 7, 0));
        assert!(at(2, 7, 4) && !at(2, 7, 5));
    }

    #[test]
    fn memory_is_bounded() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        for number in 0..10_000_u32 {
            let mut token = [0; 32];
            token[..4].copy_from_slice(&number.to_le_bytes());
            remembered.keep(token, &verified(60, 0), now);
        }
        assert_eq!(remembered.known.lock().unwrap().len(), MOST);
    }
}
