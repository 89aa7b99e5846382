//! The cache's metrics, with handles kept so that a request looks nothing up.

use metrics::{Counter, Gauge};

const REQUESTS: &str = "seaworthy_cache_requests_total";
const BYTES: &str = "seaworthy_cache_bytes";
const STORED: &str = "seaworthy_cache_stored_total";
const EVICTED: &str = "seaworthy_cache_evicted_total";
const PURGED: &str = "seaworthy_cache_purged_total";
const TIER_HITS: &str = "seaworthy_cache_tier_hits_total";
const TIER_MISSES: &str = "seaworthy_cache_tier_misses_total";
const TIER_FAILED: &str = "seaworthy_cache_tier_failed_total";
const TIER_WRITTEN: &str = "seaworthy_cache_tier_writes_total";
const TIER_LEFT_OUT: &str = "seaworthy_cache_tier_writes_left_out_total";
const TIER_EVICTED: &str = "seaworthy_cache_tier_evicted_total";
const TIER_BYTES: &str = "seaworthy_cache_tier_bytes";

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

/// Of a tier below the memory.
pub(crate) struct OneTier {
    pub hits: Counter,
    pub misses: Counter,
    /// It did not answer, or too late.
    pub failed: Counter,
    pub written: Counter,
    /// Not written: too much waited, or it could not be.
    pub left_out: Counter,
    pub evicted: Counter,
    pub bytes: Gauge,
}

/// Of the tiers.
pub(crate) struct TierCounts {
    pub disk: OneTier,
    pub redis: OneTier,
}

impl TierCounts {
    pub(crate) fn new() -> Self {
        metrics::describe_counter!(TIER_HITS, "Answers found in a tier below the memory.");
        metrics::describe_counter!(TIER_MISSES, "Looks at a tier that found nothing of use.");
        metrics::describe_counter!(TIER_FAILED, "Looks at a tier that did not answer in time, or with an error.");
        metrics::describe_counter!(TIER_WRITTEN, "Answers written to a tier.");
        metrics::describe_counter!(TIER_LEFT_OUT, "Answers that a tier was too slow for, or could not take.");
        metrics::describe_counter!(TIER_EVICTED, "Answers that a tier gave up because it was full.");
        metrics::describe_gauge!(TIER_BYTES, "Bytes that a tier's answers take.");
        Self { disk: OneTier::new("disk"), redis: OneTier::new("redis") }
    }
}

impl OneTier {
    fn new(tier: &'static str) -> Self {
        Self {
            hits: metrics::counter!(TIER_HITS, "tier" => tier),
            misses: metrics::counter!(TIER_MISSES, "tier" => tier),
            failed: metrics::counter!(TIER_FAILED, "tier" => tier),
            written: metrics::counter!(TIER_WRITTEN, "tier" => tier),
            left_out: metrics::counter!(TIER_LEFT_OUT, "tier" => tier),
            evicted: metrics::counter!(TIER_EVICTED, "tier" => tier),
            bytes: metrics::gauge!(TIER_BYTES, "tier" => tier),
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
