//! What orders do to the database, and that it happens whole or not at all.

use super::{
    address::Place,
    removal::Removal,
    table::{Row, Table, TableError},
};

/// What an order does to the table.
pub(super) enum Change {
    Put(Vec<Row>),
    Remove(Removal, Option<u64>),
    Position(u64),
    Forget(Vec<Place>),
    Touch(Place),
}

impl Change {
    /// It leaves nothing of what was before it.
    pub(super) fn is_all(&self) -> bool {
        matches!(self, Self::Remove(Removal::All, _))
    }

    /// Up to where the log is in the database with it.
    pub(super) fn position(&self) -> Option<u64> {
        match self {
            Self::Remove(_, at) => *at,
            Self::Position(at) => Some(*at),
            Self::Put(_) | Self::Forget(_) | Self::Touch(_) => None,
        }
    }
}

/// Returns what each removal came to, and how many rows had to go to make room.
pub(super) async fn transact(
    table: &mut Table,
    changes: &[&Change],
    limit: u64,
) -> Result<(Vec<Option<usize>>, usize), TableError> {
    table.begin().await?;
    let done = async {
        let mut counts = Vec::with_capacity(changes.len());
        for change in changes {
            counts.push(Some(one(table, change, limit).await?));
        }
        let evicted = table.evict(limit).await?;
        table.commit().await?;
        Ok((counts, evicted))
    };
    let done = done.await;
    if done.is_err() {
        table.undo().await;
    }
    done
}

async fn one(table: &mut Table, change: &Change, limit: u64) -> Result<usize, TableError> {
    match change {
        Change::Put(rows) => {
            for row in rows.iter().filter(|row| row.size() <= limit / 2) {
                table.put(row).await?;
            }
        }
        Change::Remove(removal, at) => {
            let count = table.remove(removal).await?;
            if let Some(at) = at {
                table.set_position(*at).await?;
            }
            return Ok(count);
        }
        Change::Position(at) => table.set_position(*at).await?,
        Change::Forget(places) => {
            for place in places {
                table.forget(place).await?;
            }
        }
        Change::Touch(place) => table.touch(place).await?,
    }
    Ok(0)
}
