//! The database: one row for each key.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};

use super::{
    key::{KeyId, Owner},
    settings::StoreSettings,
    stored::{Answer, Kept, Record},
};

/// `state` of a row.
const BEGUN: i64 = 0;
const KEPT: i64 = 1;
const NOT_KEPT: i64 = 2;
/// `PRAGMA user_version` of this layout.
const LAYOUT: i64 = 1;
/// So many expired rows are removed in one transaction.
const SWEEP: usize = 2_000;

const CREATE: &str = "CREATE TABLE keys (
    id BLOB NOT NULL PRIMARY KEY,
    owner BLOB NOT NULL,
    state INTEGER NOT NULL,
    fingerprint BLOB,
    status INTEGER,
    head BLOB,
    body BLOB,
    size INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    expires INTEGER NOT NULL
)";

/// What is wrong with the store.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct TableError(String);

impl TableError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<sqlx::Error> for TableError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

/// What a claim finds.
pub(super) enum Claimed {
    New,
    Known(Record),
    Full,
    OwnerFull,
}

/// The open database, and what it holds.
pub(super) struct Table {
    connection: SqliteConnection,
    limits: StoreSettings,
    owners: HashMap<Owner, u64>,
    keys: u64,
    bytes: u64,
    /// Keys and bytes when the transaction began.
    before: (u64, u64),
    /// Whose keys came (true) and went in it.
    changes: Vec<(Owner, bool)>,
}

impl Table {
    /// Opens the file, and makes it where there is none.
    pub(super) async fn open(settings: &StoreSettings) -> Result<Self, TableError> {
        make_private(&settings.path).map_err(|error| TableError::new(error.to_string()))?;
        let options = SqliteConnectOptions::new()
            .filename(&settings.path)
            .journal_mode(SqliteJournalMode::Wal)
            // Also a machine that loses its power keeps what was acknowledged.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        let layout: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await?;
        match layout {
            0 => {
                sqlx::query(CREATE).execute(&mut connection).await?;
                sqlx::query("CREATE INDEX keys_expire ON keys (expires)").execute(&mut connection).await?;
                sqlx::query("PRAGMA user_version = 1").execute(&mut connection).await?;
            }
            LAYOUT => {}
            other => return Err(TableError::new(format!("it has layout {other}, and this release knows {LAYOUT}"))),
        }
        let mut table = Self {
            connection,
            limits: settings.clone(),
            owners: HashMap::new(),
            keys: 0,
            bytes: 0,
            before: (0, 0),
            changes: Vec::new(),
        };
        table.count().await?;
        Ok(table)
    }

    /// What is there, by its own word.
    async fn count(&mut self) -> Result<(), TableError> {
        let query = sqlx::query("SELECT owner, COUNT(*), SUM(size) FROM keys GROUP BY owner");
        for row in query.fetch_all(&mut self.connection).await? {
            let (keys, bytes) = (row.try_get::<i64, _>(1)?, row.try_get::<i64, _>(2)?);
            let keys = u64::try_from(keys).unwrap_or_default();
            self.owners.insert(fixed(&row, 0)?, keys);
            self.keys += keys;
            self.bytes += u64::try_from(bytes).unwrap_or_default();
        }
        Ok(())
    }

