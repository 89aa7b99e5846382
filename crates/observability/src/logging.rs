//! The operational log: what Seaworthy itself and the app's output have to say, on standard error.

use std::io::{self, IsTerminal, Write};

use thiserror::Error;
use tracing::level_filters::LevelFilter;

use crate::{
    access::LineFormat,
    operational::OperationalLine,
    settings::{Format, Level, Settings},
    sink::LogSink,
};

/// The log could not be set up.
#[derive(Debug, Error)]
#[error("cannot set up the log: {0}")]
pub struct LoggingError(String);

impl Settings {
    /// The format of lines on a stream that is a terminal or not.
    pub fn line_format(&self, is_terminal: bool) -> LineFormat {
        match self.format {
            Format::Json => LineFormat::Json,
            Format::Text => LineFormat::Text,
            Format::Auto if is_terminal => LineFormat::Text,
            Format::Auto => LineFormat::Json,
        }
    }
}

/// Sends `tracing` events to standard error from now on, through a sink: a standard error that nobody reads, or that is
/// closed, must stop neither the app nor a request. Flush the sink before the process ends.
pub fn init_logging(settings: &Settings) -> Result<LogSink, LoggingError> {
    let sink = LogSink::to(io::stderr()).map_err(|error| LoggingError(error.to_string()))?;
    let writer = sink.clone();
    let level = match settings.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let terminal = io::stderr().is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt().with_writer(move || Lines(writer.clone())).with_max_level(level);
    let builder = builder.with_target(false).log_internal_errors(false);
    let result = match settings.line_format(terminal) {
        LineFormat::Json => builder.event_format(OperationalLine).try_init(),
        LineFormat::Text => builder.with_ansi(colours).compact().try_init(),
    };
    result.map_err(|error| LoggingError(error.to_string()))?;
    Ok(sink)
}

/// One event on its way into the sink.
struct Lines(LogSink);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
