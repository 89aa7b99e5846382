//! What the app prints: every line goes to the operational log, and the last ones are kept to explain a crash.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Lines kept to explain a crash.
const KEPT: usize = 20;
/// A longer line is cut into pieces of this many bytes.
const MAX_LINE: u64 = 64 * 1024;

/// The last lines of one instance. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("  | {line}\n")).collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Passes lines on until the stream ends.
pub(crate) async fn pass_on(stream: impl AsyncRead + Unpin, instance: String, name: &'static str, last: LastLines) {
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
        tracing::info!(instance, stream = name, "{text}");
        last.push(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_last_lines_and_survives_bytes_that_are_no_text() {
        let mut printed: Vec<u8> = (0..30).flat_map(|number| format!("line {number}\r\n").into_bytes()).collect();
        printed.extend_from_slice(b"\xff\xfe no text, no line break");
        let last = LastLines::default();
        pass_on(printed.as_slice(), "app-1".into(), "stdout", last.clone()).await;
        let text = last.text();
        assert_eq!(text.lines().count(), KEPT);
        assert!(text.contains("line 29\n") && !text.contains("line 9\n"));
        assert!(text.contains("no line break"));
    }
}
