//! Reads along with HTTP/1 clients and refuses what two parsers could understand differently (RFC 9112, 11.2: request
//! smuggling), before the HTTP library acts on it.
//!
//! The library is lenient where the standard lets it be: a bare LF ends a line, a `Content-Length` beside
//! `Transfer-Encoding` is dropped in silence. The app behind us may choose otherwise, so such a message is refused as a
//! whole. The guard follows message boundaries alone; the library still parses everything.

use std::mem::MaybeUninit;

use httparse::{Error as HeadError, Header, Request, Status};
use memchr::{memchr, memchr_iter};

/// Empty lines that a client may send before a request line (RFC 9112, 2.2).
const EMPTY_LINES: u32 = 4;
/// Most header lines that any limit may allow; the parser's table lives on the stack.
pub(crate) const MAX_HEADERS: usize = 256;
/// So many the library parses on its stack. For one more it allocates tables at each message, an eighth of our time.
pub(crate) const PARSED_IN_PLACE: usize = 100;
/// Bytes of one chunk's size line, extensions included.
const MAX_CHUNK_LINE: u32 = 4096;
/// Bytes of a trailer section.
const MAX_TRAILERS: u32 = 16 * 1024;

/// How large a head may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// Bytes of the request line and all header lines.
    pub bytes: usize,
    /// Bytes of the request target.
    pub target: usize,
    /// Header lines, at most [`MAX_HEADERS`].
    pub headers: usize,
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A line that ends with LF alone.
    BareLineFeed,
    /// `Content-Length` and `Transfer-Encoding` together.
    TwoFramings,
    /// More than one `Content-Length`, or one that is not a plain number.
    Length,
    /// A `Transfer-Encoding` that does not end with `chunked`, or in HTTP/1.0.
    Coding,
    /// A transfer coding before `chunked` that nobody asked for.
    UnknownCoding,
    /// A head that is no HTTP: white space before a colon, a folded line, control characters.
    Malformed,
    /// More than one `Host`.
    Hosts,
    /// Chunk framing that is not as RFC 9112, 7.1 writes it.
    Chunk,
    /// The request target is too long.
    TargetTooLong,
    /// The head is too large, or has too many lines.
    HeadTooLarge,
}

/// Where in the stream of messages the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between two messages.
    Boundary,
    /// Inside a head.
    Head,
    /// Inside a body.
    Body,
    /// After a request to switch protocols: what follows depends on the answer.
    Undecided,
    /// Another protocol; nothing is read any more.
    Off,
    /// A violation was found; nothing passes any more.
    Refused,
}

/// Follows one connection.
#[derive(Debug)]
pub(crate) struct Guard {
    limits: HeadLimits,
    state: State,
    /// Empty lines before the request line.
    empty_lines: u32,
    /// Complete heads so far.
    heads: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Head,
    Length(u64),
    Chunks(Chunks),
    Undecided,
    Off,
    Refused(Violation),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunks {
    /// The size so far, and how many bytes its line has.
    Size(u64, u32),
    /// Behind a `;`, with the bytes of the line so far.
    Extension(u64, u32),
    /// CR was seen, LF must follow.
    SizeEnd(u64),
    Data(u64),
    DataReturn,
    DataEnd,
    /// Bytes of the trailer section so far, and of its current line.
    Trailer(u32, u32),
    /// CR was seen inside the trailer section; true when the line was empty.
    TrailerEnd(u32, bool),
}

/// What a head says about what follows it.
enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    Upgrade,
}

