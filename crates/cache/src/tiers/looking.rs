//! Looking for an answer where a tier may have it.

use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use tokio::task::spawn_blocking;

use super::{
    Shared,
    address::{Address, Place},
    disk::Readers,
    record::{self, Record, Saved},
    table,
};

/// The digest and the copy of so many bytes are not for the thread of a connection, where others would wait.
const LARGE: usize = 64 << 10;

/// Where bytes are read.
pub(super) enum Source<'a> {
    Disk(&'a Readers),
    Shared(&'a Shared),
}

/// What is found in a tier.
pub(super) struct FoundThere {
    pub saved: Saved,
    pub places: [Option<Place>; 2],
}

/// Why nothing could be read.
pub(super) enum Trouble {
    Failed,
    Damaged,
    /// What is at the place is no record, or another address's.
    NoRecord(Place),
}

impl Source<'_> {
    async fn read(&self, place: &Place) -> Result<Option<Bytes>, Trouble> {
        match self {
            Self::Disk(readers) => readers.read(place).await.map_err(|error| match table::is_damage(&error) {
                true => Trouble::Damaged,
                false => Trouble::Failed,
            }),
            Self::Shared(shared) => shared.read(place).await.map_err(|_| Trouble::Failed),
        }
    }

    async fn record(&self, place: &Place, address: &Address) -> Result<Option<Record>, Trouble> {
        let Some(bytes) = self.read(place).await? else { return Ok(None) };
        let now = (Instant::now(), SystemTime::now());
        let record = if bytes.len() < LARGE {
            record::read(&bytes, address, now)
        } else {
            let address = address.clone();
            // It ends early with the process alone.
            spawn_blocking(move || record::read(&bytes, &address, now)).await.map_err(|_| Trouble::Failed)?
        };
        record.map(Some).ok_or(Trouble::NoRecord(*place))
    }
}

/// An answer of use to this request: at its own place, or at the place of its variant.
pub(super) async fn find(
    source: &Source<'_>,
    address: &Address,
    request: &HeaderMap,
) -> Result<Option<FoundThere>, Trouble> {
    let place = address.place();
    let (saved, places) = match source.record(&place, address).await? {
        None => return Ok(None),
        Some(Record::Answer(saved)) => (saved, [Some(place), None]),
        Some(Record::Varies(names)) => {
            let variant = address.variant_of(&names, request);
            match source.record(&variant, address).await? {
                Some(Record::Answer(saved)) => (saved, [Some(place), Some(variant)]),
                _ => return Ok(None),
            }
        }
    };
    let of_use = saved.stored.matches(request) && !saved.stored.useful_for(Instant::now()).is_zero();
    Ok(of_use.then_some(FoundThere { saved: *saved, places }))
}
