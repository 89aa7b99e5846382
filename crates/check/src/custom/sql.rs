//! A custom control that is a query: what it gives must be as expected. The connection only reads.

use std::{borrow::Cow, io, str::FromStr, time::Duration};

use futures_util::{Stream, StreamExt};
use seaworthy_config::SecretRef;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Row, ValueRef,
    postgres::{PgConnectOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use tokio::time::timeout;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use super::{Custom, SqlExpectation, StandIn};
use crate::{
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

/// So many rows are not counted to their end.
const MOST_ROWS: u64 = 1_000_000;

pub(super) struct SqlProbe {
    control: String,
    url: SecretRef,
    query: String,
    expect: SqlExpectation,
    must_fail: Option<String>,
    timeout: Duration,
}

/// What a query gave.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    rows: u64,
    /// The first column of the first row; `None` for NULL and for no row.
    value: Option<String>,
}

impl SqlProbe {
    pub(super) fn new(custom: &Custom) -> Option<Self> {
        let sql = custom.sql.clone()?;
        Some(Self {
            control: custom.id.clone(),
            url: sql.url,
            query: sql.query,
            expect: sql.expect,
            must_fail: custom.must_fail.as_ref().map(super::CommandLine::text),
            timeout: custom.timeout.map_or(Duration::from_secs(30), |timeout| timeout.0),
        })
    }
}

impl Probe for SqlProbe {
    fn about(&self) -> About {
        About { control: Cow::Owned(self.control.clone()), kind: ProbeKind::Live, class: SafetyClass::Passive }
    }

    fn needs_target(&self) -> bool {
        false
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(self, subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        let query = satisfying(&self.expect);
        Box::pin(async { Ok(standing_in(Some("sqlite::memory:".into()), query)) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            let query = self.must_fail.clone().ok_or_else(|| {
                io::Error::other(format!(
                    "nobody knows whether the query can fail: give `must_fail` to {}",
                    self.control
                ))
            })?;
            Ok(standing_in(None, query))
        })
    }
}

fn standing_in(url: Option<String>, query: String) -> Fixture {
    let subject = Subject { stand_in: Some(StandIn::Query { url, query }), ..Subject::default() };
    Fixture { subject, _keep: Vec::new() }
}

/// A query that gives what is expected, in a database of our own.
fn satisfying(expect: &SqlExpectation) -> String {
    match (&expect.value, expect.rows.unwrap_or_default()) {
        (Some(value), _) => format!("select '{}'", value.replace('\'', "''")),
        (None, 0) => "select 1 where 1 = 0".into(),
        (None, rows) => {
            format!("with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows}) select i from n")
        }
    }
}

async fn look(probe: &SqlProbe, subject: &Subject) -> Sighting {
    let (url, query) = match &subject.stand_in {
        Some(StandIn::Query { url, query }) => (url.clone(), query),
        _ => (None, &probe.query),
    };
    let url = match (url, probe.url.resolve()) {
        (Some(url), _) => url,
        (None, Ok(url)) => url.expose().to_owned(),
        (None, Err(error)) => return Sighting::not_tried(format!("the address of the database: {error}")),
    };
    let mut cases = Cases::plan(1);
    let given = match timeout(probe.timeout, ask(&url, query)).await {
        Ok(Ok(given)) => given,
        // What a driver says may show the address.
        Ok(Err(why)) => return cases.gave_up(why.replace(&url, "the database")),
        Err(_) => return cases.gave_up(format!("the query was not done within {} s", probe.timeout.as_secs_f64())),
    };
    subject.transcript.note(format!("{query} → {} rows", given.rows));
    if given.rows >= MOST_ROWS {
        let why = format!("the query gives {MOST_ROWS} rows or more; count them in the query itself: select count(*)");
        return cases.gave_up(why);
    }
    let (holds, wanted) = judge(&probe.expect, &given);
    // Rows may hold anything: what the value is instead is not shown.
    let seen = format!("the query gives {} rows; {wanted} is expected", given.rows);
    cases.tried(holds, seen);
    cases.sighting(format!("the query gives {wanted}"))
}

fn judge(expect: &SqlExpectation, given: &Given) -> (bool, String) {
    match (&expect.value, expect.rows) {
        (Some(wanted), _) => {
            let same =
                |value: &String| value == wanted || number(value).is_some_and(|given| Some(given) == number(wanted));
            (given.value.as_ref().is_some_and(same), format!("the value {wanted:?}"))
        }
        (None, Some(rows)) => (given.rows == rows, format!("{rows} rows")),
        (None, None) => (given.rows == 0, "no row".into()),
    }
}

/// A number as its sign, its whole digits and its digits behind the point: 7 and 7.0 are the same, and two that differ in
/// the last of twenty digits are not.
fn number(text: &str) -> Option<(bool, &str, &str)> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || digits == "." || !plain(whole) || !plain(behind) {
        return None;
    }
    let (whole, behind) = (whole.trim_start_matches('0'), behind.trim_end_matches('0'));
    Some((negative && !(whole.is_empty() && behind.is_empty()), whole, behind))
}

async fn ask(url: &str, query: &str) -> Result<Given, String> {
    match url.split(':').next() {
        Some("sqlite") => ask_sqlite(url, query).await.map_err(|error| error.to_string()),
        Some("postgres" | "postgresql") => ask_postgres(url, query).await.map_err(|error| error.to_string()),
        _ => Err("the address begins neither with sqlite: nor with postgres:".into()),
    }
}

async fn ask_sqlite(url: &str, query: &str) -> Result<Given, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?;
    // A database in memory is our own, and cannot be opened for reading alone.
    let options = if url.contains(":memory:") { options } else { options.read_only(true) };
    let mut connection = options.disable_statement_logging().connect().await?;
    let text = |row: &SqliteRow| match row.try_get_raw(0)?.is_null() {
        true => Ok(None),
        false => row.try_get_unchecked::<String, _>(0).map(Some),
    };
    let given = count(sqlx::raw_sql(AssertSqlSafe(query)).fetch(&mut connection), text).await;
    connection.close().await?;
    given
}