impl Guard {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { limits, state: State::Start, empty_lines: 0, heads: 0 }
    }

    /// Reads the next bytes; returns how many of them may pass. Fewer than all means a violation, an undecided upgrade, or
    /// a head that is not complete: what did not pass must be given again, with more behind it.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() {
            let rest = &bytes[passed..];
            let used = match self.state {
                State::Start | State::Head => self.head(rest),
                State::Length(left) => {
                    let used = left.min(rest.len() as u64);
                    self.state = if left == used { State::Start } else { State::Length(left - used) };
                    Ok(used as usize)
                }
                State::Chunks(chunks) => self.chunks(chunks, rest),
                State::Off => return bytes.len(),
                State::Undecided | State::Refused(_) => return passed,
            };
            match used {
                Ok(0) => return passed,
                Ok(used) => passed += used,
                Err(violation) => {
                    self.state = State::Refused(violation);
                    return passed;
                }
            }
        }
        passed
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Start => Phase::Boundary,
            State::Head => Phase::Head,
            State::Length(_) | State::Chunks(_) => Phase::Body,
            State::Undecided => Phase::Undecided,
            State::Off => Phase::Off,
            State::Refused(_) => Phase::Refused,
        }
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        match self.state {
            State::Refused(violation) => Some(violation),
            _ => None,
        }
    }

    /// Complete heads that have passed.
    pub(crate) fn heads(&self) -> u64 {
        self.heads
    }

    /// The answer to a request to switch protocols is known.
    pub(crate) fn decide(&mut self, switched: bool) {
        if self.state == State::Undecided {
            self.state = if switched { State::Off } else { State::Start };
        }
    }

    /// Reads lines until the head ends; 0 when it does not end here. A head passes as a whole, so that the library never
    /// judges a part of it.
    fn head(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let (mut line_start, mut lines) = (0, 0);
        for feed in memchr_iter(b'\n', bytes) {
            if feed == 0 || bytes[feed - 1] != b'\r' {
                return Err(Violation::BareLineFeed);
            }
            let is_empty = feed - line_start == 1;
            line_start = feed + 1;
            if !is_empty {
                lines += 1;
                if lines > self.limits.headers + 1 {
                    return Err(Violation::HeadTooLarge);
                }
                continue;
            }
            self.state = State::Start;
            if lines == 0 {
                // An empty line before the request line.
                self.empty_lines += 1;
                return if self.empty_lines > EMPTY_LINES { Err(Violation::Malformed) } else { Ok(feed + 1) };
            }
            let framing = inspect(&bytes[..=feed], &self.limits)?;
            self.heads += 1;
            self.empty_lines = 0;
            self.state = match framing {
                Framing::Nothing | Framing::Length(0) => State::Start,
                Framing::Length(length) => State::Length(length),
                Framing::Chunked => State::Chunks(Chunks::Size(0, 0)),
                Framing::Upgrade => State::Undecided,
            };
            return Ok(feed + 1);
        }
        self.state = State::Head;
        if bytes.len() > self.limits.bytes {
            return Err(if lines == 0 { Violation::TargetTooLong } else { Violation::HeadTooLarge });
        }
        Ok(0)
    }

    fn chunks(&mut self, mut chunks: Chunks, bytes: &[u8]) -> Result<usize, Violation> {
        let mut used = 0;
        while used < bytes.len() {
            if let Chunks::Data(left) = chunks {
                let taken = left.min((bytes.len() - used) as u64);
                used += taken as usize;
                chunks = if taken == left { Chunks::DataReturn } else { Chunks::Data(left - taken) };
                continue;
            }
            let next = step(chunks, bytes[used])?;
            used += 1;
            match next {
                Some(next) => chunks = next,
                None => {
                    self.state = State::Start;
                    return Ok(used);
                }
            }
        }
        self.state = State::Chunks(chunks);
        Ok(used)
    }
}

/// One byte of chunk framing; `None` at the end of the body.
fn step(chunks: Chunks, byte: u8) -> Result<Option<Chunks>, Violation> {
    let next = match (chunks, byte) {
        (Chunks::Size(size, length), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let digit = u64::from((byte as char).to_digit(16).unwrap_or_default());
            // Sixteen digits are all that 64 bits hold, leading zeros included.
            if length >= 16 || size > u64::MAX >> 8 {
                return Err(Violation::Chunk);
            }
            Chunks::Size(size << 4 | digit, length + 1)
        }
        (Chunks::Size(size, 1..), b'\r') => Chunks::SizeEnd(size),
        (Chunks::Size(size, length @ 1..), b';') => Chunks::Extension(size, length),
        (Chunks::Extension(size, _), b'\r') => Chunks::SizeEnd(size),
        (Chunks::Extension(size, length), b'\t' | b' '..=b'~' | 0x80..) if length < MAX_CHUNK_LINE => {
            Chunks::Extension(size, length + 1)
        }
        (Chunks::SizeEnd(0), b'\n') => Chunks::Trailer(0, 0),
        (Chunks::SizeEnd(size), b'\n') => Chunks::Data(size),
        (Chunks::DataReturn, b'\r') => Chunks::DataEnd,
        (Chunks::DataEnd, b'\n') => Chunks::Size(0, 0),
        (Chunks::Trailer(total, line), b'\r') => Chunks::TrailerEnd(total, line == 0),
        // A trailer line that begins with white space would be a folded one.
        (Chunks::Trailer(_, 0), b' ' | b'\t') => return Err(Violation::Chunk),
        (Chunks::Trailer(total, line), b'\t' | b' '..=b'~' | 0x80..) if total < MAX_TRAILERS => {
            Chunks::Trailer(total + 1, line + 1)
        }
        (Chunks::TrailerEnd(_, true), b'\n') => return Ok(None),
        (Chunks::TrailerEnd(total, false), b'\n') => Chunks::Trailer(total, 0),
        _ => return Err(Violation::Chunk),
    };
    Ok(Some(next))
}

