//! What a command says, as far as it is kept.

use std::{
    collections::VecDeque,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Of each end, in bytes: how it began, and how it ended.
const KEPT: usize = 1 << 20;

/// Reads a stream to its end in a thread of its own, so that nobody waits for a reader.
pub struct Listener {
    heard: Arc<Mutex<Heard>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Heard {
    start: Vec<u8>,
    end: VecDeque<u8>,
    cut: bool,
}

impl Listener {
    /// Listens to a stream.
    pub fn to(stream: Option<impl Read + Send + 'static>) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let thread = stream.map(|mut stream| {
            let heard = Arc::clone(&heard);
            thread::spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).add(&buffer[..count]);
                }
            })
        });
        Self { heard, thread }
    }

    /// What was heard. A process that got away may hold the stream open: it is waited for so long only.
    pub fn text(self, patience: Duration) -> String {
        let until = Instant::now() + patience;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from_utf8_lossy(&heard.start).into_owned();
        if heard.cut {
            text.push_str("\n[…]\n");
        }
        let end: Vec<u8> = heard.end.iter().copied().collect();
        text.push_str(&String::from_utf8_lossy(&end));
        text
    }
}

impl Heard {
    fn add(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.start.len()).min(bytes.len());
        self.start.extend_from_slice(&bytes[..room]);
        self.end.extend(&bytes[room..]);
        if self.end.len() > KEPT {
            self.cut = true;
            self.end.drain(..self.end.len() - KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept_and_no_more() {
        let long = [b"first ".to_vec(), vec![b'x'; 5 << 20], b" last".to_vec()].concat();
        let text = Listener::to(Some(std::io::Cursor::new(long))).text(Duration::from_secs(2));
        assert!(text.starts_with("first ") && text.ends_with(" last") && text.len() < 3 << 20);
        assert_eq!(Listener::to(None::<std::io::Empty>).text(Duration::ZERO), "");
    }
}
