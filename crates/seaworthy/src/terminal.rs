//! Writing for people: colours only where they are wanted, and a closed pipe is no reason to panic.

use std::{
    env,
    io::{self, ErrorKind, IsTerminal, Write},
    sync::OnceLock,
};

/// Whether standard error may be coloured (see <https://no-color.org>).
pub fn colours() -> bool {
    io::stderr().is_terminal() && !no_color()
}

/// Whether standard output may be coloured.
pub fn output_colours() -> bool {
    io::stdout().is_terminal() && !no_color()
}

/// Why a line could not be written: the first such reason of this process.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Writes one line to standard output. Nobody reading it any more is not an error; any other failure is kept for [`lost`].
pub fn line(text: &str) {
    if let Err(error) = put(&mut io::stdout().lock(), text) {
        // The first reason tells most.
        let _ = LOST.set(error);
    }
}

/// Why a line could not be written, when one could not: the disk is full.
pub fn lost() -> Option<&'static io::Error> {
    LOST.get()
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

fn put(output: &mut impl Write, text: &str) -> io::Result<()> {
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_full_disk_is_an_error_and_a_closed_pipe_is_none() {
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(put(&mut full, "x").unwrap_err().kind(), ErrorKind::StorageFull);
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        put(&mut writer, "x").unwrap();
    }
}
