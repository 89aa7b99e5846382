//! How many connections there may be, in all and of one client.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::settings::Limits;

/// Files that are kept for the app's side of each connection, logs and the rest, as a share of all.
const SHARE: usize = 2;

/// Counts the connections of all cores.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Mutex<(usize, usize)>,
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A place that one connection takes; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Every place is taken.
    Full,
    /// This client has as many as one may have.
    Address,
}

impl Admission {
    /// `open_files` is the limit of the process.
    pub(crate) fn new(limits: &Limits, open_files: usize) -> Arc<Self> {
        Arc::new(Self {
            limits: Mutex::new(effective(limits, open_files)),
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
        })
    }

    /// Holds from now on; connections that are open stay.
    pub(crate) fn replace(&self, limits: &Limits, open_files: usize) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = effective(limits, open_files);
    }

    /// Takes a place. `exempt` clients are counted in all and not by their address.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, exempt: bool) -> Result<Admitted, Refused> {
        let (all, each) = *self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if self.open.fetch_add(1, Ordering::Relaxed) >= all {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Full);
        }
        let address = (each > 0 && !exempt).then(|| address.to_canonical());
        if let Some(address) = address {
            let mut counts = self.counts();
            let count = counts.entry(address).or_insert(0);
            if *count >= each {
                drop(counts);
                self.open.fetch_sub(1, Ordering::Relaxed);
                return Err(Refused::Address);
            }
            *count += 1;
        }
        Ok(Admitted { admission: self.clone(), address })
    }

    /// True when nearly every place is taken.
    pub(crate) fn is_crowded(&self) -> bool {
        let (all, _) = *self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        self.open.load(Ordering::Relaxed) >= all - all / 10
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // A count is changed in one step, so a panicking holder leaves a whole map.
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn effective(limits: &Limits, open_files: usize) -> (usize, usize) {
    let all = match limits.connections {
        0 => (open_files / SHARE).max(64),
        count => count,
    };
    (all, limits.connections_per_address)
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut counts = self.admission.counts();
            if let Some(count) = counts.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let limits = Limits { connections: 3, connections_per_address: 2, ..Limits::default() };
        let admission = Admission::new(&limits, 1024);
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = admission.admit(one, false).unwrap();
        let _second = admission.admit(one, false).unwrap();
        assert_eq!(admission.admit("::ffff:192.0.2.1".parse().unwrap(), false).unwrap_err(), Refused::Address);
        let _third = admission.admit(other, false).unwrap();
        assert_eq!(admission.admit(other, true).unwrap_err(), Refused::Full);
        assert!(admission.is_crowded());
        drop(first);
        assert!(admission.admit(one, false).is_ok());
        assert_eq!(admission.open(), 2);
    }
}
