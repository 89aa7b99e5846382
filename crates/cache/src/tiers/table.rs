//! The database of the disk tier: a row for each answer, its tags, and its bytes apart, so that a mark of use writes little.
//!
//! What a crash of the process leaves is whole (WAL), and has every removal that was committed. A crash of the machine may
//! lose the last commits, and a removal among them, so that after one all is forgotten.

mod opening;
mod removing;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use opening::{fact, options};
use sqlx::{ConnectOptions, Connection, Row as _, SqliteConnection, sqlite::SqliteRow};
use thiserror::Error;

use super::{address::Place, files::discard};

/// Beside its bytes a row takes so much, roughly.
const ROW: usize = 400;
/// So many expired rows are removed at once.
const SWEEP: i64 = 500;
/// What is wrong with the database.
#[derive(Debug, Error)]
pub(crate) enum TableError {
    /// Another process has it; it may end soon.
    #[error("another process uses it")]
    Busy,
    /// Its folder, file or lock.
    #[error("{0}")]
    File(#[from] io::Error),
    /// SQLite's own words.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// A file that is no cache of ours: it may be somebody's data.
    #[error(
        "the file there is not a cache of Seaworthy, and is left as it is: name another cache.disk_path, or move it away"
    )]
    NotOurs,
    /// Of another release.
    #[error("it has layout {0}, and this release knows 1")]
    Layout(i64),
}

impl TableError {
    /// Whether the file itself is to blame, so that it is of no use (SQLITE_CORRUPT, SQLITE_NOTADB), or no longer.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Database(error) => is_damage(error),
            Self::Layout(_) => true,
            Self::Busy | Self::NotOurs | Self::File(_) => false,
        }
    }
}

/// The same of SQLite's word.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| matches!(code & 0xff, 11 | 26))
}

/// What is written of one answer.
pub(crate) struct Row {
    pub place: Place,
    pub site: Vec<u8>,
    pub target: Vec<u8>,
    /// Only word by which headers answers vary.
    pub varies: bool,
    pub tags: Vec<u64>,
    /// How long it is of use.
    pub ttl: Duration,
    pub record: Bytes,
}

impl Row {
    /// Bytes on the disk, roughly: what is long takes whole pages.
    pub(crate) fn size(&self) -> u64 {
        let record =
            if self.record.len() > 4_000 { self.record.len().next_multiple_of(4_096) } else { self.record.len() };
        (record + 2 * (self.site.len() + self.target.len()) + ROW + 64 * self.tags.len()) as u64
    }
}

/// The open database, for the one who writes.
pub(crate) struct Table {
    connection: SqliteConnection,
    path: PathBuf,
    /// Held as long as it is open.
    lock: File,
    bytes: u64,
    /// Bytes when the transaction began.
    before: u64,
    /// The last mark of use: a count, for clocks may go back.
    used: i64,
}

impl Table {
    async fn count(&mut self) -> Result<(), TableError> {
        let query = sqlx::query("SELECT COALESCE(SUM(size), 0), COALESCE(MAX(used), 0) FROM answers");
        let row = query.fetch_one(&mut self.connection).await?;
        self.bytes = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        self.used = row.try_get(1)?;
        Ok(())
    }

