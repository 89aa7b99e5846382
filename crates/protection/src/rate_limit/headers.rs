//! How a client is told: the IETF's fields, and the older ones that some clients still read.

use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{limiter::Decision, policy::RatePolicy};

/// Which fields are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RateHeaders {
    /// `RateLimit-Policy` and `RateLimit`.
    #[default]
    Standard,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` (seconds) too.
    Both,
    /// None; only a refusal says when.
    Off,
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const OLD_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const OLD_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const OLD_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What is the same for every answer, written once.
pub(super) struct Written {
    which: RateHeaders,
    policy: HeaderValue,
    limit: HeaderValue,
}

impl Written {
    pub(super) fn new(policy: &RatePolicy, which: RateHeaders) -> Self {
        let text = format!("\"default\";q={};w={}", policy.requests, policy.window.as_secs());
        Self {
            which,
            // Digits and ASCII alone, so the fallback never shows.
            policy: HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"default\"")),
            limit: HeaderValue::from(policy.requests.get()),
        }
    }

    pub(super) fn put(&self, headers: &mut HeaderMap, decision: &Decision) {
        if self.which == RateHeaders::Off {
            return;
        }
        // `t` is when more is to be had, not when all of it is (draft 10, 4.1.2).
        let (remaining, next, reset) = (decision.remaining, decision.next_seconds(), decision.reset_seconds());
        headers.insert(POLICY, self.policy.clone());
        if let Ok(state) = HeaderValue::from_str(&format!("\"default\";r={remaining};t={next}")) {
            headers.insert(STATE, state);
        }
        if self.which == RateHeaders::Both {
            headers.insert(OLD_LIMIT, self.limit.clone());
            headers.insert(OLD_REMAINING, HeaderValue::from(remaining));
            headers.insert(OLD_RESET, HeaderValue::from(reset));
        }
    }
}
