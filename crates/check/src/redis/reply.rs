//! What a Redis or Valkey server answers: RESP2 (the Redis serialization protocol), read from bytes that nobody vouches for.

/// Longer answers, and deeper or longer lists, are not read.
pub(crate) const LONGEST: usize = 4 << 20;
const DEEPEST: usize = 8;
const MOST: usize = 1 << 16;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A line, or a text of known length.
    Text(String),
    /// The server refuses, and says why.
    Error(String),
    /// A number.
    Number(i64),
    /// Several.
    List(Vec<Reply>),
    /// There is none.
    Nothing,
}

/// Bytes that are no answer; which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// The answer that these bytes begin with, and its length; nothing while it is not whole.
///
/// # Errors
///
/// When no continuation of the bytes would be an answer that we read.
pub fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    one(bytes, 0)
}

fn one(bytes: &[u8], depth: usize) -> Result<Option<(Reply, usize)>, Malformed> {
    if depth > DEEPEST {
        return Err(Malformed("lists in lists too deep"));
    }
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() > LONGEST { Err(Malformed("a line without end")) } else { Ok(None) };
    };
    let line = String::from_utf8_lossy(bytes.get(1..end).unwrap_or_default()).into_owned();
    let after = end + 2;
    let number = || line.parse::<i64>().map_err(|_| Malformed("a length that is no number"));
    match bytes.first() {
        Some(b'+') => Ok(Some((Reply::Text(line), after))),
        Some(b'-') => Ok(Some((Reply::Error(line), after))),
        Some(b':') => Ok(Some((Reply::Number(number()?), after))),
        Some(b'$') => text(bytes, after, number()?),
        Some(b'*') => list(bytes, after, number()?, depth),
        _ => Err(Malformed("it does not speak the Redis protocol")),
    }
}

fn text(bytes: &[u8], from: usize, length: i64) -> Result<Option<(Reply, usize)>, Malformed> {
    let Ok(length) = usize::try_from(length) else { return Ok(Some((Reply::Nothing, from))) };
    if length > LONGEST {
        return Err(Malformed("a text that is too long"));
    }
    let Some(rest) = bytes.get(from..from + length + 2) else { return Ok(None) };
    if !rest.ends_with(b"\r\n") {
        return Err(Malformed("a text that is longer than it says"));
    }
    Ok(Some((Reply::Text(String::from_utf8_lossy(&rest[..length]).into_owned()), from + length + 2)))
}

fn list(bytes: &[u8], mut at: usize, length: i64, depth: usize) -> Result<Option<(Reply, usize)>, Malformed> {
    let Ok(length) = usize::try_from(length) else { return Ok(Some((Reply::Nothing, at))) };
    if length > MOST {
        return Err(Malformed("a list that is too long"));
    }
    // What it says may be more than it has: room is made as entries come.
    let mut entries = Vec::new();
    for _ in 0..length {
        let Some((entry, took)) = one(&bytes[at..], depth + 1)? else { return Ok(None) };
        entries.push(entry);
        at += took;
    }
    Ok(Some((Reply::List(entries), at)))
}

impl Reply {
    /// The text, when it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, when it is a list.
    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(entries) => entries,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_and_a_half_one_is_waited_for() {
        let whole = b"*4\r\n$3\r\na\r\n\r\n:-7\r\n*-1\r\n-ERR no\r\nrest";
        let expected = Reply::List(vec![
            Reply::Text("a\r\n".into()),
            Reply::Number(-7),
            Reply::Nothing,
            Reply::Error("ERR no".into()),
        ]);
        assert!(read(b"*1\r\n$3\r\nabcXX").is_err());
        let whole_length = whole.len() - 4;
        let fixed = b"*4\r\n$3\r\na\r\n\r\n:-7\r\n*-1\r\n-ERR no\r\n";
        assert_eq!(read(whole).unwrap(), Some((expected, whole_length)));
        for end in 0..fixed.len() {
            assert_eq!(read(&fixed[..end]).unwrap(), None, "{end}");
        }
        assert_eq!(read(b"+OK\r\n").unwrap(), Some((Reply::Text("OK".into()), 5)));
        assert_eq!(read(b"$-1\r\n").unwrap(), Some((Reply::Nothing, 5)));
    }

    #[test]
    fn hostile_answers_are_refused() {
        for bytes in
            [&b"HTTP/1.1 400\r\n"[..], b"$99999999999\r\n", b"*99999999\r\n", b"$x\r\n", b":\r\n", b"\r\n", b"!\r\n"]
        {
            assert!(read(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(read("*1\r\n".repeat(20).as_bytes()).is_err());
    }
}
