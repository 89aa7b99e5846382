//! Probes that watch how often a store is asked while the app answers: what is cached, is not asked for again.

mod queries;
mod searches;

use std::{collections::HashMap, str::FromStr, time::Duration};

use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use tokio::time::timeout;

use crate::{
    http::Client,
    probe::{Probe, Sighting},
    probes::cached_responses::fresh,
    stores::Named,
    subject::Subject,
};

/// Both.
pub(super) fn all() -> Vec<Box<dyn Probe>> {
    vec![Box::new(queries::QueryResults), Box::new(searches::SearchResults)]
}

/// How often each statement was run, by its text as the database keeps it.
type Calls = HashMap<String, u64>;

/// The statements that read, of every database of the server. The same text is read from a file by the control experiment.
const STATEMENTS: &str = "select query, cast(sum(calls) as bigint) from pg_stat_statements \
     where lower(query) like 'select%' or lower(query) like 'with%' group by query";
const PATIENCE: Duration = Duration::from_secs(10);
/// More texts are not kept.
const MOST: usize = 20_000;

/// The database's counters.
struct Counters {
    url: String,
}

impl Counters {
    fn of(named: &Named) -> Result<Self, Sighting> {
        match &named.url {
            Ok(url) => Ok(Self { url: url.expose().to_owned() }),
            Err(why) => Err(Sighting::not_tried(format!("{}: {why}", named.by))),
        }
    }

    /// What was counted so far. What a driver says may show the address.
    async fn read(&self) -> Result<Calls, String> {
        let asking = async {
            match self.url.starts_with("sqlite:") {
                true => self.of_file().await,
                false => self.of_postgres().await,
            }
        };
        match timeout(PATIENCE, asking).await {
            Ok(Ok(calls)) => Ok(calls),
            Ok(Err(error)) => {
                let why = error.to_string().replace(&self.url, "the database");
                let help = "it needs the extension pg_stat_statements, and a role that may read it (pg_read_all_stats)";
                Err(format!("the database's counters cannot be read: {why}; {help}"))
            }
            Err(_) => Err(format!("the database does not tell its counters within {PATIENCE:?}")),
        }
    }

    async fn of_postgres(&self) -> Result<Calls, sqlx::Error> {
        let options = PgConnectOptions::from_str(&self.url)?.options([("default_transaction_read_only", "on")]);
        let mut connection = options.disable_statement_logging().connect().await?;
        let rows: Vec<(String, i64)> = sqlx::query_as(STATEMENTS).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(calls(rows))
    }

    async fn of_file(&self) -> Result<Calls, sqlx::Error> {
        let options = SqliteConnectOptions::from_str(&self.url)?;
        let mut connection = options.disable_statement_logging().connect().await?;
        let rows: Vec<(String, i64)> = sqlx::query_as(STATEMENTS).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(calls(rows))
    }
}

fn calls(rows: Vec<(String, i64)>) -> Calls {
    rows.into_iter().take(MOST).map(|(text, calls)| (text, calls.unsigned_abs())).collect()
}

/// Which statements were run in between, and how often; our own question left out.
fn risen(before: &Calls, after: &Calls) -> Calls {
    let grown = after.iter().filter_map(|(text, calls)| {
        let more = calls.saturating_sub(before.get(text).copied().unwrap_or(0));
        let of_the_app = !text.contains("pg_stat_statements") && text.to_lowercase().contains(" from ");
        (more > 0 && of_the_app).then(|| (text.clone(), more))
    });
    grown.collect()
}

/// A client that lists no request of a load.
fn quiet(subject: &Subject) -> Option<Client> {
    subject.client().map(|client| client.quiet())
}

/// A shortened statement, for people.
fn shown(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(80).collect()
}

/// A file with counters such as PostgreSQL keeps them, for known subjects.
struct Kept {
    folder: tempfile::TempDir,
}

impl Kept {
    async fn new() -> std::io::Result<Self> {
        let kept = Self { folder: tempfile::tempdir()? };
        let made = SqliteConnectOptions::new().filename(kept.folder.path().join("counts.db")).create_if_missing(true);
        let table = "create table pg_stat_statements (query text primary key, calls integer)";
        let made = async {
            let mut connection = made.disable_statement_logging().connect().await?;
            sqlx::raw_sql(table).execute(&mut connection).await?;
            connection.close().await
        };
        made.await.map_err(std::io::Error::other)?;
        Ok(kept)
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("counts.db").display())
    }
}

/// Counts one more run of a statement.
async fn count(url: &str, statement: &str) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::from_str(url)?.disable_statement_logging().connect().await?;
    let text = "insert into pg_stat_statements values (?, 1) on conflict (query) do update set calls = calls + 1";
    sqlx::query(text).bind(statement).execute(&mut connection).await?;
    connection.close().await
}
