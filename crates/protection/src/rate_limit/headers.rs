//! How a client is told: the IETF's fields, and the older ones that some clients still read.

use std::cell::RefCell;

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

thread_local! {
    /// Each answer's text is written here: it needs neither formatting machinery nor an allocation.
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What is the same for every answer, written once.
pub(super) struct Written {
    which: RateHeaders,
    policy: HeaderValue,
    /// Name and number of each rate.
    rates: Vec<(String, u64)>,
}

/// What one answer says.
pub(super) struct Told {
    state: HeaderValue,
    /// The number, what remains, and when it is whole again, of the rate that is nearest to its end.
    old: Option<(u64, u64, u64)>,
}

impl Written {
    pub(super) fn new(policies: &[RatePolicy], which: RateHeaders) -> Self {
        // Names are ours to choose, and tell the client which budget is meant (draft 10, 3.1).
        let name = |policy: &RatePolicy| match policies {
            [_] => "default".to_owned(),
            _ => format!("{}-{}s", policy.per.name(), policy.window.as_secs()),
        };
        let text: Vec<String> = policies
            .iter()
            .map(|policy| format!("\"{}\";q={};w={}", name(policy), policy.requests, policy.window.as_secs()))
            .collect();
        Self {
            which,
            // Digits and ASCII alone, so the fallback never shows.
            policy: HeaderValue::try_from(text.join(", ")).unwrap_or(HeaderValue::from_static("\"default\"")),
            rates: policies.iter().map(|policy| (name(policy), policy.requests.get())).collect(),
        }
    }

    /// What to say of these decisions, one for each rate.
    pub(super) fn tell(&self, decisions: &[Decision]) -> Option<Told> {
        if self.which == RateHeaders::Off {
            return None;
        }
        let state = TEXT.with_borrow_mut(|text| {
            text.clear();
            for ((name, _), decision) in self.rates.iter().zip(decisions) {
                let comma = if text.is_empty() { "" } else { ", " };
                // `t` is when more is to be had, not when all of it is (draft 10, 4.1.2).
                for piece in [comma, "\"", name, "\";r="] {
                    text.push_str(piece);
                }
                text.push_str(itoa::Buffer::new().format(decision.remaining));
                text.push_str(";t=");
                text.push_str(itoa::Buffer::new().format(decision.next_seconds()));
            }
            HeaderValue::from_str(text).ok()
        })?;
        let nearest = self.rates.iter().zip(decisions).min_by_key(|(_, decision)| decision.remaining);
        let old = nearest.filter(|_| self.which == RateHeaders::Both);
        Some(Told {
            state,
            old: old.map(|((_, limit), decision)| (*limit, decision.remaining, decision.reset_seconds())),
        })
    }

    pub(super) fn put(&self, headers: &mut HeaderMap, told: Told) {
        headers.insert(POLICY, self.policy.clone());
        headers.insert(STATE, told.state);
        if let Some((limit, remaining, reset)) = told.old {
            headers.insert(OLD_LIMIT, HeaderValue::from(limit));
            headers.insert(OLD_REMAINING, HeaderValue::from(remaining));
            headers.insert(OLD_RESET, HeaderValue::from(reset));
        }
    }
}
