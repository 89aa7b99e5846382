//! The app as the edge sees it: an address that may change while requests come in.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use seaworthy_core::UpstreamAddress;

/// Where requests go now, or nowhere while the app may not receive any.
#[derive(Debug, Default)]
pub struct Upstream {
    address: ArcSwapOption<UpstreamAddress>,
}

impl Upstream {
    /// Sends requests there from now on. Requests in flight finish where they are.
    pub fn open(&self, address: UpstreamAddress) {
        self.address.store(Some(Arc::new(address)));
    }

    /// Sends no request until [`Upstream::open`].
    pub fn close(&self) {
        self.address.store(None);
    }

    /// Where requests go now.
    pub fn address(&self) -> Option<Arc<UpstreamAddress>> {
        self.address.load_full()
    }
}
