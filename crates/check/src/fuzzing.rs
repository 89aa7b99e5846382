//! What the fuzz targets call: everything here that reads bytes which nobody vouches for. No interface for anyone else.

use crate::{probes::dns_answer, redis::reply};

/// Reads an answer of a Redis: how many bytes it is long, when it is whole and one.
pub fn redis_reply(bytes: &[u8]) -> Option<usize> {
    reply::read(bytes).ok().flatten().map(|(_, length)| length)
}

/// Reads an answer of a DNS server to this question: how many addresses there are.
pub fn dns_addresses(question: &[u8], bytes: &[u8]) -> Option<usize> {
    dns_answer(question, bytes)
}
