//! Which content codings a client takes (RFC 9110, 12.5.3), of those that a build can leave beside a file.

use http::{HeaderMap, header};

/// A coding with files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Zstandard,
    Gzip,
}

/// Best first: files are compressed once, at the highest level, and there Brotli is the smallest for text.
const OURS: [Coding; 3] = [Coding::Brotli, Coding::Zstandard, Coding::Gzip];

impl Coding {
    /// The name in `Content-Encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of the compressed file ends in, after its dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zst",
            Self::Gzip => "gz",
        }
    }
}

/// The codings that the client takes at least as gladly as the plain file, best first. Without the header there are none.
/// A client that refuses the plain file too gets it all the same when nothing else is there.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<Coding> {
    let mut given: [Option<u16>; 3] = [None; 3];
    let (mut identity, mut others) = (0, None);
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for element in value.as_bytes().split(|byte| *byte == b',') {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = parts.next().map_or(1000, weight);
            let named = |coding: &Coding| {
                name.eq_ignore_ascii_case(coding.name().as_bytes())
                    || (*coding == Coding::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
            };
            match OURS.iter().position(named) {
                Some(position) => given[position] = Some(weight),
                None if name == b"*" => others = Some(weight),
                None if name.eq_ignore_ascii_case(b"identity") => identity = weight,
                None => {}
            }
        }
    }
    let weights = OURS.iter().zip(given).map(|(coding, weight)| (*coding, weight.or(others).unwrap_or(0)));
    let mut accepted: Vec<(Coding, u16)> = weights.filter(|(_, weight)| *weight > 0 && *weight >= identity).collect();
    // Stable, so that equals stay in our order.
    accepted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    accepted.into_iter().map(|(coding, _)| coding).collect()
}

/// `q=0.123` in thousandths. What cannot be read is taken as a refusal: the plain file is always right.
fn weight(parameter: &[u8]) -> u16 {
    let Some((b"q" | b"Q", digits)) = split(parameter, b'=') else { return 0 };
    let (whole, fraction) = split(digits, b'.').unwrap_or((digits, b""));
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let thousandths = (0..3).fold(0, |sum, place| {
        let digit = fraction.get(place).map_or(0, |digit| u16::from(digit - b'0'));
        sum * 10 + digit
    });
    match (whole, thousandths) {
        (b"0", thousandths) => thousandths,
        (b"1", 0) => 1000,
        _ => 0,
    }
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes[..position].trim_ascii(), bytes[position + 1..].trim_ascii()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn names(value: &'static str) -> String {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        accepted(&headers).into_iter().map(Coding::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn weights_decide_and_our_order_breaks_ties() {
        assert_eq!(names("gzip, deflate, br, zstd"), "br zstd gzip");
        assert_eq!(names("gzip;q=1.0, br;q=0.9"), "gzip br");
        assert_eq!(names("br ; q=0.5 , GZIP;Q=0.501"), "gzip br");
        assert_eq!(names("x-gzip"), "gzip");
        assert_eq!(names("deflate"), "");
        assert_eq!(names(""), "");
        assert!(accepted(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn zero_refuses_and_a_star_stands_for_the_rest() {
        assert_eq!(names("br;q=0, gzip"), "gzip");
        assert_eq!(names("*"), "br zstd gzip");
        assert_eq!(names("*;q=0.5, br;q=0"), "zstd gzip");
        assert_eq!(names("gzip;q=0, *;q=0"), "");
        assert_eq!(names("br;q=0.000"), "");
    }

    #[test]
    fn a_client_that_prefers_the_plain_file_gets_it() {
        assert_eq!(names("identity, gzip;q=0.5"), "");
        assert_eq!(names("identity;q=0.5, gzip;q=0.8, br;q=0.2"), "gzip");
        assert_eq!(names("identity;q=0, br"), "br");
    }

    #[test]
    fn a_weight_that_cannot_be_read_is_a_refusal() {
        for value in ["br;q=2", "br;q=1.001", "br;q=0.1234", "br;q=x", "br;q", "br;level=1", "br;q=", "br;q=0.-1"] {
            assert_eq!(names(value), "", "{value}");
        }
    }
}
