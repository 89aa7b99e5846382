//! `Cache-Status`: what the cache did, for whoever wonders (RFC 9211).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::tiers::Tier;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// Answered from the store, with so many seconds of freshness left; none and less when it is stale. `from`: the tier
    /// below the memory that had it.
    Hit { ttl: i64, from: Option<Tier> },
    /// Another request fetched it meanwhile.
    Collapsed,
    /// The app was asked.
    Forwarded { why: &'static str, status: StatusCode, stored: bool },
    /// The app failed, and what was stored stood in.
    StoodIn { status: StatusCode },
    /// Nothing is stored, and the client wanted the app not to be asked.
    NotStored,
}

/// Adds ours behind those of caches nearer to the app.
pub(crate) fn tell(headers: &mut HeaderMap, outcome: Outcome) {
    let text = match outcome {
        Outcome::Hit { ttl, from } => {
            let detail = from.map(|tier| format!("; detail={}", tier.name())).unwrap_or_default();
            format!("seaworthy; hit; ttl={ttl}{detail}")
        }
        Outcome::Collapsed => "seaworthy; fwd=uri-miss; collapsed".to_owned(),
        Outcome::Forwarded { why, status, stored } => {
            let stored = if stored { "; stored" } else { "" };
            format!("seaworthy; fwd={why}; fwd-status={}{stored}", status.as_u16())
        }
        Outcome::NotStored => "seaworthy; detail=only-if-cached".to_owned(),
        Outcome::StoodIn { status } => {
            format!("seaworthy; fwd=stale; fwd-status={}; detail=stale-if-error", status.as_u16())
        }
    };
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(CACHE_STATUS, value);
    }
}
