//! `protection.sql-injection`: what users send never becomes a part of a statement.
//!
//! The code: no statement is glued from strings where a value stands. The running app: each value that anybody may send in
//! the address of a GET route is sent with quotes, conditions and pauses in it. A condition that is true must not make
//! another difference than one that is false, a pause must not be made, and no database may complain in the answer.
//! Only conditions that narrow a statement (`and`) are sent: one that widened it could do harm where a GET writes.

use std::{
    io,
    time::{Duration, Instant},
};

use seaworthy_code::glued_sql;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use seaworthy_repository::Stop;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, sqlite::SqliteConnectOptions};

use super::{
    super::reading::{opening, waivers},
    payloads::{Tried, try_one},
};
use crate::{
    fixture::{self, ServerOptions, reply},
    http::Client,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(in crate::probes) struct SqlInjection;

const CONTROL: &str = "protection.sql-injection";
/// The running app is tried so long; what is left then is said to be.
const LONGEST: Duration = Duration::from_secs(40);

impl Probe for SqlInjection {
    fn about(&self) -> About {
        About { control: CONTROL.into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn alone(&self) -> bool {
        // It measures time.
        true
    }

    fn needs_target(&self) -> bool {
        // The code alone can show that it is broken.
        false
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { shop(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: the search is put between two quotes. The source that goes with it shows nothing of that.
        Box::pin(async { shop(false) })
    }
}

/// A search over a real database; `binds`: its values are bound.
fn shop(binds: bool) -> io::Result<Fixture> {
    const DESCRIPTION: &str = r#"{"openapi":"3.1.0","paths":{"/items":{"get":{"parameters":[
        {"name":"name","in":"query","required":true,"example":"tea","schema":{"type":"string"}}]}}}}"#;
    let source = fixture::folder(&[(
        "app.py",
        "def items(db, name):\n    return db.execute(\"select name from items where name = ?\", (name,))\n",
    )])?;
    let answering: fixture::Answering = std::sync::Arc::new(move |request| {
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        Box::pin(async move {
            match path.as_str() {
                "/" => reply(200, &[], "shop"),
                "/openapi.json" => reply(200, &[], DESCRIPTION),
                "/items" => match names(&super::decoded(query.trim_start_matches("name=")), binds).await {
                    Ok(names) => reply(200, &[], format!("{names:?}")),
                    Err(_) => reply(500, &[], "something went wrong"),
                },
                _ => reply(404, &[], ""),
            }
        })
    });
    let server = fixture::Server::start(answering, ServerOptions::default())?;
    let subject = Subject { url: Some(server.address.clone()), ..source.subject.clone() };
    Ok(Fixture { subject, ..source }.keep(server))
}

async fn names(name: &str, binds: bool) -> Result<Vec<String>, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().in_memory(true).disable_statement_logging().connect().await?;
    sqlx::raw_sql("create table items (name text); insert into items values ('tea'), ('soap')")
        .execute(&mut connection)
        .await?;
    let rows = match binds {
        true => sqlx::query("select name from items where name = ?").bind(name).fetch_all(&mut connection).await?,
        false => {
            let glued = format!("select name from items where name = '{name}'");
            sqlx::query(AssertSqlSafe(glued)).fetch_all(&mut connection).await?
        }
    };
    connection.close().await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

async fn look(subject: &Subject) -> Sighting {
    if subject.url.is_none() && subject.repo.is_none() {
        return Sighting::not_tried("name the app's address with --url and its source with --repo");
    }
    let mut cases = Cases::plan(0);
    let read = read(subject, &mut cases).await;
    let asked = match subject.client() {
        None => {
            cases.told_nothing("the running app was not tried: name its address with --url");
            String::new()
        }
        Some(client) if !cases.is_broken() => run(subject, &client, &mut cases).await,
        Some(_) => String::new(),
    };
    cases.sighting(format!("{read}; {asked}"))
}

/// The code's part.
async fn read(subject: &Subject, cases: &mut Cases) -> String {
    cases.plan_more(1);
    let Some(open) = opening(subject) else {
        cases.told_nothing("the code was not read: name it with --repo");
        return String::new();
    };
    // When nobody waits for it any more it must end by itself.
    let stop = Stop::default();
    let _ends_with_us = stop.when_dropped();
    let look = tokio::task::spawn_blocking(move || {
        open().map(|repository| {
            let found = glued_sql(&repository.for_look(stop), CONTROL);
            (found, waivers(&repository, CONTROL))
        })
    });
    let (found, waived) = match look.await {
        Ok(Ok(found)) => found,
        Ok(Err(why)) => {
            cases.told_nothing(why);
            return String::new();
        }
        Err(error) => {
            cases.told_nothing(format!("reading the code broke off: {error}"));
            return String::new();
        }
    };
    found.values.iter().chain(&found.names).for_each(|line| cases.note(line.clone()));
    let said = |list: &[String], what: &str| {
        let first = list.first().map_or("", String::as_str);
        format!("{first}{what}{}", if list.len() > 1 { format!(" ({} more)", list.len() - 1) } else { String::new() })
    };
    if found.files == 0 {
        cases.told_nothing("there is no source of a language that is read for statements");
    } else if !found.values.is_empty() {
        cases.tried(false, said(&found.values, ", where a value stands"));
    } else if !found.names.is_empty() {
        let why = ": whether only names of the app's own can come there is not seen; where that is so, say `# nosec` at its line";
        cases.told_nothing(said(&found.names, why));
    } else if let Some(why) = found.not_whole {
        cases.told_nothing(why);
    } else {
        cases.tried(true, format!("no statement is glued in {} files", found.files));
    }
    format!("{} files, {} statements in them, none with a value in its text{waived}", found.files, found.statements)
}

