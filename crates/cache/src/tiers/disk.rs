//! Looking an answer up on the disk: connections that only read, beside the one that writes.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Mutex;

use super::{
    address::Place,
    table::{self, TableError},
};

/// So many look at once; a look takes some tens of microseconds.
const READERS: usize = 3;

/// The connections.
pub(super) struct Readers {
    connections: Vec<Mutex<Option<SqliteConnection>>>,
    turn: AtomicUsize,
    /// Of which database, for another one may stand in its place by now.
    pub(super) generation: u64,
}

impl Readers {
    /// Opens them; the database is there already.
    ///
    /// # Errors
    /// What keeps the file from being read.
    pub(super) async fn open(path: &Path, generation: u64) -> Result<Self, TableError> {
        let mut connections = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            connections.push(Mutex::new(Some(table::open_reader(path).await?)));
        }
        Ok(Self { connections, turn: AtomicUsize::new(0), generation })
    }

    /// The bytes at a place.
    ///
    /// # Errors
    /// Those of the disk, or of a damaged file.
    pub(super) async fn read(&self, place: &Place) -> Result<Option<Bytes>, sqlx::Error> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        match &mut *self.connections[turn].lock().await {
            Some(connection) => table::read(connection, place).await,
            None => Ok(None),
        }
    }

    /// Closes them, so that whoever writes can close the database well.
    pub(super) async fn close(&self) {
        for connection in &self.connections {
            if let Some(connection) = connection.lock().await.take() {
                // What only reads leaves nothing behind.
                let _ = connection.close().await;
            }
        }
    }
}
