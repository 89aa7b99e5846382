//! Writing for people: colours only where they are wanted, and a closed pipe is no reason to panic.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

/// Whether standard error may be coloured (see <https://no-color.org>).
pub fn colours() -> bool {
    io::stderr().is_terminal() && !no_color()
}

/// Whether standard output may be coloured.
pub fn output_colours() -> bool {
    io::stdout().is_terminal() && !no_color()
}

/// Writes one line to standard output. Nobody reading it any more is not an error.
pub fn line(text: &str) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

/// Writes one line of an error to standard error.
pub fn error_line(text: &str) {
    let mark = if colours() { "\u{1b}[31;1merror:\u{1b}[0m" } else { "error:" };
    let _ = writeln!(io::stderr(), "{mark} {text}");
}

/// Writes text to standard error as it is.
pub fn error_text(text: &str) {
    let _ = write!(io::stderr(), "{text}");
}

/// Replaces the progress line on a terminal; elsewhere progress is left out.
pub fn progress(text: &str) {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\u{1b}[2K{text}");
        let _ = io::stderr().flush();
    }
}

/// Columns to fill: `COLUMNS` where it is set, else a width that most windows have.
pub fn width() -> usize {
    env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .filter(|width| (40..=400).contains(width))
        .unwrap_or(100)
}

fn no_color() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
