//! A question to a DNS server, and its answer (RFC 1035, 4.1). What comes back may be anybody's: it is read within bounds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of four bytes, and of sixteen (RFC 3596).
pub(super) const A: u16 = 1;
pub(super) const AAAA: u16 = 28;
const INTERNET: u16 = 1;
/// More records than that are not read.
const MOST: usize = 64;

/// What a server says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its addresses, aliases followed by the server.
    Addresses(Vec<IpAddr>),
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// It gives none; its code (RFC 1035, 4.1.1).
    Refused(u8),
}

/// A question for the addresses of a name; nothing for what is no name.
pub(super) fn question(id: u16, host: &str, kind: u16) -> Option<Vec<u8>> {
    // One question; the server may ask others for us.
    let mut bytes = Vec::from(id.to_be_bytes());
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in host.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        bytes.push(length);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(INTERNET.to_be_bytes());
    (bytes.len() < 300).then_some(bytes)
}

/// Reads the answer to a question; nothing for what is no answer to it.
pub(super) fn answer(question: &[u8], bytes: &[u8]) -> Option<Answer> {
    let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let last = question.len().checked_sub(4)?;
    let kind = u16::from_be_bytes([*question.get(last)?, *question.get(last + 1)?]);
    // The same id and the same question, and it is an answer. Letters may come back in another case.
    let same = bytes.get(..2)? == question.get(..2)?
        && bytes.get(12..question.len())?.eq_ignore_ascii_case(question.get(12..)?)
        && bytes.get(2)? & 0x80 != 0;
    if !same {
        return None;
    }
    match bytes.get(3)? & 0x0f {
        0 => {}
        3 => return Some(Answer::NoSuchName),
        code => return Some(Answer::Refused(code)),
    }
    let (records, mut at) = (usize::from(number(6)?).min(MOST), question.len());
    let mut found = Vec::new();
    for _ in 0..records {
        at = after_name(bytes, at)?;
        let (of, length) = (number(at)?, usize::from(number(at + 8)?));
        let data = bytes.get(at + 10..at + 10 + length)?;
        if of == kind {
            found.push(match of {
                A => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?)),
                _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?)),
            });
        }
        at += 10 + length;
    }
    Some(Answer::Addresses(found))
}

/// Where a name ends: at its last label, or at a pointer to the rest of it. No pointer is followed.
fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length if length < 64 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with an alias and an address.
    fn reply(question: &[u8]) -> Vec<u8> {
        let mut bytes = question.to_vec();
        (bytes[2], bytes[3], bytes[7]) = (0x81, 0x80, 2);
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'b', 0xc0, 12]);
        bytes.extend([1, b'b', 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
        bytes
    }

    #[test]
    fn addresses_are_read_behind_aliases() {
        let asked = question(7, "app.example.com.", A).unwrap();
        let expected = Answer::Addresses(vec!["192.0.2.7".parse().unwrap()]);
        assert_eq!(answer(&asked, &reply(&asked)), Some(expected));
        let mut none = reply(&asked);
        none[3] = 0x83;
        assert_eq!(answer(&asked, &none), Some(Answer::NoSuchName));
        none[3] = 0x82;
        assert_eq!(answer(&asked, &none), Some(Answer::Refused(2)));
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_nothing() {
        let asked = question(7, "app.example.com", A).unwrap();
        let whole = reply(&asked);
        for end in 0..whole.len() {
            assert!(answer(&asked, &whole[..end]).is_none(), "{end}");
        }
        let other = question(8, "app.example.com", A).unwrap();
        assert!(answer(&other, &whole).is_none());
        let other = question(7, "app.example.net", A).unwrap();
        assert!(answer(&other, &whole).is_none());
        assert!(answer(&asked, &asked).is_none(), "a question");
        assert!(question(1, "a..b", A).is_none() && question(1, &"a".repeat(70), A).is_none());
    }
}
