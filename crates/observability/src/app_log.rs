//! What the app prints, as lines of the operational log: its JSON stays JSON, with its own level and message.

use std::fmt::Write as _;

use jiff::Timestamp;
use seaworthy_core::{AppOutput, Clock, SystemClock};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    access::{LineFormat, timestamp},
    settings::{Level, Settings},
    sink::LogSink,
};

/// Names under which loggers put the level, the likeliest first.
const LEVELS: [&str; 5] = ["level", "severity", "levelname", "log.level", "lvl"];
/// Names under which they put the message.
const MESSAGES: [&str; 4] = ["message", "msg", "event", "text"];

/// Writes the app's lines beside our own.
#[derive(Debug, Clone)]
pub struct AppLog {
    sink: LogSink,
    format: LineFormat,
    level: Level,
}

/// One line of the app, understood as far as it goes.
#[derive(Debug, PartialEq)]
struct Parsed<'a> {
    /// `None` when the line does not say.
    level: Option<Level>,
    message: std::borrow::Cow<'a, str>,
    fields: Map<String, Value>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "timestamp")]
    time: i64,
    level: &'static str,
    kind: &'static str,
    instance: &'a str,
    stream: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: &'a Map<String, Value>,
}

impl AppLog {
    /// Lines into the operational log's sink, in its format and from its level on.
    pub fn new(sink: LogSink, settings: &Settings) -> Self {
        let format = settings.line_format(std::io::IsTerminal::is_terminal(&std::io::stderr()));
        Self { sink, format, level: settings.level }
    }

    fn render(&self, instance: &str, stream: &str, text: &str, now: i64) -> Option<String> {
        let parsed = Parsed::of(text);
        // The most important level comes first. A line that does not say may be the middle of a stack trace.
        if parsed.level.is_some_and(|level| level as u8 > self.level as u8) {
            return None;
        }
        let mut line = match self.format {
            LineFormat::Json => {
                let line = Line {
                    time: now,
                    level: parsed.level_name(),
                    kind: "app",
                    instance,
                    stream,
                    message: &parsed.message,
                    fields: &parsed.fields,
                };
                serde_json::to_string(&line).ok()?
            }
            LineFormat::Text => readable(&parsed, instance, now),
        };
        line.push('\n');
        Some(line)
    }
}

impl AppOutput for AppLog {
    fn line(&self, instance: &str, stream: &'static str, text: &str) {
        if let Some(line) = self.render(instance, stream, text, SystemClock.unix_micros()) {
            self.sink.push(line.as_bytes());
        }
    }
}

impl<'a> Parsed<'a> {
    /// A JSON object gives its level, its message and its other fields; anything else is text, perhaps with a level in
    /// front.
    fn of(text: &'a str) -> Self {
        let plain = || Self { level: level_in_front(text), message: text.into(), fields: Map::new() };
        if !text.trim_start().starts_with('{') {
            return plain();
        }
        let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(text) else { return plain() };
        let level = LEVELS.iter().find_map(|name| {
            let level = level(fields.get(*name)?)?;
            fields.shift_remove(*name);
            Some(level)
        });
        let message = MESSAGES.iter().find_map(|name| match fields.get(*name)? {
            Value::String(_) => match fields.shift_remove(*name)? {
                Value::String(message) => Some(message),
                _ => None,
            },
            _ => None,
        });
        Self { level, message: message.unwrap_or_default().into(), fields }
    }

    /// What an unknown level is shown as.
    fn level_name(&self) -> &'static str {
        name(self.level.unwrap_or(Level::Info))
    }
}

/// `ERROR: x` as uvicorn writes it, `WARNING:shop.orders:x` as Python's logging does. Only capitals: `http: x` is a
/// message of Go, and `Error: x` one of a program that is about to end.
fn level_in_front(text: &str) -> Option<Level> {
    let (word, _) = text.split_once(':')?;
    match word {
        "TRACE" => Some(Level::Trace),
        "DEBUG" => Some(Level::Debug),
        "INFO" => Some(Level::Info),
        "WARN" | "WARNING" => Some(Level::Warn),
        "ERROR" | "CRITICAL" | "FATAL" => Some(Level::Error),
        _ => None,
    }
}

