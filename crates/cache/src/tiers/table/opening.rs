//! Opening the database: whose it is, whether every removal is in it, and making a new one.

use std::{fs, path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteSynchronous},
};

use super::{
    super::files::{self, Whose, discard, lock, make_private, whose},
    Table, TableError,
};

/// `PRAGMA user_version` of this layout.
const LAYOUT: i64 = 1;
/// Changes with every start of the machine.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Whole, or not at all: it may be interrupted. Before there is a WAL, so that the mark by which the file is known as ours
/// is in the file itself.
const CREATE: &str = "
BEGIN IMMEDIATE;
CREATE TABLE answers (
    number INTEGER PRIMARY KEY,
    place BLOB NOT NULL UNIQUE,
    site BLOB NOT NULL,
    target BLOB NOT NULL,
    varies INTEGER NOT NULL,
    size INTEGER NOT NULL,
    used INTEGER NOT NULL,
    expires INTEGER NOT NULL
);
CREATE INDEX answers_target ON answers (target, site);
CREATE INDEX answers_used ON answers (used);
CREATE INDEX answers_expires ON answers (expires);
CREATE TABLE records (answer INTEGER PRIMARY KEY REFERENCES answers ON DELETE CASCADE, bytes BLOB NOT NULL);
CREATE TABLE tags (
    tag INTEGER NOT NULL,
    answer INTEGER NOT NULL REFERENCES answers ON DELETE CASCADE,
    PRIMARY KEY (tag, answer)
) WITHOUT ROWID;
CREATE INDEX tags_answer ON tags (answer);
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
PRAGMA application_id = 1400337529;
PRAGMA user_version = 1;
COMMIT";

impl Table {
    /// Opens the file, and makes it where there is none. With `empty`, or where removals may be missing in it, what is there
    /// goes: the file itself, for to remove its rows would write all of it once more.
    pub(crate) async fn open(path: &Path, empty: bool) -> Result<Self, TableError> {
        let before = whose(path)?;
        if before == Whose::Anothers {
            return Err(TableError::NotOurs);
        }
        make_private(path)?;
        let lock = lock(path)?;
        let marked = files::is_marked(path);
        let mut connection = open_writer(path).await?;
        if before == Whose::Ours && (empty || marked || lacks_removals(&mut connection).await?) {
            // Nothing of it is needed.
            let _ = connection.close_hard().await;
            discard(path, false)?;
            make_private(path)?;
            connection = open_writer(path).await?;
        }
        let mut table = Self { connection, path: path.to_owned(), lock, bytes: 0, before: 0, used: 0 };
        table.note_boot().await?;
        table.count().await?;
        if marked {
            files::unmark(path)?;
        }
        Ok(table)
    }

    /// In use from now on, and not closed well. That is on the disk before anything else is: else a fall of the machine
    /// would leave word of the earlier close, beside answers that were removed since.
    async fn note_boot(&mut self) -> Result<(), TableError> {
        sqlx::query("PRAGMA synchronous = FULL").execute(&mut self.connection).await?;
        self.begin().await?;
        self.set_fact("boot", &boot()).await?;
        sqlx::query("DELETE FROM facts WHERE name = 'closed'").execute(&mut self.connection).await?;
        self.commit().await?;
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut self.connection).await?;
        Ok(())
    }
}

/// Opens the connection that writes, and makes what is missing.
async fn open_writer(path: &Path) -> Result<SqliteConnection, TableError> {
    let options = options(path)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("journal_size_limit", "16777216");
    let mut connection = options.connect().await?;
    let layout: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await?;
    match layout {
        0 => {
            sqlx::raw_sql(CREATE).execute(&mut connection).await?;
        }
        LAYOUT => {}
        other => return Err(TableError::Layout(other)),
    }
    sqlx::query("PRAGMA journal_mode = WAL").execute(&mut connection).await?;
    Ok(connection)
}

/// A machine that went down without warning may have lost removals.
async fn lacks_removals(connection: &mut SqliteConnection) -> Result<bool, TableError> {
    let boot = boot();
    let same = fact(connection, "boot").await?.is_some_and(|known| known == boot && !boot.is_empty());
    Ok(!same && fact(connection, "closed").await?.is_none())
}

fn boot() -> Vec<u8> {
    fs::read(BOOT).unwrap_or_default()
}

pub(super) async fn fact(connection: &mut SqliteConnection, name: &'static str) -> Result<Option<Vec<u8>>, TableError> {
    let query = sqlx::query_scalar("SELECT value FROM facts WHERE name = ?").bind(name);
    Ok(query.fetch_optional(connection).await?)
}

/// Of every connection.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(2)).disable_statement_logging()
}