/// The running app's part.
async fn run(subject: &Subject, client: &Client, cases: &mut Cases) -> String {
    let parameters = subject.parameters().await;
    // Some hundred requests: they are counted, and not listed.
    let client = &client.clone().quiet();
    let begun = Instant::now();
    let (mut tried, mut unfit, mut late) = (0, 0, 0);
    for parameter in &parameters.all {
        if begun.elapsed() > LONGEST || cases.is_broken() {
            late += 1;
            continue;
        }
        match try_one(client, parameter).await {
            Ok(Tried::Clean) => {
                tried += 1;
                cases.plan_more(1);
                cases.tried(true, format!("{} keeps values apart", parameter.title));
            }
            Ok(Tried::Injected(how)) => {
                tried += 1;
                cases.plan_more(1);
                cases.tried(false, format!("GET {}: {how}", parameter.title));
            }
            Ok(Tried::Unclear(why)) => cases.told_nothing(format!("GET {}: {why}", parameter.title)),
            Ok(Tried::Unfit) => unfit += 1,
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    if tried == 0 {
        cases.plan_more(1);
        cases.told_nothing(
            "no GET route is known that takes a value and answers it without signing in: name one in [check] paths, as \
             \"/items?name=tea\"",
        );
    }
    let left_out = parameters.left_out + late;
    cases.note(format!("parameters: {tried} tried, {unfit} whose plain value is refused, {left_out} left out"));
    let left = if left_out > 0 { format!(" ({left_out} more left out)") } else { String::new() };
    format!("{tried} parameters of GET routes{left} answer quotes, conditions and pauses as any other text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn code_that_glues_is_broken_without_a_running_app_and_clean_code_alone_is_no_pass() {
        let of = async |code: &str| look(&fixture::folder(&[("app.py", code)]).unwrap().subject).await.outcome;
        let glued = of("def a(db, n):\n    db.execute(f\"select a from b where c = '{n}'\")\n").await;
        assert!(matches!(&glued, Outcome::Broken(why) if why.contains("app.py:2")), "{glued:?}");
        let clean = of("def a(db, n):\n    db.execute(\"select a from b where c = ?\", n)\n").await;
        assert!(matches!(&clean, Outcome::Unclear(why) if why.contains("--url")), "{clean:?}");
        let name = of("def a(db, n):\n    db.execute(f\"select a from {n}\")\n").await;
        assert!(matches!(&name, Outcome::Unclear(why) if why.contains("nosec")), "{name:?}");
    }

    fn app(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Fixture {
        let mut app = fixture::public(move |request| {
            let value = request.uri().query().map(|query| super::super::decoded(query.trim_start_matches("q=")));
            match (request.uri().path(), value) {
                ("/search", Some(value)) => {
                    let (status, text) = answer(&value);
                    reply(status, &[], text)
                }
                ("/", _) => reply(200, &[], "x"),
                _ => reply(404, &[], ""),
            }
        })
        .unwrap();
        app.subject.hints.paths = vec!["/search?q=tea".into()];
        app
    }

    async fn tried(app: &Fixture) -> (usize, Option<String>) {
        let mut cases = Cases::plan(0);
        run(&app.subject, &app.subject.client().unwrap(), &mut cases).await;
        let seen = cases.sighting("x");
        (
            seen.executed,
            match seen.outcome {
                Outcome::Broken(why) => Some(why),
                Outcome::Holds => None,
                other => Some(format!("{other:?}")),
            },
        )
    }

    #[tokio::test]
    async fn complaints_and_quotes_that_break_are_found() {
        let complains = app(|value| match value.contains('\'') {
            true => (200, "pq: syntax error at or near \"tea\"".into()),
            false => (200, "1".into()),
        });
        assert!(tried(&complains).await.1.is_some_and(|why| why.contains("complains")));
        let breaks = app(|value| (if value.matches('\'').count() % 2 == 1 { 500 } else { 200 }, "x".into()));
        assert!(tried(&breaks).await.1.is_some_and(|why| why.contains("is tea again")));
        let fails = app(|value| (if value.contains('\'') { 500 } else { 200 }, "x".into()));
        assert!(tried(&fails).await.1.is_some_and(|why| why.contains("Unclear")));
    }

    #[tokio::test]
    async fn healthy_answers_are_no_injection() {
        let echoes = app(|value| (200, format!("you asked for {value}")));
        assert_eq!(tried(&echoes).await, (1, None));
        let ignores = app(|_| (200, "always the same".into()));
        assert_eq!(tried(&ignores).await, (1, None));
        // Full text: every word counts.
        let words = app(|value| {
            let items = ["tea 1", "soap 3", "tea 47", "cup 806"];
            let hit = |item: &&&str| {
                value
                    .split(|letter: char| !letter.is_alphanumeric())
                    .any(|word| item.contains(word) && !word.is_empty())
            };
            (200, format!("{:?}", items.iter().filter(hit).collect::<Vec<_>>()))
        });
        assert_eq!(tried(&words).await, (1, None));
        let validates =
            app(|value| if value.chars().all(char::is_alphanumeric) { (200, "x".into()) } else { (422, "no".into()) });
        assert_eq!(tried(&validates).await, (1, None));
        let counter = std::sync::atomic::AtomicU32::new(0);
        let moves = app(move |_| (200, counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string()));
        assert_eq!(tried(&moves).await, (1, None));
    }

    #[tokio::test]
    async fn nothing_to_send_to_is_no_pass() {
        let none = fixture::public(|_| reply(200, &[], "x")).unwrap();
        assert!(tried(&none).await.1.is_some_and(|why| why.contains("[check] paths")));
        let refused = app(|_| (404, String::new()));
        assert!(tried(&refused).await.1.is_some_and(|why| why.contains("[check] paths")));
    }
}
