//! Addresses whose tokens are refused again and again: a signature is dear to look at, and a flood of wrong ones must not
//! be free.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So many an address may send at once…
const AT_ONCE: u32 = 100;
/// …and then one in this time.
const EACH: Duration = Duration::from_millis(500);
/// So many addresses a core.
const MOST: usize = 4_096;

/// When each address has its whole budget again. One for each core, so that its lock is never waited for.
#[derive(Clone, Default)]
pub(crate) struct Failed(Arc<Mutex<HashMap<IpAddr, Instant>>>);

impl Failed {
    /// How long this address must wait, when it has no budget left.
    pub(crate) fn wait(&self, client: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whole_at = known.get(&network(client))?;
        let ahead = whole_at.saturating_duration_since(now) + EACH;
        ahead.checked_sub(EACH * AT_ONCE).filter(|wait| !wait.is_zero())
    }

    /// One more was refused.
    pub(crate) fn count(&self, client: Option<IpAddr>, now: Instant) {
        let (mut known, client) = (self.0.lock().unwrap_or_else(PoisonError::into_inner), network(client));
        if known.len() >= MOST && !known.contains_key(&client) {
            known.retain(|_, whole_at| *whole_at > now);
            if known.len() >= MOST
                && let Some(somebody) = known.keys().next().copied()
            {
                known.remove(&somebody);
            }
        }
        let whole_at = known.entry(client).or_insert(now);
        // No more than the budget is ever owed.
        *whole_at = ((*whole_at).max(now) + EACH).min(now + EACH * AT_ONCE);
    }
}

/// Whoever has an IPv6 address has its whole network. Who is unknown shares one budget.
fn network(client: Option<IpAddr>) -> IpAddr {
    match client {
        Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
        },
        Some(address) => address,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_at_once_and_then_two_a_second() {
        let (failed, now) = (Failed::default(), Instant::now());
        let client = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for _ in 0..AT_ONCE {
            assert_eq!(failed.wait(client("2001:db8::1"), now), None);
            failed.count(client("2001:db8::1"), now);
        }
        assert_eq!(failed.wait(client("2001:db8::2"), now), Some(EACH), "the same network");
        assert_eq!(failed.wait(client("192.0.2.1"), now), None);
        assert_eq!(failed.wait(client("2001:db8::1"), now + EACH), None);
        for _ in 0..1_000 {
            failed.count(client("2001:db8::1"), now);
        }
        assert_eq!(failed.wait(client("2001:db8::1"), now), Some(EACH));
    }

    #[test]
    fn memory_is_bounded() {
        let (failed, now) = (Failed::default(), Instant::now());
        for number in 0..10_000_u32 {
            failed.count(Some(IpAddr::V4(number.into())), now);
        }
        assert_eq!(failed.0.lock().unwrap().len(), MOST);
    }
}
