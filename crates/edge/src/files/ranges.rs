//! Parts of a file: the `Range` header (RFC 9110, 14.2), read against a length.

/// More ranges than this get the whole file: who needs so many is better off with it, and who does not is up to no good.
const MOST: usize = 16;

/// What of a file is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The header is absent, malformed or of another unit, or asks for too much; all of these are ignored.
    Whole,
    /// At least one, none empty, none past the end, no two overlapping; in the order of the request.
    Parts(Vec<Span>),
    /// Nothing that the file has.
    Unsatisfiable,
}

/// Bytes of a file, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub first: u64,
    /// Inclusive.
    pub last: u64,
}

impl Span {
    /// How many bytes.
    pub(crate) fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// Reads the header for a file of this length. An empty file is always whole: clients that bound every answer by a range
/// should not fail on it.
pub(crate) fn select(value: &[u8], length: u64) -> Selection {
    let set = std::str::from_utf8(value).ok().and_then(|text| text.split_once('='));
    let Some((unit, set)) = set else { return Selection::Whole };
    if length == 0 || !unit.trim().eq_ignore_ascii_case("bytes") {
        return Selection::Whole;
    }
    let (mut spans, mut count) = (Vec::new(), 0);
    for range in set.split(',').map(|range| range.trim_matches([' ', '\t'])).filter(|range| !range.is_empty()) {
        count += 1;
        let Some(span) = read(range, length) else { return Selection::Whole };
        if count > MOST {
            return Selection::Whole;
        }
        spans.extend(span);
    }
    match spans.as_slice() {
        [] if count > 0 => Selection::Unsatisfiable,
        [] => Selection::Whole,
        spans if overlap(spans) => Selection::Whole,
        _ => Selection::Parts(spans),
    }
}

/// `None` when it is malformed, an empty option when the file does not reach that far.
fn read(range: &str, length: u64) -> Option<Option<Span>> {
    let (first, last) = range.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some((suffix > 0).then(|| Span { first: length.saturating_sub(suffix), last: length - 1 }));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some((first < length).then(|| Span { first, last: last.min(length - 1) }))
}

/// Digits alone; a number that is too large for us is past the end of every file.
fn number(digits: &str) -> Option<u64> {
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn overlap(spans: &[Span]) -> bool {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|span| span.first);
    sorted.windows(2).any(|pair| pair[1].first <= pair[0].last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &str) -> Option<Vec<(u64, u64)>> {
        match select(value.as_bytes(), 1000) {
            Selection::Parts(spans) => Some(spans.into_iter().map(|span| (span.first, span.last)).collect()),
            _ => None,
        }
    }

    #[test]
    fn single_open_and_suffix_ranges() {
        assert_eq!(parts("bytes=0-0"), Some(vec![(0, 0)]));
        assert_eq!(parts("bytes=0-499"), Some(vec![(0, 499)]));
        assert_eq!(parts("bytes=500-"), Some(vec![(500, 999)]));
        assert_eq!(parts("bytes=-1"), Some(vec![(999, 999)]));
        assert_eq!(parts("bytes=-5000"), Some(vec![(0, 999)]));
        assert_eq!(parts("bytes=990-99999999999999999999999"), Some(vec![(990, 999)]));
        assert_eq!(parts("Bytes = 1-2 "), Some(vec![(1, 2)]));
    }

    #[test]
    fn several_ranges_keep_their_order_and_lose_what_is_not_there() {
        assert_eq!(parts("bytes=500-599, 0-9,, -1"), Some(vec![(500, 599), (0, 9), (999, 999)]));
        assert_eq!(parts("bytes=0-1,2000-3000"), Some(vec![(0, 1)]));
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for value in [
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "items=0-1",
            "bytes=0x1-2",
            "bytes=1 -2",
            "bytes=,",
            "bytes=0-1,x",
            "=0-1",
            "bytes=--1",
        ] {
            assert_eq!(select(value.as_bytes(), 1000), Selection::Whole, "{value}");
        }
        assert_eq!(select(b"bytes=\xff-1", 1000), Selection::Whole);
    }

    #[test]
    fn what_the_file_does_not_have_is_unsatisfiable() {
        for value in
            ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999999-", "bytes=1000-,2000-"]
        {
            assert_eq!(select(value.as_bytes(), 1000), Selection::Unsatisfiable, "{value}");
        }
        assert_eq!(select(b"bytes=0-", 0), Selection::Whole);
        assert_eq!(select(b"bytes=-5", 0), Selection::Whole);
    }

    #[test]
    fn many_or_overlapping_ranges_get_the_whole_file() {
        assert_eq!(select(b"bytes=0-10,5-15", 1000), Selection::Whole);
        assert_eq!(select(b"bytes=0-,0-,0-", 1000), Selection::Whole);
        let many = |count: u64| {
            let ranges: Vec<String> = (0..count).map(|index| format!("{0}-{0}", index * 2)).collect();
            select(format!("bytes={}", ranges.join(",")).as_bytes(), 1000)
        };
        assert!(matches!(many(16), Selection::Parts(spans) if spans.len() == 16));
        assert_eq!(many(17), Selection::Whole);
    }
}