    /// What its rows take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) async fn begin(&mut self) -> Result<(), TableError> {
        self.before = self.bytes;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await?;
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> Result<(), TableError> {
        sqlx::query("COMMIT").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Back to what is on the disk.
    pub(crate) async fn undo(&mut self) {
        // SQLite has rolled back by itself where it could not go on.
        let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
        self.bytes = self.before;
    }

    /// Writes a row in place of the one that was there.
    pub(crate) async fn put(&mut self, row: &Row) -> Result<(), TableError> {
        self.forget(&row.place).await?;
        self.used += 1;
        let size = row.size();
        let insert = sqlx::query(
            "INSERT INTO answers (place, site, target, varies, size, used, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
        );
        let insert = insert
            .bind(&row.place[..])
            .bind(&row.site)
            .bind(&row.target)
            .bind(row.varies)
            .bind(i64::try_from(size).unwrap_or(i64::MAX))
            .bind(self.used)
            .bind(now().saturating_add(i64::try_from(row.ttl.as_secs()).unwrap_or(i64::MAX)));
        let number = insert.execute(&mut self.connection).await?.last_insert_rowid();
        let insert =
            sqlx::query("INSERT INTO records (answer, bytes) VALUES (?, ?)").bind(number).bind(&row.record[..]);
        insert.execute(&mut self.connection).await?;
        for tag in &row.tags {
            let insert = sqlx::query("INSERT OR IGNORE INTO tags (tag, answer) VALUES (?, ?)");
            insert.bind(tag.cast_signed()).bind(number).execute(&mut self.connection).await?;
        }
        self.bytes += size;
        Ok(())
    }

    /// Marks a row as used just now.
    pub(crate) async fn touch(&mut self, place: &Place) -> Result<(), TableError> {
        self.used += 1;
        let update = sqlx::query("UPDATE answers SET used = ? WHERE place = ?").bind(self.used).bind(&place[..]);
        update.execute(&mut self.connection).await?;
        Ok(())
    }

    /// Takes out what is at a place.
    pub(crate) async fn forget(&mut self, place: &Place) -> Result<(), TableError> {
        let delete = sqlx::query("DELETE FROM answers WHERE place = ? RETURNING size, varies").bind(&place[..]);
        let gone = delete.fetch_all(&mut self.connection).await?;
        self.gone(&gone).map(drop)
    }

    /// How many answers are there.
    pub(crate) async fn answers(&mut self) -> Result<usize, TableError> {
        let query = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM answers WHERE NOT varies");
        Ok(usize::try_from(query.fetch_one(&mut self.connection).await?).unwrap_or_default())
    }

    /// Takes out everything.
    pub(crate) async fn clear(&mut self) -> Result<usize, TableError> {
        let count = self.answers().await?;
        // The bytes first: what refers to nothing else is dropped whole.
        for delete in ["DELETE FROM records", "DELETE FROM tags", "DELETE FROM answers"] {
            sqlx::query(delete).execute(&mut self.connection).await?;
        }
        self.bytes = 0;
        Ok(count)
    }

    /// Takes out what was not used for the longest time, until the limit holds; returns how many went.
    pub(crate) async fn evict(&mut self, limit: u64) -> Result<usize, TableError> {
        let mut count = 0;
        while self.bytes > limit {
            let oldest = sqlx::query("SELECT number, size FROM answers ORDER BY used LIMIT 64");
            let (mut numbers, mut freed) = (Vec::new(), 0);
            for row in oldest.fetch_all(&mut self.connection).await? {
                if self.bytes.saturating_sub(freed) <= limit {
                    break;
                }
                numbers.push(row.try_get::<i64, _>(0)?);
                freed += u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
            }
            if numbers.is_empty() {
                // The count was wrong; nothing is left that could go.
                self.bytes = 0;
            }
            for number in numbers {
                let delete = sqlx::query("DELETE FROM answers WHERE number = ? RETURNING size, varies").bind(number);
                let gone = delete.fetch_all(&mut self.connection).await?;
                self.gone(&gone)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Takes out some of what is of no use any more, and gives free pages back to the disk.
    pub(crate) async fn sweep(&mut self) -> Result<(), TableError> {
        let delete = sqlx::query(
            "DELETE FROM answers WHERE number IN (SELECT number FROM answers WHERE expires <= ? LIMIT ?) RETURNING size, varies",
        );
        let gone = delete.bind(now()).bind(SWEEP).fetch_all(&mut self.connection).await?;
        self.gone(&gone)?;
        sqlx::query("PRAGMA incremental_vacuum(2000)").execute(&mut self.connection).await?;
        Ok(())
    }

    fn gone(&mut self, rows: &[SqliteRow]) -> Result<usize, TableError> {
        let mut answers = 0;
        for row in rows {
            let size = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
            self.bytes = self.bytes.saturating_sub(size);
            answers += usize::from(!row.try_get::<bool, _>(1)?);
        }
        Ok(answers)
    }

    /// Up to where the log of removals is in here.
    pub(crate) async fn position(&mut self) -> Result<Option<u64>, TableError> {
        let position = fact(&mut self.connection, "position").await?;
        Ok(position.and_then(|bytes| bytes[..].try_into().ok()).map(u64::from_le_bytes))
    }

    pub(crate) async fn set_position(&mut self, position: u64) -> Result<(), TableError> {
        self.set_fact("position", &position.to_le_bytes()).await
    }

    async fn set_fact(&mut self, name: &'static str, value: &[u8]) -> Result<(), TableError> {
        let query = sqlx::query("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)").bind(name).bind(value);
        query.execute(&mut self.connection).await?;
        Ok(())
    }

    /// Says that nothing is missing, and closes.
    pub(crate) async fn close(mut self) {
        if let Err(error) = self.set_fact("closed", b"1").await {
            tracing::warn!(%error, "the disk cache could not be closed well, and may be empty after a start");
        }
        let _ = self.connection.close().await;
    }

    /// Closes it and removes its files; with `keep` the damaged one stays beside it, for whoever wants to know.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub(crate) async fn discard(self, keep: bool) -> io::Result<()> {
        let Self { connection, path, lock, .. } = self;
        let _ = connection.close_hard().await;
        let discarded = discard(&path, keep);
        drop(lock);
        discarded
    }

    /// As if the machine had gone down since.
    #[cfg(test)]
    pub(crate) async fn pretend_another_boot(&mut self) {
        self.set_fact("boot", b"another").await.unwrap();
    }

    /// As if the disk had room for so many more pages of 4 KiB.
    #[cfg(test)]
    pub(crate) async fn leave_room(&mut self, pages: i64) {
        let count: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut self.connection).await.unwrap();
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", count + pages));
        sqlx::query(limit).execute(&mut self.connection).await.unwrap();
    }
}

/// Opens a connection that only reads.
pub(crate) async fn open_reader(path: &Path) -> Result<SqliteConnection, TableError> {
    Ok(options(path).read_only(true).connect().await?)
}

/// The bytes at a place.
pub(crate) async fn read(connection: &mut SqliteConnection, place: &Place) -> Result<Option<Bytes>, sqlx::Error> {
    let query = sqlx::query_scalar::<_, Vec<u8>>(
        "SELECT bytes FROM records WHERE answer = (SELECT number FROM answers WHERE place = ?)",
    );
    Ok(query.bind(&place[..]).fetch_optional(connection).await?.map(Bytes::from))
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
