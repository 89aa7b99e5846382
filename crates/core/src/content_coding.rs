//! Which content codings a client takes (RFC 9110, 12.5.3), of those that we can send.

use http::{HeaderMap, header};

/// A coding that we read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstandard,
    /// RFC 1952.
    Gzip,
}

/// The codings that a client takes, the one that it likes best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// With their weights in thousandths, 1 to 1000.
    codings: [Option<(Coding, u16)>; Coding::ALL.len()],
}

impl Coding {
    /// Every one. Smallest first: at the highest level Brotli is, for text.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstandard, Self::Gzip];

    /// The name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

impl Accepted {
    /// The codings of `ours` that a client with these headers takes at least as gladly as the plain answer. Where its
    /// weights are the same, the order is that of `ours`. Without `Accept-Encoding` there are none. A client that refuses the
    /// plain answer too gets it all the same when nothing else is there.
    pub fn of(headers: &HeaderMap, ours: &[Coding]) -> Self {
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
                match Coding::ALL.iter().position(named) {
                    Some(position) => given[position] = Some(weight),
                    None if name == b"*" => others = Some(weight),
                    None if name.eq_ignore_ascii_case(b"identity") => identity = weight,
                    None => {}
                }
            }
        }
        let mut codings = [None; 3];
        for (place, coding) in codings.iter_mut().zip(ours) {
            let weight = given[*coding as usize].or(others).unwrap_or(0);
            *place = (weight > 0 && weight >= identity).then_some((*coding, weight));
        }
        // Stable, so that equals stay in our order.
        codings.sort_by_key(|taken| std::cmp::Reverse(taken.map_or(0, |(_, weight)| weight)));
        Self { codings }
    }

    /// The one to send.
    pub fn best(&self) -> Option<Coding> {
        self.codings[0].map(|(coding, _)| coding)
    }

    /// Best first.
    pub fn iter(&self) -> impl Iterator<Item = Coding> {
        self.codings.into_iter().flatten().map(|(coding, _)| coding)
    }

    /// Whether the client likes all of them alike.
    pub fn is_even(&self) -> bool {
        let mut weights = self.codings.iter().flatten().map(|(_, weight)| weight);
        weights.next().is_none_or(|first| weights.all(|weight| weight == first))
    }
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
        Accepted::of(&headers, &Coding::ALL).iter().map(Coding::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn weights_decide_and_our_order_breaks_ties() {
        assert_eq!(names("gzip, deflate, br, zstd"), "br zstd gzip");
        assert_eq!(names("gzip;q=1.0, br;q=0.9"), "gzip br");
        assert_eq!(names("br ; q=0.5 , GZIP;Q=0.501"), "gzip br");
        assert_eq!(names("x-gzip"), "gzip");
        assert_eq!(names("deflate"), "");
        assert_eq!(names(""), "");
        assert_eq!(Accepted::of(&HeaderMap::new(), &Coding::ALL), Accepted::default());
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

    #[test]
    fn only_ours_in_our_order() {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"))]);
        let accepted = Accepted::of(&headers, &[Coding::Zstandard, Coding::Gzip]);
        assert_eq!(accepted.iter().collect::<Vec<_>>(), [Coding::Zstandard, Coding::Gzip]);
        assert_eq!((accepted.best(), accepted.is_even()), (Some(Coding::Zstandard), true));
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br;q=0.5"))]);
        assert!(!Accepted::of(&headers, &Coding::ALL).is_even());
        assert_eq!(Accepted::of(&headers, &[]).best(), None);
    }
}
