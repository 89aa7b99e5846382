//! `protection.sql-injection`: what users send never becomes a part of a statement.
//!
//! The code: no statement is glued from strings where a value stands. The running app: each value that anybody may send in
//! the address of a GET route is sent with quotes, conditions and pauses in it. A condition that is true must not make
//! another difference than one that is false, a pause must not be made, and no database may complain in the answer.
//! Only conditions that narrow a statement (`and`) are sent: one that widened it could do harm where a GET writes.

use std::{
    io,
    sync::LazyLock,
    time::{Duration, Instant},
};

use regex::Regex;
use seaworthy_code::glued_sql;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, sqlite::SqliteConnectOptions};

use super::Parameter;
use crate::{
    fixture::{self, ServerOptions, reply},
    http::{Answer, Client, HttpError},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(in crate::probes) struct SqlInjection;

const CONTROL: &str = "protection.sql-injection";
/// The running app is tried so long; what is left then is said to be.
const LONGEST: Duration = Duration::from_secs(40);
/// The pause that a payload asks for, and what counts as one.
const PAUSE: Duration = Duration::from_millis(1800);

/// What databases and their drivers say of a statement that they cannot read.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static COMPLAINTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)error in your SQL syntax|SQLSTATE\[|PG::SyntaxError|psycopg2?\.errors|syntax error at or near|"#,
        r#"unterminated quoted string|SQLITE_ERROR|sqlite3\.OperationalError|unrecognized token: "|near "[^"]*": syntax error|"#,
        r#"\bORA-\d{5}\b|Unclosed quotation mark|sqlalchemy\.exc\.|PSQLException|SQLServerException|StatementInvalid|"#,
        r#"ER_PARSE_ERROR|SequelizeDatabaseError|QueryFailedError|com\.mysql\.|System\.Data\.SqlClient"#
    ))
    .expect("the pattern is valid")
});

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
    let Some(repo) = subject.repo.clone() else {
        cases.told_nothing("the code was not read: name it with --repo");
        return String::new();
    };
    let source = subject.source.clone();
    let look = tokio::task::spawn_blocking(move || source.open(&repo, false).map(|open| glued_sql(&open, CONTROL)));
    let found = match look.await {
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
    format!("{} files, {} statements in them, none with a value in its text", found.files, found.statements)
}

/// The running app's part.
async fn run(subject: &Subject, client: &Client, cases: &mut Cases) -> String {
    let parameters = subject.parameters().await;
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

/// What became of one parameter.
enum Tried {
    Clean,
    Injected(String),
    Unclear(String),
    /// Its plain value is no value: what is sent then proves nothing.
    Unfit,
}

/// An answer without what was sent in it, so that two may be compared.
#[derive(PartialEq, Eq)]
struct Shown(u16, String);

struct Asking<'a> {
    client: &'a Client,
    parameter: &'a Parameter,
}

impl Asking<'_> {
    async fn ask(&self, value: &str) -> Result<(Answer, Shown), HttpError> {
        let answer = self.client.get(&self.parameter.with(value)).await?;
        let mut text = answer.text();
        // The plain value is taken out too: it is a part of what was sent, and may be what was found.
        for form in forms(value).iter().chain([&self.parameter.value]).filter(|form| !form.is_empty()) {
            text = text.replace(form.as_str(), "");
        }
        Ok((answer.clone(), Shown(answer.status.as_u16(), text)))
    }
}

/// A text as answers repeat it: plain, in an address, in JSON, in HTML.
fn forms(value: &str) -> [String; 7] {
    let json = serde_json::to_string(value).unwrap_or_default();
    let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    [
        value.to_owned(),
        super::encoded(value),
        super::encoded(value).replace("%20", "+"),
        json.trim_matches('"').to_owned(),
        escaped.replace('\'', "&#39;"),
        escaped.replace('\'', "&#x27;"),
        escaped,
    ]
}

async fn try_one(client: &Client, parameter: &Parameter) -> Result<Tried, HttpError> {
    let asking = Asking { client, parameter };
    let value = &parameter.value;
    let (plain, base) = asking.ask(value).await?;
    if !plain.status.is_success() {
        return Ok(Tried::Unfit);
    }
    if let Some(how) = quoted(&asking, &plain, &base).await? {
        return Ok(how);
    }
    let (_, again) = asking.ask(value).await?;
    if base == again
        && let Some(how) = conditions(&asking, &base).await?
    {
        return Ok(Tried::Injected(how));
    }
    if let Some(how) = pauses(&asking, plain.elapsed).await? {
        return Ok(Tried::Injected(how));
    }
    Ok(Tried::Clean)
}

