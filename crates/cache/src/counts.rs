//! The cache's metrics, with handles kept so that a request looks nothing up.

use metrics::{Counter, Gauge};

const REQUESTS: &str = "seaworthy_cache_requests_total";
const BYTES: &str = "seaworthy_cache_bytes";
const STORED: &str = "seaworthy_cache_stored_total";
const EVICTED: &str = "seaworthy_cache_evicted_total";
const PURGED: &str = "seaworthy_cache_purged_total";

/// Of the store.
pub(crate) struct StoreCounts {
    pub bytes: Gauge,
    pub stored: Counter,
    pub evicted: Counter,
    pub purged: Counter,
}

impl StoreCounts {
    pub(crate) fn new() -> Self {
        metrics::describe_gauge!(BYTES, "Bytes that stored answers take, with those on their way into the store.");
        metrics::describe_counter!(STORED, "Answers stored, confirmed ones included.");
        metrics::describe_counter!(EVICTED, "Addresses given up because the memory was full.");
        metrics::describe_counter!(PURGED, "Answers taken out by order or by a request that changed something.");
        Self {
            bytes: metrics::gauge!(BYTES),
            stored: metrics::counter!(STORED),
            evicted: metrics::counter!(EVICTED),
            purged: metrics::counter!(PURGED),
        }
    }
}

/// Of one route: what became of its requests.
pub(crate) struct RouteCounts {
    /// Answered from the store.
    pub hit: Counter,
    /// Answered from the store past its freshness.
    pub stale: Counter,
    /// The app was asked whether the stored answer is still current, and it was.
    pub confirmed: Counter,
    /// The app answered.
    pub miss: Counter,
    /// The cache had nothing to do with it.
    pub pass: Counter,
}

impl RouteCounts {
    pub(crate) fn new(route: &str) -> Self {
        metrics::describe_counter!(REQUESTS, "Requests of routes with a cache, by what the cache did.");
        let counter =
            |result: &'static str| metrics::counter!(REQUESTS, "route" => route.to_owned(), "result" => result);
        Self {
            hit: counter("hit"),
            stale: counter("stale"),
            confirmed: counter("confirmed"),
            miss: counter("miss"),
            pass: counter("pass"),
        }
    }
}
