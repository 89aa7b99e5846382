//! What is sent in place of a value, and what its answers tell: quotes, conditions that are true and false, pauses.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use regex::Regex;

use super::{Parameter, encoded};
use crate::http::{Answer, Client, HttpError};

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

/// A value, a word between conditions, and what is compared with what.
type Form = fn(&str, &str, &str, &str) -> String;

/// What became of one parameter.
pub(super) enum Tried {
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
    /// A limit refused something: what was not answered tells nothing.
    limited: AtomicBool,
}

impl Asking<'_> {
    async fn ask(&self, value: &str) -> Result<(Answer, Shown), HttpError> {
        let answer = self.client.get(&self.parameter.with(value)).await?;
        if matches!(answer.status.as_u16(), 429 | 503) {
            self.limited.store(true, Ordering::Relaxed);
        }
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
        encoded(value),
        encoded(value).replace("%20", "+"),
        json.trim_matches('"').to_owned(),
        escaped.replace('\'', "&#39;"),
        escaped.replace('\'', "&#x27;"),
        escaped,
    ]
}

pub(super) async fn try_one(client: &Client, parameter: &Parameter) -> Result<Tried, HttpError> {
    let asking = Asking { client, parameter, limited: AtomicBool::new(false) };
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
    let why = "a limit refuses what is sent (429 or 503): raise it for the check";
    Ok(if asking.limited.into_inner() { Tried::Unclear(why.into()) } else { Tried::Clean })
}

/// A quote that ends the text, and what takes its effect away.
async fn quoted(asking: &Asking<'_>, plain: &Answer, base: &Shown) -> Result<Option<Tried>, HttpError> {
    let value = &asking.parameter.value;
    for quote in ["'", "\"", "')"] {
        let (answer, _) = asking.ask(&format!("{value}{quote}")).await?;
        let text = answer.text();
        // A search's own language has quotes too: what complains of that is no statement that was broken.
        let searches = ["fts5", "tsquery"].iter().any(|word| text.contains(word));
        if let Some(found) = COMPLAINTS.find(&text).filter(|_| !searches && !COMPLAINTS.is_match(&plain.text())) {
            let how = format!("with {quote} in the value the database complains: {}", found.as_str());
            return Ok(Some(Tried::Injected(how)));
        }
        if answer.status.is_server_error() && answer.status.as_u16() != 503 {
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
    let forms: [Form; 3] = [
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
            if no == *base {
                break;
            }
            differs += 1;
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