/// A quote that ends the text, and what takes its effect away.
async fn quoted(asking: &Asking<'_>, plain: &Answer, base: &Shown) -> Result<Option<Tried>, HttpError> {
    let value = &asking.parameter.value;
    for quote in ["'", "\"", "')"] {
        let (answer, _) = asking.ask(&format!("{value}{quote}")).await?;
        if answer.status.as_u16() == 429 {
            return Ok(Some(Tried::Unclear("a rate limit refuses what is sent: raise it for the check".into())));
        }
        let text = answer.text();
        // A search's own language has quotes too: what complains of that is no statement that was broken.
        let searches = ["fts5", "tsquery"].iter().any(|word| text.contains(word));
        if let Some(found) = COMPLAINTS.find(&text).filter(|_| !searches && !COMPLAINTS.is_match(&plain.text())) {
            let how = format!("with {quote} in the value the database complains: {}", found.as_str());
            return Ok(Some(Tried::Injected(how)));
        }
        if answer.status.is_server_error() {
            let status = answer.status.as_u16();
            return Ok(Some(match mended(asking, base).await? {
                Some(how) => Tried::Injected(format!(
                    "with {quote} in the value it fails ({status}), and {how} is {value} again"
                )),
                None => Tried::Unclear(format!("with {quote} in the value it fails ({status}), and why was not seen")),
            }));
        }
    }
    Ok(None)
}

/// What a statement reads as the same value: a quote that is closed and put together again, as SQL does it. Half of it must
/// still fail.
async fn mended(asking: &Asking<'_>, base: &Shown) -> Result<Option<String>, HttpError> {
    let value = &asking.parameter.value;
    for (whole, half) in [("'||'", "'||"), ("' '", "' ' '")] {
        let mut counted = 0;
        for _ in 0..2 {
            let (_, one) = asking.ask(&format!("{value}{whole}")).await?;
            let (other, _) = asking.ask(&format!("{value}{half}")).await?;
            counted += usize::from(one == *base && other.status.is_server_error());
        }
        if counted == 2 {
            return Ok(Some(format!("{value}{whole}")));
        }
    }
    Ok(None)
}

/// Conditions that are true and false, in texts, patterns and numbers: three pairs must all tell them apart, and words that
/// are no condition must not do what the true ones do.
async fn conditions(asking: &Asking<'_>, base: &Shown) -> Result<Option<String>, HttpError> {
    let value = &asking.parameter.value;
    let forms: [fn(&str, &str, &str, &str) -> String; 3] = [
        |value, word, one, other| format!("{value}' {word} '{one}'='{other}"),
        |value, word, one, other| format!("{value}%' {word} '{one}%'='{other}"),
        |value, word, one, other| format!("{value} {word} {one}={other}"),
    ];
    for form in forms {
        let mut differs = 0;
        for number in ["1", "47", "806"] {
            // A pattern's own `%` follows the text, so there the true one compares with it.
            let (_, yes) = asking.ask(&form(value, "and", number, number)).await?;
            if yes != *base {
                break;
            }
            let (_, no) = asking.ask(&form(value, "and", number, "3")).await?;
            differs += usize::from(no != *base);
        }
        if differs < 3 {
            continue;
        }
        let (_, nonsense) = asking.ask(&form(value, "xqz", "1", "1")).await?;
        if nonsense != *base {
            let sent = form(value, "and", "1", "1");
            return Ok(Some(format!(
                "a condition in the value decides the answer: {sent} is answered as {value}, and {} is not",
                form(value, "and", "1", "3")
            )));
        }
    }
    Ok(None)
}

/// Pauses in PostgreSQL and MySQL, in texts and numbers. Each is asked for twice, and once for no time.
async fn pauses(asking: &Asking<'_>, plain: Duration) -> Result<Option<String>, HttpError> {
    let value = &asking.parameter.value;
    let calls = ["(select count(*) from pg_sleep(SECONDS))>=0", "(select sleep(SECONDS))=0"];
    for call in calls {
        for quote in ["'", ""] {
            let payload = |seconds: &str| {
                let call = call.replace("SECONDS", seconds);
                match quote {
                    "" => format!("{value} and {call}"),
                    _ => format!("{value}' and {call} and '1'='1"),
                }
            };
            let slow =
                async || Ok::<_, HttpError>(asking.ask(&payload("2")).await?.0.elapsed.saturating_sub(plain) > PAUSE);
            if slow().await? {
                let quick = asking.ask(&payload("0")).await?.0.elapsed.saturating_sub(plain) < PAUSE / 2;
                if quick && slow().await? {
                    return Ok(Some(format!("a pause in the value is made: {}", payload("2"))));
                }
            }
        }
    }
    Ok(None)
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