/// By name, or by number as bunyan and pino write it.
fn level(value: &Value) -> Option<Level> {
    if let Some(number) = value.as_u64() {
        return Some(match number {
            0..20 => Level::Trace,
            20..30 => Level::Debug,
            30..40 => Level::Info,
            40..50 => Level::Warn,
            _ => Level::Error,
        });
    }
    Some(match value.as_str()?.to_ascii_lowercase().as_str() {
        "trace" | "silly" => Level::Trace,
        "debug" | "verbose" => Level::Debug,
        "info" | "information" | "notice" | "default" | "http" => Level::Info,
        "warn" | "warning" => Level::Warn,
        "error" | "err" | "fatal" | "critical" | "crit" | "alert" | "emergency" | "emerg" | "panic" => Level::Error,
        _ => return None,
    })
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

/// `2026-01-02T03:04:05.678901Z  WARN app-1 | message key=value`.
fn readable(parsed: &Parsed<'_>, instance: &str, now: i64) -> String {
    let mut line = String::new();
    if let Ok(time) = Timestamp::from_microsecond(now) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(line, "{time:.6} ");
    }
    let _ = write!(line, "{:>5} {instance} |", parsed.level_name());
    if !parsed.message.is_empty() {
        line.push(' ');
        escape(&parsed.message, &mut line);
    }
    for (key, value) in &parsed.fields {
        line.push(' ');
        escape(key, &mut line);
        line.push('=');
        match value {
            Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => escape(text, &mut line),
            value => escape(&value.to_string(), &mut line),
        }
    }
    line
}

/// Control characters as codes: what an app prints must not move the cursor of a terminal, or make a line look like two.
fn escape(text: &str, line: &mut String) {
    for letter in text.chars() {
        match letter {
            '\t' => line.push(letter),
            letter if letter.is_control() => line.extend(letter.escape_default()),
            letter => line.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: LineFormat, level: Level, text: &str) -> Option<String> {
        let log = AppLog { sink: LogSink::to(std::io::sink()).unwrap(), format, level };
        log.render("app-1", "stdout", text, 1_767_323_045_678_901)
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(&render(LineFormat::Json, Level::Trace, text).unwrap()).unwrap()
    }

    #[test]
    fn a_json_line_keeps_its_fields_level_and_message() {
        let line = json(r#"{"level":"warning","msg":"slow query","ms":1200,"user":{"id":7},"time":"x"}"#);
        assert_eq!(line["time"], "2026-01-02T03:04:05.678901Z");
        assert_eq!(
            (&line["kind"], &line["instance"], &line["stream"]),
            (&"app".into(), &"app-1".into(), &"stdout".into())
        );
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"slow query".into()));
        assert_eq!(line["fields"], serde_json::json!({ "ms": 1200, "user": { "id": 7 }, "time": "x" }));
        assert_eq!(json(r#"{"level":50,"msg":"x"}"#)["level"], "ERROR");
        assert_eq!(json(r#"{"severity":"CRITICAL","message":"x"}"#)["level"], "ERROR");
        assert_eq!(json(r#"{"levelname":"DEBUG","event":"x"}"#)["message"], "x");
        let odd = json(r#"{"level":{"name":"x"},"message":7}"#);
        assert_eq!(
            (&odd["level"], &odd["message"], &odd["fields"]["message"]),
            (&"INFO".into(), &"".into(), &7.into())
        );
    }

    #[test]
    fn anything_else_is_text() {
        for text in ["Listening on 8000", "{not json}", "[1,2]", "\"quoted\"", "{\"level\":\"info\"} and more", ""] {
            let line = json(text);
            assert_eq!((&line["message"], &line["level"]), (&text.into(), &"INFO".into()));
            assert!(line.get("fields").is_none());
        }
    }

    #[test]
    fn the_level_of_the_app_counts() {
        let shown = |text| render(LineFormat::Json, Level::Warn, text).is_some();
        assert!(!shown(r#"{"level":"info","msg":"x"}"#) && !shown("INFO:     Started server process [7]"));
        assert!(!shown("DEBUG:root:x") && shown("ERROR:    Exception in ASGI application") && shown("WARNING:root:x"));
        for unknown in
            ["plain", "Traceback (most recent call last):", "  File \"a.py\", line 1", "{\"msg\":\"x\"}", "http: x"]
        {
            assert!(shown(unknown), "{unknown}");
        }
        assert_eq!(json("CRITICAL: x")["level"], "ERROR");
        assert_eq!(json("CRITICAL: x")["message"], "CRITICAL: x");
        assert!(shown(r#"{"level":"warn","msg":"x"}"#) && shown(r#"{"level":"error","msg":"x"}"#));
    }

    #[test]
    fn text_is_one_readable_line_whatever_it_holds() {
        let line =
            render(LineFormat::Text, Level::Info, r#"{"level":"error","msg":"no\nluck","path":"/a","why":"a b"}"#);
        assert_eq!(line.unwrap(), "2026-01-02T03:04:05.678901Z ERROR app-1 | no\\nluck path=/a why=\"a b\"\n");
        let line = render(LineFormat::Text, Level::Info, "\u{1b}[2Jgone").unwrap();
        assert!(line.contains("\\u{1b}[2Jgone") && line.lines().count() == 1);
    }
}
