//! An answer as the rows that are written of it, on the disk and for other nodes.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{Inner, address::Address, changes::Change, record, table::Row};
use crate::{fill::Through, key::Key, stored::Stored};

/// What is of use for a shorter time is not written down.
const WORTH: Duration = Duration::from_secs(2);
/// Word of how answers vary is kept for so long at least: other answers need it too.
const VARIES_FOR: Duration = Duration::from_secs(86_400);

/// An answer to write down.
pub(super) struct Write {
    pub key: Key,
    pub through: Through,
    pub stored: Arc<Stored>,
    /// What it counts in the queue.
    pub size: usize,
}

impl Inner {
    /// The rows of an answer; other nodes get the same bytes.
    pub(super) fn rows(&self, write: Write) -> Change {
        self.queue.leave(write.size);
        let now = Instant::now();
        let ttl = write.stored.useful_for(now);
        if ttl < WORTH {
            return Change::Put(Vec::new());
        }
        let address = Address::of(&write.key, &write.through.policy);
        let bytes = record::of_answer(&address, &write.stored, write.through.since, (now, SystemTime::now()));
        let row = |place, varies, ttl, record: Vec<u8>| Row {
            place,
            site: address.site().to_vec(),
            target: address.target().to_vec(),
            varies,
            tags: if varies { Vec::new() } else { write.stored.tags.clone() },
            ttl,
            record: record.into(),
        };
        let vary = &write.stored.vary;
        let rows = if vary.is_empty() {
            vec![row(address.place(), false, ttl, bytes)]
        } else {
            let names = record::of_varies(&address, vary.iter().map(|(name, _)| name));
            let place = address.variant(vary.iter().map(|(name, had)| (name, had.clone())));
            vec![row(address.place(), true, ttl.max(VARIES_FOR), names), row(place, false, ttl, bytes)]
        };
        if !write.through.from_shared {
            self.write_shared(&rows, write.through.since);
        }
        Change::Put(rows)
    }
}