/// Judges a whole head.
fn inspect(head: &[u8], limits: &HeadLimits) -> Result<Framing, Violation> {
    if head.len() > limits.bytes {
        let first_line = memchr(b'\n', head).unwrap_or_default();
        return Err(if first_line > limits.target { Violation::TargetTooLong } else { Violation::HeadTooLarge });
    }
    let mut table = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut table[..limits.headers.min(MAX_HEADERS)]) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(HeadError::TooManyHeaders) => return Err(Violation::HeadTooLarge),
        _ => return Err(Violation::Malformed),
    }
    if request.path.is_some_and(|target| target.len() > limits.target) {
        return Err(Violation::TargetTooLong);
    }
    if request.path.is_some_and(|target| !is_uri(target)) {
        return Err(Violation::Malformed);
    }
    let (mut length, mut coding, mut hosts) = (None, None, 0);
    let (mut upgrade, mut names_upgrade) = (false, false);
    for header in request.headers.iter() {
        // Four lengths decide; nearly every header has another.
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let number = plain_number(header.value).ok_or(Violation::Length)?;
                once(&mut length, number, Violation::Length)?;
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                once(&mut coding, header.value, Violation::Coding)?;
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                let mut options = header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                names_upgrade |= options.any(|option| option.eq_ignore_ascii_case(b"upgrade"));
            }
            7 if header.name.eq_ignore_ascii_case("upgrade") => upgrade = true,
            4 if header.name.eq_ignore_ascii_case("host") => hosts += 1,
            _ => {}
        }
    }
    if hosts > 1 {
        return Err(Violation::Hosts);
    }
    match (coding, length) {
        (Some(_), Some(_)) => Err(Violation::TwoFramings),
        (Some(_), None) if request.version != Some(1) => Err(Violation::Coding),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (Some(coding), None) if last_coding_is_chunked(coding) => Err(Violation::UnknownCoding),
        (Some(_), None) => Err(Violation::Coding),
        (None, Some(0)) | (None, None) if upgrade && names_upgrade && request.version == Some(1) => {
            Ok(Framing::Upgrade)
        }
        (None, Some(length)) => Ok(Framing::Length(length)),
        (None, None) => Ok(Framing::Nothing),
    }
}

/// What the library that reads targets refuses; asked only for the few characters that it may refuse.
fn is_uri(target: &str) -> bool {
    let odd = |byte: u8| matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f..);
    !target.bytes().any(odd) || http::Uri::try_from(target).is_ok()
}

fn once<T>(place: &mut Option<T>, value: T, violation: Violation) -> Result<(), Violation> {
    if place.replace(value).is_some() { Err(violation) } else { Ok(()) }
}

/// Digits and nothing else (RFC 9110, 8.6): no sign, no list, no white space inside.
fn plain_number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    digits.then(|| value.iter().fold(0, |number: u64, digit| number * 10 + u64::from(digit - b'0')))
}

