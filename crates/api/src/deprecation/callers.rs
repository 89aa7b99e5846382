//! Who still calls what will go away: counts for each caller, bounded.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, header::USER_AGENT};
use jiff::Timestamp;
use seaworthy_core::{PrincipalKind, RequestContext};
use serde_json::{Value, json};

/// So many callers of one route are told apart; the calls of others are counted together.
const MOST: usize = 1_000;
/// Longer names are cut.
const LONGEST: usize = 120;

/// The counts of all deprecated routes. They outlive a reload, and not a restart.
#[derive(Debug, Clone, Default)]
pub struct Callers(Arc<Mutex<HashMap<String, OfRoute>>>);

/// The counts of one route.
#[derive(Debug, Clone, Default)]
pub(super) struct OfRoute(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    hasher: RandomState,
    callers: HashMap<u64, Caller>,
    calls: u64,
    /// Calls of those that were too many to tell apart.
    others: u64,
}

#[derive(Debug)]
struct Caller {
    kind: &'static str,
    who: String,
    agent: String,
    calls: u64,
    first: SystemTime,
    last: SystemTime,
}

impl Callers {
    /// The counts of one route, by its name.
    pub(super) fn of_route(&self, route: &str) -> OfRoute {
        self.lock().entry(route.to_owned()).or_default().clone()
    }

    /// What is known of a route's callers, those who call most first.
    pub fn report(&self, route: &str) -> Value {
        let of_route = self.lock().get(route).cloned().unwrap_or_default();
        let counts = of_route.lock();
        let mut callers: Vec<&Caller> = counts.callers.values().collect();
        callers.sort_by(|one, other| (other.calls, &one.who, &one.agent).cmp(&(one.calls, &other.who, &other.agent)));
        let callers: Vec<Value> = callers.into_iter().map(Caller::json).collect();
        json!({ "calls": counts.calls, "others": counts.others, "callers": callers })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfRoute>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfRoute {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and says what its caller is.
    pub(super) fn count(&self, context: &RequestContext, headers: &HeaderMap, now: SystemTime) -> &'static str {
        let agent = headers.get(USER_AGENT).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let principal = context.principal.get().map(|principal| principal.details());
        let address = context.client.map(|address| address.to_canonical());
        let kind = match principal.map(|details| details.kind) {
            Some(PrincipalKind::User) => "user",
            Some(PrincipalKind::Service) => "service",
            None => "address",
        };
        let mut counts = self.lock();
        counts.calls += 1;
        let id = principal.map(|details| details.id.as_str());
        let key = counts.hasher.hash_one((kind, id, address.filter(|_| id.is_none()), agent));
        if let Some(caller) = counts.callers.get_mut(&key) {
            caller.calls += 1;
            caller.last = now;
        } else if counts.callers.len() < MOST {
            let who = id.map_or_else(|| address.as_ref().map(IpAddr::to_string).unwrap_or_default(), str::to_owned);
            let (who, agent) = (shown(&who), shown(&String::from_utf8_lossy(agent)));
            counts.callers.insert(key, Caller { kind, who, agent, calls: 1, first: now, last: now });
        } else {
            counts.others += 1;
        }
        kind
    }
}

impl Caller {
    fn json(&self) -> Value {
        let Self { kind, who, agent, calls, first, last } = self;
        json!({ "kind": kind, "who": who, "agent": agent, "calls": calls, "first": text(*first), "last": text(*last) })
    }
}

/// To the second (RFC 3339).
fn text(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// What a client says of itself, cut and without what a terminal would act on.
fn shown(text: &str) -> String {
    text.chars().take(LONGEST).map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use seaworthy_core::RequestId;

    use super::*;

    #[test]
    fn callers_are_told_apart_up_to_a_bound() {
        let callers = Callers::default();
        let route = callers.of_route("/old");
        let call = |address: [u8; 4], agent: &str| {
            let mut context = RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r")).unwrap());
            context.client = Some(IpAddr::from(address));
            let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_bytes(agent.as_bytes()).unwrap())]);
            assert_eq!(route.count(&context, &headers, UNIX_EPOCH), "address");
        };
        for _ in 0..3 {
            call([192, 0, 2, 1], "curl");
        }
        for number in 0..1200_u16 {
            call([10, 0, number.to_be_bytes()[0], number.to_be_bytes()[1]], &"a\u{9b}".repeat(200));
        }
        let report = callers.report("/old");
        assert_eq!((&report["calls"], &report["others"]), (&json!(1203), &json!(201)));
        assert_eq!(report["callers"].as_array().unwrap().len(), 1000);
        assert_eq!(report["callers"][0]["who"], "192.0.2.1");
        assert_eq!(report["callers"][0]["calls"], 3);
        assert_eq!(report["callers"][0]["first"], "1970-01-01T00:00:00Z");
        assert_eq!(report["callers"][1]["agent"], "a?".repeat(60));
        assert_eq!(callers.report("/other")["calls"], 0);
    }
}
