//! What the app prints: every line goes to the log, and the last ones are kept to explain a crash.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use seaworthy_core::AppOutput;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Lines kept to explain a crash.
const KEPT: usize = 20;
/// Characters kept of each.
const KEPT_OF_LINE: usize = 1000;
/// A longer line is cut into pieces of this many bytes.
const MAX_LINE: u64 = 64 * 1024;

/// The last lines of one instance. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    /// Each on a line of its own, marked as the app's.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("  | {line}\n")).collect()
    }

    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(KEPT_OF_LINE).collect());
    }
}

/// Passes lines on until the stream ends.
pub(crate) async fn pass_on(
    stream: impl AsyncRead + Unpin,
    instance: String,
    name: &'static str,
    output: Arc<dyn AppOutput>,
    last: LastLines,
) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
        let text = text.strip_suffix('\r').unwrap_or(&text);
        output.line(&instance, name, text);
        last.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl AppOutput for Lines {
        fn line(&self, instance: &str, stream: &'static str, text: &str) {
            self.0.lock().unwrap().push(format!("{instance} {stream} {text}"));
        }
    }

    #[tokio::test]
    async fn keeps_the_last_lines_and_survives_bytes_that_are_no_text() {
        let mut printed: Vec<u8> = (0..30).flat_map(|number| format!("line {number}\r\n").into_bytes()).collect();
        printed.extend_from_slice(b"\xff\xfe no text, no line break");
        let (last, lines) = (LastLines::default(), Arc::new(Lines::default()));
        pass_on(printed.as_slice(), "app-1".into(), "stdout", lines.clone(), last.clone()).await;
        let text = last.text();
        assert_eq!(text.lines().count(), KEPT);
        assert!(text.contains("line 29\n") && !text.contains("line 9\n"));
        assert!(text.contains("no line break"));
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines.len(), 31);
        assert_eq!(lines[0], "app-1 stdout line 0");
    }

    #[tokio::test]
    async fn a_line_without_end_comes_in_pieces() {
        let (last, lines) = (LastLines::default(), Arc::new(Lines::default()));
        let printed = vec![b'x'; 150_000];
        pass_on(printed.as_slice(), "app-1".into(), "stdout", lines.clone(), last.clone()).await;
        assert_eq!(lines.0.lock().unwrap().len(), 3);
        assert!(last.text().len() < 4000);
    }
}
