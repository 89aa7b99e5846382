//! What the fuzz targets call: what reads a client's bytes for compression, and the bytes of tiers. No interface for anyone
//! else.

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_ENCODING, ETAG, IF_NONE_MATCH},
};
use seaworthy_core::{Accepted, Coding};

use crate::{
    compression::{CompressionSetting, negotiated, tags},
    tiers::{
        Removal,
        record::{open, sealed},
    },
};

/// A strong tag with each coding's name in it, sent back by a client, and as the app then sees it; `None` where it is no tag.
pub fn tags_and_back(tag: &[u8]) -> Option<Vec<HeaderValue>> {
    let tag = HeaderValue::from_bytes(tag).ok()?;
    Some(
        Coding::ALL
            .map(|coding| {
                let mut answer = HeaderMap::from_iter([(ETAG, tag.clone())]);
                tags::mark(&mut answer, coding);
                let sent = answer.remove(ETAG).unwrap_or_else(|| tag.clone());
                let mut request = HeaderMap::from_iter([(IF_NONE_MATCH, sent)]);
                tags::unmark(&mut request);
                request.remove(IF_NONE_MATCH).unwrap_or_else(|| tag.clone())
            })
            .to_vec(),
    )
}

/// The codings that an `Accept-Encoding` takes, and those of what it is written as before the cache.
pub fn accepted_and_rewritten(value: &[u8]) -> Option<(Vec<Coding>, Vec<Coding>)> {
    let given = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_bytes(value).ok()?)]);
    let policy = CompressionSetting::Switch(true).policy()?;
    let rewritten = HeaderMap::from_iter([(ACCEPT_ENCODING, negotiated(&policy, &given))]);
    let ours = [Coding::Zstandard, Coding::Gzip, Coding::Brotli];
    let codings = |headers: &HeaderMap| Accepted::of(headers, &ours).iter().collect();
    Some((codings(&given), codings(&rewritten)))
}

/// Whether bytes are a record of a tier, and what of them is as large as they are at most; and a removal that another node
/// tells, which is the same when it is told on.
pub fn record_and_removal(bytes: &[u8]) -> (bool, bool) {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let now = (std::time::Instant::now(), std::time::SystemTime::now());
    let is_record = [bytes.clone(), sealed(&bytes)].into_iter().any(|bytes| open(&bytes, now).is_some());
    let removal = Removal::from_bytes(&bytes);
    (is_record, Removal::from_bytes(&removal.to_bytes()) == removal)
}
