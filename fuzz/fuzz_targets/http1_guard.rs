//! Bytes of an HTTP/1 client: the guard says the same of them however they are cut, and what it lets pass has one framing
//! by every reading that a server behind us may have, and ends where all of them end it.
#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use seaworthy_edge::fuzzing::Http1Guard;

/// Small, so that a short input reaches them.
const HEAD: usize = 1024;
const TARGET: usize = 256;
const HEADERS: usize = 16;

fuzz_target!(|input: &[u8]| {
    let single = follow(input, 1);
    for piece in [7, usize::MAX] {
        compare(&follow(input, piece), &single);
    }
    for (number, message) in single.messages.iter().enumerate() {
        let head = &input[message.head.clone()];
        let framing = one_framing(head);
        let rest = &input[message.head.end..];
        let is_last = number + 1 == single.messages.len();
        match message.end {
            Some(end) => {
                for lenient in [false, true] {
                    assert_eq!(body_length(framing, rest, lenient), Some(end - message.head.end), "{framing:?}");
                }
            }
            // Refused inside the body, or not at its end.
            None if is_last && single.violation.is_some() => {}
            None => assert!(is_last && body_length(framing, rest, false).is_none(), "{framing:?} has ended"),
        }
    }
});

/// What passed, and what became of the rest.
struct Followed {
    violation: Option<String>,
    phase: String,
    heads: u64,
    passed: usize,
    /// Only where the bytes came one by one.
    messages: Vec<Message>,
}

struct Message {
    head: Range<usize>,
    end: Option<usize>,
}

fn follow(input: &[u8], piece: usize) -> Followed {
    let mut guard = Http1Guard::new(HEAD, TARGET, HEADERS);
    let (mut passed, mut given, mut begin) = (0, 0, 0);
    let mut messages: Vec<Message> = Vec::new();
    while given < input.len() {
        given = given.saturating_add(piece).min(input.len());
        loop {
            passed += guard.advance(&input[passed..given]);
            assert!(passed <= given);
            if piece == 1 && guard.heads() > messages.len() as u64 {
                messages.push(Message { head: begin..passed, end: None });
            }
            let undecided = guard.is_undecided();
            guard.decide(false);
            if guard.is_between_messages() {
                if let Some(last) = messages.last_mut() {
                    last.end.get_or_insert(passed);
                }
                begin = passed;
            }
            if !undecided || passed == given {
                break;
            }
        }
    }
    Followed { violation: guard.violation(), phase: guard.phase(), heads: guard.heads(), passed, messages }
}

fn compare(whole: &Followed, single: &Followed) {
    assert_eq!(whole.phase, single.phase);
    assert_eq!(whole.heads, single.heads);
    if whole.violation.is_none() {
        assert_eq!(whole.passed, single.passed);
    }
    // A head that is too large is noticed at its limit, or as a whole, with what else is wrong with it behind the limit.
    let of_size = |violation: &Option<String>| {
        violation.as_ref().is_some_and(|name| name == "TargetTooLong" || name == "HeadTooLarge")
    };
    assert!(
        whole.violation == single.violation || of_size(&whole.violation) || of_size(&single.violation),
        "{:?} as a whole, {:?} byte by byte",
        whole.violation,
        single.violation
    );
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Nothing,
    Length(u64),
    Chunked,
}

/// What each way to read the head makes of it: strict or lenient, the first or the last of two headers, either of the two
/// that decide before the other.
fn one_framing(head: &[u8]) -> Framing {
    let shown = String::from_utf8_lossy(head);
    let (version, headers) = second_reading(head);
    let all = |name: &str| -> Vec<&[u8]> {
        headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| *value).collect()
    };
    assert!(all("host").len() <= 1, "{shown}");
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    let lengths = [lengths.first(), lengths.last()].map(|value| value.map(|value| leading_number(value)));
    let contains = |value: &&[u8]| value.to_ascii_lowercase().windows(7).any(|part| part == b"chunked");
    let ends = |value: &&[u8]| {
        let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
        last.eq_ignore_ascii_case(b"chunked")
    };
    let is = |value: &&[u8]| value.eq_ignore_ascii_case(b"chunked");
    let chunked = [
        !codings.is_empty(),
        codings.iter().any(contains),
        codings.first().is_some_and(ends),
        codings.last().is_some_and(ends),
        codings.iter().all(is) && !codings.is_empty(),
        codings.iter().any(is) && version == 1,
    ];
    let mut readings = Vec::new();
    for length in lengths {
        for chunked in chunked {
            let by_length = length.map(Framing::Length);
            let by_coding = chunked.then_some(Framing::Chunked);
            readings.push(by_coding.or(by_length).unwrap_or(Framing::Nothing));
            readings.push(by_length.or(by_coding).unwrap_or(Framing::Nothing));
        }
    }
    assert!(readings.windows(2).all(|pair| pair[0] == pair[1]), "{readings:?}: {shown}");
    readings[0]
}

