//! What the fuzz targets call of this room (see `crate::fuzzing`).

use http::{HeaderMap, HeaderValue, header};
use seaworthy_core::{Accepted, Coding};

use super::{
    conditions, hashed_name,
    path::{self, RequestPath},
    ranges::{self, Selection},
};

/// The path below the root that a request's path names, or (second) the spelling that it is sent to.
pub fn file_path(path: &str, strip: &str) -> Option<Result<String, String>> {
    match path::parse(path, strip)? {
        RequestPath::Place(place) => Some(Ok(place.relative)),
        RequestPath::Respelled(path) => Some(Err(path)),
    }
}

/// First and last byte of each part of a file of this length; empty when none can be had, `None` for the whole.
pub fn byte_ranges(value: &[u8], length: u64) -> Option<Vec<(u64, u64)>> {
    match ranges::select(value, length) {
        Selection::Whole => None,
        Selection::Parts(spans) => Some(spans.into_iter().map(|span| (span.first, span.last)).collect()),
        Selection::Unsatisfiable => Some(Vec::new()),
    }
}

/// The names of the codings that an `Accept-Encoding` takes.
pub fn content_codings(value: &[u8]) -> Vec<&'static str> {
    let Ok(value) = HeaderValue::from_bytes(value) else { return Vec::new() };
    let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
    Accepted::of(&headers, &Coding::ALL).iter().map(Coding::name).collect()
}

/// How many entity tags a list has.
pub fn entity_tags(value: &[u8]) -> usize {
    conditions::entity_tags(value).count()
}

/// Whether a name is kept for a year.
pub fn is_hashed(path: &str) -> bool {
    hashed_name::is_hashed(path)
}
