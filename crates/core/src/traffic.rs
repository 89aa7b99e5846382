//! Where requests may go: the seam between `deploy`, which runs and watches instances, and `edge`, which sends them
//! requests.

use crate::UpstreamAddress;

/// The instances that may receive requests. An address names one running instance: after a restart it has another.
pub trait Traffic: Send + Sync + 'static {
    /// Requests may go to this instance (`app-1`) from now on.
    fn open(&self, instance: &str, address: UpstreamAddress);

    /// No new request goes there. Those in flight finish; unknown addresses are ignored.
    fn close(&self, address: &UpstreamAddress);

    /// What the health check says. An instance that is not well gets requests only when no other one is.
    fn set_well(&self, address: &UpstreamAddress, well: bool);

    /// Requests that the instance is answering now, over all cores; 0 for an unknown address.
    fn in_flight(&self, address: &UpstreamAddress) -> usize;
}
