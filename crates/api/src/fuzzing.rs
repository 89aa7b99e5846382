//! What the fuzz targets call. Not for anybody else.

use http::{HeaderMap, HeaderValue};

use crate::{
    idempotency::key::{Given, IDEMPOTENCY_KEY, given},
    rewriting::path,
};

/// Whether a path has one meaning alone.
pub fn is_plain(path: &str) -> bool {
    path::is_plain(path)
}

/// The key that a header's value means.
pub fn key(value: HeaderValue) -> Option<Vec<u8>> {
    match given(&HeaderMap::from_iter([(IDEMPOTENCY_KEY, value)])) {
        Given::Key(key) => Some(key.to_vec()),
        Given::Nothing | Given::Malformed => None,
    }
}
