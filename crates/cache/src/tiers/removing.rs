//! Waiting for a removal, and what is said when it did not reach everything.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

use super::shared::was_told;

/// A removal on its way.
pub(crate) struct Removing {
    pub(super) disk: oneshot::Receiver<Option<usize>>,
    pub(super) told: Option<(oneshot::Receiver<bool>, Duration)>,
}

/// What a removal did not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Disk,
    DiskIsSlow,
    OtherNodes,
}

impl Left {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Disk => "the disk cache could not be changed, and may give them after a restart",
            Self::DiskIsSlow => "the disk cache was too slow to say that they are gone from it",
            Self::OtherNodes => {
                "other nodes could not be told, because the store does not answer; they are when it does"
            }
        }
    }
}

impl Removing {
    /// How many answers went from the disk, when that is done and other nodes are told.
    pub(crate) async fn done(self, patience: Duration) -> Result<usize, Left> {
        let disk = match timeout(patience, self.disk).await {
            Ok(Ok(Some(count))) => Ok(count),
            Ok(Ok(None)) => Err(Left::Disk),
            // The end: nobody asks any more.
            Ok(Err(_)) => Ok(0),
            Err(_) => Err(Left::DiskIsSlow),
        };
        match self.told {
            Some((told, _)) => {
                if was_told(told, patience).await {
                    disk
                } else {
                    disk.and(Err(Left::OtherNodes))
                }
            }
            None => disk,
        }
    }

    /// The same for a request, which waits for the store no longer than any other does.
    pub(crate) async fn soon(mut self, patience: Duration) -> Result<usize, Left> {
        let told = self.told.take();
        let disk = self.done(patience).await;
        if let Some((told, store_patience)) = told {
            // Who is not told now is told later on.
            was_told(told, store_patience).await;
        }
        disk
    }
}
