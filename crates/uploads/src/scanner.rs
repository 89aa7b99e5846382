//! The malware scanner: clamd's `INSTREAM`, one connection for each file. Blocking.
//!
//! clamd answers "OK" for what it did not look at: files over its `MaxFileSize`, a database without signatures. So before
//! its word counts it has to find a harmless test virus, padded to the size that it is trusted with.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Given to the scanner at once.
const STEP: usize = 64 << 10;
/// A test virus of fewer bytes tells nothing of a limit.
const SMALLEST: u64 = 64 << 10;
/// How long what was measured counts.
const MEASURED_FOR: Duration = Duration::from_secs(3600);

/// A scanner at an address, and what is known of it.
#[derive(Debug)]
pub(crate) struct Scanner {
    address: String,
    patience: Duration,
    max: u64,
    state: Mutex<State>,
    /// Held while it is measured: that costs as much as the largest file, so one does it for all.
    measuring: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The largest file that it is seen to read, and since when.
    measured: Option<(u64, Instant)>,
    down: Option<String>,
    /// When it was last found down.
    down_at: Option<Instant>,
}

/// What it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    Clean,
    /// With the name of the signature.
    Infected(String),
    /// It is larger than the scanner reads.
    TooLarge(u64),
    /// It could not be asked, or not to the end.
    Down(String),
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

impl Scanner {
    pub(crate) fn new(address: &str, patience: Duration, max: u64) -> Self {
        Self { address: address.to_owned(), patience, max, state: Mutex::default(), measuring: Mutex::default() }
    }

    /// Asks about what the reader gives. An error is the reader's.
    pub(crate) fn scan(&self, content: &mut dyn Read) -> io::Result<Scanned> {
        let limit = match self.limit() {
            Ok(limit) => limit,
            Err(why) => return Ok(Scanned::Down(why)),
        };
        let said = self.ask(content, limit)?;
        if let Scanned::Down(why) = &said {
            self.note(Err(why.clone()));
        }
        Ok(said)
    }

    /// Why it cannot be asked; `None`: it can, or was never asked.
    pub(crate) fn fault(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).down.clone()
    }

    /// The largest file that it is seen to read; measured anew when that is long ago, or when it was down meanwhile.
    pub(crate) fn limit(&self) -> Result<u64, String> {
        let known = || {
            let known = self.state.lock().unwrap_or_else(PoisonError::into_inner).measured;
            known.filter(|(_, since)| since.elapsed() < MEASURED_FOR).map(|(limit, _)| limit)
        };
        if let Some(limit) = known() {
            return Ok(limit);
        }
        let asked = Instant::now();
        let _measuring = self.measuring.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = known() {
            return Ok(limit);
        }
        // Somebody has found out meanwhile, and may have waited long for it: those behind need not wait as long again.
        if let Some(why) = self.found_down_since(asked) {
            return Err(why);
        }
        let measured = self.measure();
        self.note(measured.clone());
        measured
    }

    fn found_down_since(&self, asked: Instant) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.down.clone().filter(|_| state.down_at.is_some_and(|at| at > asked))
    }

    fn note(&self, measured: Result<u64, String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        metrics::gauge!("seaworthy_uploads_scanner_up").set(if measured.is_ok() { 1.0 } else { 0.0 });
        match measured {
            Ok(limit) => {
                if state.down.take().is_some() {
                    tracing::info!("the malware scanner is back");
                }
                state.measured = Some((limit, Instant::now()));
            }
            Err(why) => {
                // Once for each time that it goes down; every refused upload is in the access log.
                if state.down.is_none() {
                    tracing::error!(
                        address = self.address,
                        why,
                        "the malware scanner is down: uploads that need it are refused"
                    );
                }
                state.measured = None;
                state.down = Some(why);
                state.down_at = Some(Instant::now());
            }
        }
    }

    fn measure(&self) -> Result<u64, String> {
        let found = |size: u64| match self.ask(&mut test_virus(size), u64::MAX) {
            Ok(Scanned::Infected(_)) => Ok(true),
            Ok(Scanned::Clean | Scanned::TooLarge(_)) => Ok(false),
            Ok(Scanned::Down(why)) => Err(why),
            Err(error) => Err(error.to_string()),
        };
        if !found(0)? {
            return Err("it does not find the test virus (EICAR): it has no signatures, or old ones".into());
        }
        let mut size = self.max;
        while size >= SMALLEST {
            if found(size)? {
                if size < self.max {
                    tracing::warn!(
                        size,
                        wanted = self.max,
                        "the malware scanner reads smaller files than scan_max: larger ones are refused; raise its StreamMaxLength, MaxFileSize and MaxScanSize"
                    );
                }
                return Ok(size);
            }
            size /= 2;
        }
        Err("it finds the test virus alone, and not with anything behind it: how much of a file it reads is not known"
            .into())
    }

    fn ask(&self, content: &mut dyn Read, limit: u64) -> io::Result<Scanned> {
        let mut stream = match self.connect() {
            Ok(stream) => stream,
            Err(error) => return Ok(Scanned::Down(format!("no connection to {}: {error}", self.address))),
        };
        let deadline = Instant::now() + self.patience;
        let mut sent = stream.write_all(b"zINSTREAM\0");
        let (mut piece, mut length) = (vec![0; 4 + STEP], 0_u64);
        while sent.is_ok() {
            let read = read_full(content, &mut piece[4..])?;
            length += read as u64;
            if length > limit {
                return Ok(Scanned::TooLarge(limit));
            }
            piece[..4].copy_from_slice(&(read as u32).to_be_bytes());
            sent = stream.write_all(&piece[..4 + read]);
            if read == 0 {
                break;
            }
            if Instant::now() > deadline {
                return Ok(Scanned::Down("a scan took too long".into()));
            }
        }
        // A scanner that has had enough says so, and stops reading; what it said is there to be read.
        let mut said = Vec::new();
        let heard = stream.take(4096).read_to_end(&mut said);
        Ok(match (understand(&said, limit.min(length)), sent, heard) {
            (Some(said), ..) => said,
            (None, Err(error), _) | (None, _, Err(error)) => Scanned::Down(format!("the scan broke off: {error}")),
            (None, ..) => {
                Scanned::Down(format!("it said: {}", String::from_utf8_lossy(&said).trim_matches(['\0', '\n'])))
            }
        })
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let patience = Some(self.patience);
        if let Some(path) = self.address.strip_prefix("unix:") {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(patience)?;
            stream.set_write_timeout(patience)?;
            return Ok(Box::new(stream));
        }
        let address = self.address.trim_start_matches("tcp:").to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
        let stream = TcpStream::connect_timeout(&address, self.patience.min(Duration::from_secs(5)))?;
        stream.set_read_timeout(patience)?;
        stream.set_write_timeout(patience)?;
        Ok(Box::new(stream))
    }
}