    pub(super) async fn begin(&mut self) -> Result<(), TableError> {
        (self.before, self.changes) = ((self.keys, self.bytes), Vec::new());
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await?;
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), TableError> {
        sqlx::query("COMMIT").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Back to what is on the disk.
    pub(super) async fn undo(&mut self) {
        // SQLite has rolled back by itself where it could not go on.
        let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
        (self.keys, self.bytes) = self.before;
        for (owner, came) in std::mem::take(&mut self.changes) {
            self.count_owner(owner, !came);
        }
    }

    fn count_owner(&mut self, owner: Owner, came: bool) {
        let count = self.owners.entry(owner).or_default();
        *count = if came { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.owners.remove(&owner);
        }
    }

    /// Writes down that a request begins, unless one with this key did.
    pub(super) async fn claim(&mut self, id: &KeyId, owner: &Owner, ttl: Duration) -> Result<Claimed, TableError> {
        let now = now();
        let query = sqlx::query("SELECT state, fingerprint, status, head, body, expires FROM keys WHERE id = ?");
        let known = query.bind(id.to_vec()).fetch_optional(&mut self.connection).await?;
        if let Some(row) = known {
            if row.try_get::<i64, _>(5)? > now {
                return Ok(Claimed::Known(record(&row)?));
            }
            self.release(id).await?;
        }
        if self.keys >= self.limits.keys {
            self.remove_expired(now).await?;
        }
        if self.keys >= self.limits.keys {
            return Ok(Claimed::Full);
        }
        if self.owners.get(owner).copied().unwrap_or_default() >= self.limits.keys_per_client {
            return Ok(Claimed::OwnerFull);
        }
        let insert = sqlx::query("INSERT INTO keys (id, owner, state, size, begun, expires) VALUES (?, ?, ?, 0, ?, ?)");
        let expires = now.saturating_add(micros(ttl));
        let insert = insert.bind(id.to_vec()).bind(owner.to_vec()).bind(BEGUN).bind(now).bind(expires);
        insert.execute(&mut self.connection).await?;
        self.keys += 1;
        self.count_owner(*owner, true);
        self.changes.push((*owner, true));
        Ok(Claimed::New)
    }

    /// Writes down what was answered.
    pub(super) async fn finish(&mut self, id: &KeyId, record: &Record) -> Result<(), TableError> {
        let kept = match &record.answer {
            Answer::Kept(kept) if self.bytes.saturating_add(kept.size()) <= self.limits.size.0 => Some(kept),
            Answer::Kept(_) => {
                tracing::warn!("api.idempotency_store.size is reached: answers are not kept");
                None
            }
            Answer::Unknown | Answer::NotKept => None,
        };
        let size = kept.map_or(0, Kept::size);
        let update = sqlx::query(
            "UPDATE keys SET state = ?, fingerprint = ?, status = ?, head = ?, body = ?, size = ? WHERE id = ?",
        );
        let update = update
            .bind(if kept.is_some() { KEPT } else { NOT_KEPT })
            .bind(record.fingerprint.map(|hash| hash.to_vec()))
            .bind(kept.map(|kept| i64::from(kept.status)))
            .bind(kept.map(|kept| kept.head.clone()))
            .bind(kept.map(|kept| kept.body.to_vec()))
            .bind(i64::try_from(size).unwrap_or(i64::MAX))
            .bind(id.to_vec());
        // A key that expired while its request ran is gone already.
        if update.execute(&mut self.connection).await?.rows_affected() > 0 {
            self.bytes += size;
        }
        Ok(())
    }

    /// Forgets a key.
    pub(super) async fn release(&mut self, id: &KeyId) -> Result<(), TableError> {
        let delete = sqlx::query("DELETE FROM keys WHERE id = ? RETURNING owner, size").bind(id.to_vec());
        let gone = delete.fetch_all(&mut self.connection).await?;
        self.forget(&gone)
    }

    /// Removes what has expired, or some of it: then there is more.
    pub(super) async fn sweep(&mut self) -> Result<bool, TableError> {
        // In a transaction of its own, so nothing of it is undone.
        let swept = self.remove_expired(now()).await;
        self.changes.clear();
        swept
    }

    async fn remove_expired(&mut self, now: i64) -> Result<bool, TableError> {
        let delete = sqlx::query(
            "DELETE FROM keys WHERE id IN (SELECT id FROM keys WHERE expires <= ? LIMIT ?) RETURNING owner, size",
        );
        let gone = delete.bind(now).bind(SWEEP as i64).fetch_all(&mut self.connection).await?;
        self.forget(&gone)?;
        Ok(gone.len() >= SWEEP)
    }

    fn forget(&mut self, gone: &[SqliteRow]) -> Result<(), TableError> {
        for row in gone {
            let owner: Owner = fixed(row, 0)?;
            self.keys = self.keys.saturating_sub(1);
            let size = u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
            self.bytes = self.bytes.saturating_sub(size);
            self.count_owner(owner, false);
            self.changes.push((owner, false));
        }
        Ok(())
    }

    /// As if the disk had room for so many more pages of 4 KiB.
    #[cfg(test)]
    pub(super) async fn leave_room(&mut self, pages: i64) {
        let count: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut self.connection).await.unwrap();
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", count + pages));
        sqlx::query(limit).execute(&mut self.connection).await.unwrap();
    }

    /// Keys, clients and bytes.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (u64, usize, u64) {
        (self.keys, self.owners.len(), self.bytes)
    }

    pub(super) async fn close(self) {
        // Everything that was told to anybody is on the disk already.
        let _ = self.connection.close().await;
    }
}

fn record(row: &SqliteRow) -> Result<Record, TableError> {
    let fingerprint = match row.try_get::<Option<&[u8]>, _>(1)? {
        Some(_) => Some(fixed(row, 1)?),
        None => None,
    };
    let answer = match row.try_get::<i64, _>(0)? {
        KEPT => Answer::Kept(Kept {
            status: u16::try_from(row.try_get::<i64, _>(2)?).unwrap_or_default(),
            head: row.try_get(3)?,
            body: row.try_get::<Vec<u8>, _>(4)?.into(),
        }),
        NOT_KEPT => Answer::NotKept,
        _ => Answer::Unknown,
    };
    Ok(Record { fingerprint, answer })
}

fn fixed<const N: usize>(row: &SqliteRow, column: usize) -> Result<[u8; N], TableError> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| TableError::new("a row is damaged"))
}

/// Microseconds since 1970.
fn now() -> i64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// The file, for its owner alone; SQLite gives its other files the same permissions.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}
