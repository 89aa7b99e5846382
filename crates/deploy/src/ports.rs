//! Loopback ports for instances, each given to one process at a time.

use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The ports that our processes have. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ports(Arc<Mutex<HashSet<u16>>>);

/// One port, until it is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    /// Its number.
    pub number: u16,
    ports: Ports,
}

impl Ports {
    /// A port that is free now, and that no other instance was given: two that start together would otherwise get the
    /// same one, and the health check of the first would be answered by the second. Another program may still take it
    /// before the app does; then the app ends and is started again with another one.
    pub(crate) fn free(&self) -> io::Result<Port> {
        // What is refused stays bound until we are done, so that the system gives another one.
        let mut refused = Vec::new();
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let number = listener.local_addr()?.port();
            if self.lock().insert(number) {
                return Ok(Port { number, ports: self.clone() });
            }
            refused.push(listener);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u16>> {
        // Each change is one insert or one removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.ports.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_until_it_is_given_back() {
        let ports = Ports::default();
        let held: Vec<Port> = (0..200).map(|_| ports.free().unwrap()).collect();
        let numbers: HashSet<u16> = held.iter().map(|port| port.number).collect();
        assert_eq!(numbers.len(), held.len());
        assert_eq!(ports.lock().len(), 200);
        drop(held);
        assert!(ports.lock().is_empty());
    }
}