fn last_coding_is_chunked(value: &[u8]) -> bool {
    let codings: Vec<&[u8]> = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
    let token = |coding: &&[u8]| !coding.is_empty() && coding.iter().all(|byte| byte.is_ascii_alphanumeric());
    codings.len() > 1
        && codings.iter().all(token)
        && codings.iter().filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count() == 1
        && codings.last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 4096, target: 512, headers: 32 };

    /// The phase at the end, the heads that passed, and the bytes that passed: the same whole and byte by byte.
    fn read(bytes: &[u8]) -> (Result<Phase, Violation>, u64, usize) {
        let outcome = |guard: &Guard, passed| {
            let end = guard.violation().map_or(Ok(guard.phase()), Err);
            (end, guard.heads(), passed)
        };
        let mut whole = Guard::new(LIMITS);
        let passed = whole.advance(bytes);
        let (mut single, mut start) = (Guard::new(LIMITS), 0);
        for end in 1..=bytes.len() {
            start += single.advance(&bytes[start..end]);
        }
        let whole = outcome(&whole, passed);
        let single = outcome(&single, start);
        assert_eq!((whole.0, whole.1), (single.0, single.1), "{}", String::from_utf8_lossy(bytes));
        whole
    }

    fn post(headers: &str, body: &str) -> (Result<Phase, Violation>, u64, usize) {
        read(format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}").as_bytes())
    }

    #[test]
    fn follows_messages_of_every_framing() {
        let two = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
        assert_eq!(read(two), (Ok(Phase::Boundary), 2, two.len()));
        assert_eq!(post("Content-Length: 5\r\n", "helloGET / HTTP/1.1\r\n").1, 1);
        assert_eq!(post("Content-Length: 5\r\n", "hel").0, Ok(Phase::Body));
        let chunked = "5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(post("Transfer-Encoding: Chunked\r\n", chunked).1, 2);
        assert_eq!(post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n").0, Ok(Phase::Boundary));
        assert_eq!(read(b"\r\n\r\nGET / HTTP/1.1\r\n").0, Ok(Phase::Head));
    }

    #[test]
    fn refuses_what_two_parsers_could_read_differently() {
        use Violation as V;
        let head = |headers: &str| post(headers, "0\r\n\r\n").0.unwrap_err();
        assert_eq!(head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), V::TwoFramings);
        assert_eq!(head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), V::TwoFramings);
        assert_eq!(head("Content-Length: 5\r\nContent-Length: 5\r\n"), V::Length);
        for value in ["5, 5", "+5", "-1", "0x5", "5 5", "", "99999999999999999999", "5;"] {
            assert_eq!(head(&format!("Content-Length: {value}\r\n")), V::Length, "{value}");
        }
        for value in ["xchunked", "chunked, identity", "chunked;q=1", "\"chunked\"", "chunked, chunked", "", "identity"]
        {
            assert_eq!(head(&format!("Transfer-Encoding: {value}\r\n")), V::Coding, "{value}");
        }
        assert_eq!(head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), V::Coding);
        assert_eq!(head("Transfer-Encoding: gzip, chunked\r\n"), V::UnknownCoding);
        assert_eq!(head("Content-Length : 5\r\n"), V::Malformed);
        assert_eq!(head("X-A: 1\r\n folded\r\n"), V::Malformed);
        assert_eq!(head("X-A: 1\n"), V::BareLineFeed);
        assert_eq!(head("X-A: 1\rX-B: 2\r\n"), V::Malformed);
        assert_eq!(head("X-A: \0\r\n"), V::Malformed);
        assert_eq!(head("Host: b\r\n"), V::Hosts);
        assert_eq!(read(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").0, Err(V::Coding));
        assert_eq!(read(b"GET / HTTP/1.1\nHost: a\n\n").0, Err(V::BareLineFeed));
        assert_eq!(read(b"\r\n\r\n\r\n\r\n\r\nGET").0, Err(V::Malformed));
    }

    #[test]
    fn refuses_chunks_that_are_not_written_as_the_standard_says() {
        let bodies = [
            "5\nhello\r\n",
            "0x5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "\r\nhello",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "5;a\nb\r\nhello\r\n",
            "fffffffffffffffff\r\n",
            "0\r\nX: 1\n\r\n",
            "0\r\n folded\r\n\r\n",
            "-1\r\n",
            "0\r\nX: 1\0\r\n\r\n",
            "5\rhello",
        ];
        for body in bodies {
            assert_eq!(post("Transfer-Encoding: chunked\r\n", body).0, Err(Violation::Chunk), "{body:?}");
        }
    }

    #[test]
    fn limits_hold_before_the_end_of_the_head_is_seen() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(600));
        assert_eq!(read(long.as_bytes()).0, Err(Violation::TargetTooLong));
        assert_eq!(read(format!("GET /{}", "a".repeat(5000)).as_bytes()).0, Err(Violation::TargetTooLong));
        let large = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(5000));
        assert_eq!(read(large.as_bytes()).0, Err(Violation::HeadTooLarge));
        assert_eq!(post(&"X: 1\r\n".repeat(40), "").0, Err(Violation::HeadTooLarge));
    }

    #[test]
    fn what_follows_a_request_to_switch_waits_for_the_answer() {
        let bytes = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\n frame";
        let mut guard = Guard::new(LIMITS);
        let passed = guard.advance(bytes);
        assert_eq!((&bytes[passed..], guard.phase()), (&b"\x81\n frame"[..], Phase::Undecided));
        guard.decide(true);
        assert_eq!(guard.advance(&bytes[passed..]), 8);
        let mut guard = Guard::new(LIMITS);
        guard.advance(bytes);
        guard.decide(false);
        assert_eq!(guard.advance(&bytes[passed..]), 0);
        assert_eq!(guard.violation(), Some(Violation::BareLineFeed));
    }
}