async fn ask_postgres(url: &str, query: &str) -> Result<Given, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?.options([("default_transaction_read_only", "on")]);
    let mut connection = options.disable_statement_logging().connect().await?;
    // The simple protocol gives every type as text.
    let text = |row: &PgRow| match row.try_get_raw(0)? {
        value if value.is_null() => Ok(None),
        value => value.as_str().map(|text| Some(text.to_owned())).map_err(sqlx::Error::Decode),
    };
    let given = count(sqlx::raw_sql(AssertSqlSafe(query)).fetch(&mut connection), text).await;
    connection.close().await?;
    given
}

async fn count<R>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
    text: impl Fn(&R) -> Result<Option<String>, sqlx::Error>,
) -> Result<Given, sqlx::Error> {
    let mut given = Given { rows: 0, value: None };
    while let Some(row) = rows.next().await {
        let row = row?;
        if given.rows == 0 {
            given.value = text(&row)?;
        }
        given.rows += 1;
        if given.rows >= MOST_ROWS {
            break;
        }
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use seaworthy_evidence::Verdict;

    use super::*;
    use crate::{custom::settings::tests::read, runner::Runner};

    async fn finding(query: &str, expect: &str, must_fail: &str) -> seaworthy_evidence::Finding {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.db");
        let made = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut made = made.connect().await.unwrap();
        sqlx::raw_sql("create table users (id integer, name text); insert into users values (1, 'ada'), (2, null)")
            .execute(&mut made)
            .await
            .unwrap();
        made.close().await.unwrap();
        let text = format!(
            "[[check.custom]]\nid = \"team.a\"\n{must_fail}\nsql = {{ url = \"sqlite:{}\", query = \"{query}\", expect = {{ {expect} }} }}\n",
            file.display()
        );
        let probe = SqlProbe::new(&read(&text).unwrap().custom[0]).unwrap();
        Runner::new(Duration::from_secs(10)).try_control(&probe, &Subject::default()).await
    }

    #[tokio::test]
    async fn rows_and_values_are_held_and_can_fail() {
        for (query, right, wrong) in [
            ("select * from users", "rows = 2", "rows = 3"),
            ("select count(*) from users", "value = \"2\"", "value = \"3\""),
            ("select name from users where id = 1", "value = \"ada\"", "none = true"),
            ("select name from users where id = 7", "none = true", "rows = 1"),
            ("select name from users where id = 2", "rows = 1", "value = \"\""),
        ] {
            let must_fail = match right {
                "none = true" => "must_fail = \"select 1\"",
                _ => "must_fail = \"select name from users where id = 9\"",
            };
            let good = finding(query, right, must_fail).await;
            assert_eq!(good.verdict, Verdict::Pass, "{query} {right}: {}", good.reason);
            let must_fail =
                if wrong == "none = true" { "must_fail = \"select 1\"" } else { "must_fail = \"select 'x' where 0\"" };
            let bad = finding(query, wrong, must_fail).await;
            assert_eq!(bad.verdict, Verdict::Fail, "{query} {wrong}: {}", bad.reason);
        }
    }

    #[test]
    fn numbers_are_compared_by_their_digits() {
        let same = |one: &str, other: &str| number(one).is_some() && number(one) == number(other);
        assert!(same("7", "7.0") && same("007.10", "7.1") && same("-0", "0") && same(".5", "0.50"));
        assert!(!same("9007199254740993", "9007199254740992"), "a floating-point number has no room for these");
        assert!(
            !same("7", "-7") && !same("1e3", "1000") && !same("", "") && !same("1.2.3", "1.2.3") && !same("-", "-")
        );
    }

    #[tokio::test]
    async fn more_rows_than_are_counted_prove_nothing() {
        let many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000001) select i from n";
        let finding = finding(many, "rows = 1000000", "must_fail = \"select 1\"").await;
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{}", finding.reason);
        assert!(finding.reason.contains("or more"), "{}", finding.reason);
    }

    #[tokio::test]
    async fn nothing_is_written_and_an_error_or_a_missing_experiment_proves_nothing() {
        let written = finding("delete from users", "none = true", "must_fail = \"select 1\"").await;
        assert_eq!(written.verdict, Verdict::Inconclusive, "{}", written.reason);
        assert!(written.reason.contains("readonly"), "{}", written.reason);
        let broken = finding("select * from nothing", "none = true", "must_fail = \"select 1\"").await;
        assert_eq!(broken.verdict, Verdict::Inconclusive);
        let alone = finding("select 1", "rows = 1", "").await;
        assert_eq!(alone.verdict, Verdict::Inconclusive);
        assert!(alone.reason.contains("must_fail"), "{}", alone.reason);
    }

    #[tokio::test]
    async fn an_address_that_is_not_known_or_leads_nowhere_says_so() {
        let with = |url: &str| {
            let text = format!(
                "[[check.custom]]\nid = \"team.a\"\nmust_fail = \"select 1\"\nsql = {{ url = \"{url}\", query = \"select 1\", expect = {{ none = true }} }}\n"
            );
            SqlProbe::new(&read(&text).unwrap().custom[0]).unwrap()
        };
        let tried = async |url: &str| {
            let finding = Runner::new(Duration::from_secs(10)).try_control(&with(url), &Subject::default()).await;
            (finding.verdict, finding.reason)
        };
        assert_eq!(tried("env:SEAWORTHY_SURELY_NOT_SET").await.0, Verdict::NotRun);
        let (verdict, reason) = tried("postgres://user:hunter22@127.0.0.1:9/db").await;
        assert_eq!(verdict, Verdict::Inconclusive);
        assert!(!reason.contains("hunter22"), "{reason}");
        assert_eq!(tried("mysql://127.0.0.1/db").await.0, Verdict::Inconclusive);
        assert_eq!(tried("sqlite:/nowhere/at/all.db").await.0, Verdict::Inconclusive);
    }
}
