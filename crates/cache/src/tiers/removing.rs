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
            // Also at the end, when nobody is left to change it.
            Ok(Ok(None) | Err(_)) => Err(Left::Disk),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_is_left_to_do_is_not_done() {
        let (patience, closed) = (Duration::from_secs(5), || oneshot::channel().1);
        let alone = Removing { disk: oneshot::channel().1, told: None };
        assert_eq!(alone.done(patience).await, Err(Left::Disk));
        let (done, disk) = oneshot::channel();
        done.send(Some(1)).unwrap();
        let untold = Removing { disk, told: Some((closed(), patience)) };
        assert_eq!(untold.done(patience).await, Err(Left::OtherNodes));
    }
}
