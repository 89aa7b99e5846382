//! What tests see of the tiers, and do to them.

use tokio::sync::oneshot;

use super::{Order, Tiers};

impl Tiers {
    pub(crate) async fn flush(&self) {
        let (done, told) = oneshot::channel();
        self.0.tell(Order::Flush(done));
        told.await.unwrap();
    }

    /// A reader of that database found damage.
    pub(crate) fn found_damage(&self, generation: u64) {
        self.0.tell(Order::Damaged(generation));
    }

    /// The disk takes nothing until the other end is dropped.
    pub(crate) fn hold(&self) -> oneshot::Sender<()> {
        let (held, until) = oneshot::channel();
        self.0.tell(Order::Hold(until));
        held
    }

    pub(crate) fn leave_room(&self, pages: i64) {
        self.0.tell(Order::LeaveRoom(pages));
    }
}
