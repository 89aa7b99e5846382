//! One line of the operational log as JSON, with the keys that access lines and the app's lines have too.

use std::fmt::{self, Debug};

use seaworthy_core::{Clock, SystemClock};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext,
        format::{FormatEvent, FormatFields, Writer},
    },
    registry::LookupSpan,
};

use crate::access::timestamp;

/// Writes an event as one JSON object: `time`, `level`, `kind`, `message`, and the event's own fields beside them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperationalLine;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "timestamp")]
    time: i64,
    level: &'a str,
    kind: &'static str,
    message: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// Keys that are ours on every line.
const OURS: [&str; 3] = ["time", "level", "kind"];

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl<S, N> FormatEvent<S, N> for OperationalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line {
            time: SystemClock.unix_micros(),
            level: event.metadata().level().as_str(),
            kind: "operational",
            message: fields.message,
            fields: fields.others,
        };
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name().trim_start_matches("r#");
        match (name, value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", value) => self.message = value.to_string(),
            // What the bridge from the crate `log` adds says where in a library's source the event came from.
            (name, _) if name.starts_with("log.") => {}
            // Twice the same key is no JSON that anybody can rely on.
            (name, value) if OURS.contains(&name) => drop(self.others.insert(format!("field_{name}"), value)),
            (name, value) => drop(self.others.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_keys_of_the_other_lines() {
        let kept = Kept::default();
        let writer = kept.clone();
        let builder = tracing_subscriber::fmt().with_writer(move || writer.clone());
        let subscriber = builder.event_format(OperationalLine).finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = io::Error::other("no \"luck\"\n");
            tracing::warn!(%error, count = 7, ok = true, kind = "x", "it was {}", "so");
            tracing::info!("two");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        let line = &lines[0];
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{text}");
        assert_eq!((&line["level"], &line["kind"]), (&"WARN".into(), &"operational".into()));
        assert_eq!((&line["message"], &line["error"]), (&"it was so".into(), &"no \"luck\"\n".into()));
        assert_eq!((&line["count"], &line["ok"], &line["field_kind"]), (&7.into(), &true.into(), &"x".into()));
        assert!(line.get("timestamp").is_none());
        assert_eq!(lines[1]["message"], "two");
    }
}