fn understand(said: &[u8], length: u64) -> Option<Scanned> {
    let text = String::from_utf8_lossy(said);
    let text = text.trim_matches(['\0', '\n', ' ']);
    if text.contains("size limit exceeded") {
        return Some(Scanned::TooLarge(length));
    }
    let verdict = text.strip_prefix("stream: ")?;
    if verdict == "OK" {
        return Some(Scanned::Clean);
    }
    let name = verdict.strip_suffix(" FOUND")?;
    // `AlertExceedsMax`: it says itself that it has not read everything.
    if name.contains("Heuristics.Limits.Exceeded") {
        Some(Scanned::TooLarge(length))
    } else {
        Some(Scanned::Infected(name.to_owned()))
    }
}

/// Fills the piece, but for the last one.
fn read_full(content: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match content.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The test file that every scanner finds (EICAR), padded with spaces to a size. Written backwards here: else scanners would
/// find our own program.
fn test_virus(size: u64) -> impl Read {
    let virus: Vec<u8> =
        b"*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$}7)CC7)^P(45XZP\\4[PA@%P!O5X".iter().rev().copied().collect();
    let padding = size.saturating_sub(virus.len() as u64);
    io::Cursor::new(virus).chain(io::repeat(b' ').take(padding))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        net::TcpListener,
        sync::mpsc::{Receiver, Sender, channel},
        thread,
    };

    use super::*;

    /// A scanner that reads so much of a file and finds the test virus at its beginning, or says what it is told to.
    fn scanner(limit: usize, says: Option<&'static str>) -> String {
        answering(limit, says, channel().1)
    }

    /// One that takes its time for what begins with `slow`: until it is told to go on.
    pub(crate) fn slow_scanner() -> (String, Sender<()>) {
        let (go, gate) = channel();
        (answering(1 << 20, None, gate), go)
    }

    fn answering(limit: usize, says: Option<&'static str>, gate: Receiver<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp:{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 10];
                stream.read_exact(&mut head).unwrap();
                let mut content = Vec::new();
                loop {
                    let mut length = [0; 4];
                    if stream.read_exact(&mut length).is_err() || length == [0; 4] {
                        break;
                    }
                    let begin = content.len();
                    content.resize(begin + u32::from_be_bytes(length) as usize, 0);
                    if stream.read_exact(&mut content[begin..]).is_err() {
                        break;
                    }
                }
                if content.starts_with(b"slow") {
                    let _ = gate.recv();
                }
                let found = content.len() <= limit && content.starts_with(b"X5O!P");
                let said = says.unwrap_or(if found { "stream: Eicar FOUND\0" } else { "stream: OK\0" });
                let _ = stream.write_all(said.as_bytes());
            }
        });
        address
    }

    fn ask(address: &str, content: &[u8]) -> Scanned {
        Scanner::new(address, Duration::from_secs(5), 1 << 20).scan(&mut io::Cursor::new(content.to_vec())).unwrap()
    }

    #[test]
    fn a_scanner_is_believed_up_to_where_it_is_seen_to_read() {
        let address = scanner(300 << 10, None);
        assert_eq!(ask(&address, b"harmless"), Scanned::Clean);
        let mut virus = Vec::new();
        test_virus(1000).read_to_end(&mut virus).unwrap();
        assert_eq!(ask(&address, &virus), Scanned::Infected("Eicar".into()));
        assert_eq!(ask(&address, &vec![b' '; 256 << 10]), Scanned::Clean);
        assert_eq!(ask(&address, &vec![b' '; (256 << 10) + 1]), Scanned::TooLarge(256 << 10));
    }

    #[test]
    fn a_scanner_that_finds_nothing_or_is_not_there_is_down() {
        for address in [
            scanner(0, None),
            scanner(0, Some("stream: OK\0")),
            scanner(0, Some("UNKNOWN COMMAND\0")),
            scanner(0, Some("")),
            "tcp:127.0.0.1:1".into(),
            "unix:/nowhere".into(),
        ] {
            assert!(matches!(ask(&address, b"x"), Scanned::Down(_)), "{address}");
        }
        let full = scanner(0, Some("INSTREAM size limit exceeded. ERROR\0"));
        assert!(matches!(ask(&full, b"x"), Scanned::Down(_)), "not even the test virus fits");
        assert_eq!(
            understand(b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", 7),
            Some(Scanned::TooLarge(7))
        );
    }
}