/// Minor version and header lines, split by hand; the parser that others use must see the same.
fn second_reading(head: &[u8]) -> (u8, Vec<(&[u8], &[u8])>) {
    let shown = String::from_utf8_lossy(head);
    let Some(text) = head.strip_suffix(b"\r\n\r\n") else { panic!("{shown}") };
    assert!(head.len() <= HEAD, "{shown}");
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first: Vec<&[u8]> = lines.next().unwrap_or_default().split(|byte| *byte == b' ').collect();
    let [method, target, version @ (b"HTTP/1.0" | b"HTTP/1.1")] = first[..] else { panic!("{shown}") };
    assert!(!method.is_empty() && !target.is_empty() && target.len() <= TARGET, "{shown}");
    let headers: Vec<(&[u8], &[u8])> = lines
        .map(|line| {
            assert!(!line.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)), "{shown}");
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { panic!("{shown}") };
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
            assert!(!name.is_empty() && name.iter().all(token), "{shown}");
            (name, value.trim_ascii())
        })
        .collect();
    assert!(headers.len() <= HEADERS, "{shown}");
    let mut table = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut table);
    assert_eq!(parsed.parse(head), Ok(httparse::Status::Complete(head.len())), "{shown}");
    let theirs: Vec<(&[u8], &[u8])> =
        parsed.headers.iter().map(|header| (header.name.as_bytes(), header.value.trim_ascii())).collect();
    assert_eq!(headers, theirs, "{shown}");
    (version[7] - b'0', headers)
}

/// As `strtoull` reads it: white space and a plus before it, anything after it.
fn leading_number(value: &[u8]) -> u64 {
    let value = value.trim_ascii();
    let digits = value.strip_prefix(b"+").unwrap_or(value).iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

/// How many bytes a body has; `None` when it has not ended.
fn body_length(framing: Framing, bytes: &[u8], lenient: bool) -> Option<usize> {
    match framing {
        Framing::Nothing => Some(0),
        Framing::Length(length) => usize::try_from(length).ok().filter(|length| *length <= bytes.len()),
        Framing::Chunked => chunked_length(bytes, lenient),
    }
}

/// A lenient reader ends a line at LF and takes the first number in it; a strict one wants CR LF and nothing but digits.
fn chunked_length(bytes: &[u8], lenient: bool) -> Option<usize> {
    let mut at = 0;
    loop {
        let (size, end) = line(bytes, at, lenient)?;
        let size = size.split(|byte| *byte == b';').next()?;
        let trimmed = if lenient { size.trim_ascii() } else { size };
        let digits = trimmed.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if !lenient && digits != size.len() {
            return None;
        }
        let number = usize::from_str_radix(std::str::from_utf8(&trimmed[..digits]).ok()?, 16).ok()?;
        at = end;
        if number == 0 {
            break;
        }
        let (nothing, end) = line(bytes, at.checked_add(number).filter(|at| *at <= bytes.len())?, lenient)?;
        if !nothing.is_empty() {
            return None;
        }
        at = end;
    }
    loop {
        let (trailer, end) = line(bytes, at, lenient)?;
        at = end;
        if trailer.is_empty() {
            return Some(at);
        }
    }
}

/// The line that begins there, and where the next one does.
fn line(bytes: &[u8], at: usize, lenient: bool) -> Option<(&[u8], usize)> {
    let rest = &bytes[at..];
    let (content, end) = if lenient {
        let feed = rest.iter().position(|byte| *byte == b'\n')?;
        (rest[..feed].strip_suffix(b"\r").unwrap_or(&rest[..feed]), feed + 1)
    } else {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        (&rest[..end], end + 2)
    };
    Some((content, at + end))
}
