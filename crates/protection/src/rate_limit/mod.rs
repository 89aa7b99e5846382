//! Refuses requests above a rate, and tells every client how much of it is left.
//!
//! Answers carry `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), a refusal also `Retry-After`
//! (RFC 9110, 10.2.3; status 429: RFC 6585, 4).

mod failures;
mod headers;
mod limiter;
mod policy;
mod service;
mod shared;

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

use http::{Response, StatusCode};
use seaworthy_core::{Body, Problem, ProblemKind, RequestContext};
use seaworthy_store::Redis;
use tower::Layer;

pub(crate) use self::{failures::Failures, limiter::ceiling};
pub use self::{
    headers::RateHeaders,
    policy::{Per, RatePolicy, RateSetting},
    service::{RateLimitFuture, RateLimitService},
};
use self::{
    headers::{Told, Written},
    limiter::{Decision, Key, Limiter},
    shared::SharedLimiter,
};

const LIMITED: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_RATE_LIMITED",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "Too many requests",
    advice: "Wait as long as Retry-After says. Operators: `rate` of the route or of [protection] sets the limit.",
};

/// What is counted, by route and policy. All cores share one, and it outlives a reload: a policy that stays keeps its counts.
#[derive(Debug, Clone, Default)]
pub struct RateLimits {
    counters: Arc<Mutex<HashMap<String, Weak<Counter>>>>,
    store: Option<Redis>,
}

/// Where one rate is counted.
enum Counter {
    Here(Limiter),
    Shared(SharedLimiter),
}

/// The layer.
#[derive(Clone)]
pub struct RateLimit(Arc<Limit>);

struct Limit {
    rates: Vec<(Per, Arc<Counter>)>,
    cost: u64,
    written: Written,
}

/// What became of a request by all rates.
enum Verdict {
    Passes(Option<Told>),
    Refused { retry_seconds: u64, told: Option<Told> },
}

impl RateLimits {
    /// Counts in this store, together with other nodes.
    pub fn shared(store: Option<Redis>) -> Self {
        Self { counters: Arc::default(), store }
    }

    /// The layer of one route: these rates hold for it, and a request takes `cost` of each. `None`: there are none.
    pub fn layer(&self, route: &str, policies: &[RatePolicy], cost: u64, headers: RateHeaders) -> Option<RateLimit> {
        let rates: Vec<_> = policies.iter().map(|policy| (policy.per(), self.counter(route, policy))).collect();
        let written = Written::new(policies, headers);
        (!rates.is_empty()).then(|| RateLimit(Arc::new(Limit { rates, cost, written })))
    }

    fn counter(&self, route: &str, policy: &RatePolicy) -> Arc<Counter> {
        let name = format!("{route} {policy}");
        let mut known = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, counter| counter.strong_count() > 0);
        known.get(&name).and_then(Weak::upgrade).unwrap_or_else(|| {
            let counter = Arc::new(match &self.store {
                None => Counter::Here(Limiter::new(policy, Instant::now())),
                Some(store) => Counter::Shared(SharedLimiter::new(&name, policy, store.clone(), Instant::now())),
            });
            known.insert(name, Arc::downgrade(&counter));
            counter
        })
    }
}

impl Counter {
    /// `None`: only the store can tell.
    fn decide_now(&self, key: Key, cost: u64, now: Instant) -> Option<Decision> {
        match self {
            Self::Here(limiter) => Some(limiter.decide(key, cost, 1, now)),
            Self::Shared(limiter) => limiter.decide_now(key, cost, now),
        }
    }

    async fn decide(&self, key: Key, cost: u64) -> Decision {
        match self {
            Self::Here(limiter) => limiter.decide(key, cost, 1, Instant::now()),
            Self::Shared(limiter) => limiter.decide(key, cost).await,
        }
    }

    fn give_back(&self, key: Key, cost: u64) {
        match self {
            Self::Here(limiter) => limiter.give_back(key, cost, 1),
            Self::Shared(limiter) => limiter.give_back(key, cost),
        }
    }
}

impl Limit {
    /// All rates must let it pass; `None`: only the store can tell.
    fn verdict_now(&self, context: Option<&RequestContext>, now: Instant) -> Option<Verdict> {
        if let [(per, counter)] = &self.rates[..] {
            return Some(self.verdict(&[counter.decide_now(Key::whose(*per, context), self.cost, now)?]));
        }
        let mut decisions = Vec::with_capacity(self.rates.len());
        for (per, counter) in &self.rates {
            let Some(decision) = counter.decide_now(Key::whose(*per, context), self.cost, now) else {
                self.give_back(&decisions, context);
                return None;
            };
            decisions.push(decision);
        }
        Some(self.of_all(decisions, context))
    }

    async fn verdict_later(&self, context: Option<&RequestContext>) -> Verdict {
        let mut decisions = Vec::with_capacity(self.rates.len());
        for (per, counter) in &self.rates {
            decisions.push(counter.decide(Key::whose(*per, context), self.cost).await);
        }
        self.of_all(decisions, context)
    }

    /// What one rate refuses takes nothing from the others.
    fn of_all(&self, decisions: Vec<Decision>, context: Option<&RequestContext>) -> Verdict {
        if decisions.iter().any(|decision| !decision.allowed) {
            self.give_back(&decisions, context);
        }
        self.verdict(&decisions)
    }

    fn give_back(&self, decisions: &[Decision], context: Option<&RequestContext>) {
        for ((per, counter), _) in self.rates.iter().zip(decisions).filter(|(_, decision)| decision.allowed) {
            counter.give_back(Key::whose(*per, context), self.cost);
        }
    }

    fn verdict(&self, decisions: &[Decision]) -> Verdict {
        let told = self.written.tell(decisions);
        let refusals = decisions.iter().filter(|decision| !decision.allowed);
        match refusals.map(Decision::retry_after_seconds).max() {
            None => Verdict::Passes(told),
            Some(retry_seconds) => Verdict::Refused { retry_seconds, told },
        }
    }
}

/// How long to wait, for a person.
pub(crate) fn again(seconds: u64) -> String {
    match seconds {
        0 | 1 => "You can try again in a second.".to_owned(),
        2..=119 => format!("You can try again in {seconds} seconds."),
        120..=7_199 => format!("You can try again in {} minutes.", seconds.div_ceil(60)),
        _ => format!("You can try again in {} hours.", seconds.div_ceil(3_600)),
    }
}

/// Who is counted as one client: an address, or the network of an IPv6 address.
pub(crate) fn network(client: IpAddr) -> IpAddr {
    match Key::of(Some(client)) {
        Key::Client(address) => address,
        _ => client,
    }
}

/// Who is counted as one client, as text: an address, or the network of an IPv6 address.
pub(crate) fn client_name(client: Option<IpAddr>) -> String {
    match Key::of(client) {
        Key::Client(address) => address.to_string(),
        _ => "unknown".to_owned(),
    }
}

fn refusal(seconds: u64, context: Option<&RequestContext>) -> Response<Body> {
    let problem = Problem::new(LIMITED).detail(again(seconds)).retry_after(seconds);
    context.map(|context| problem.into_response(context)).unwrap_or_else(|| {
        let mut bare = Response::new(seaworthy_core::empty_body());
        *bare.status_mut() = LIMITED.status;
        bare
    })
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").finish_non_exhaustive()
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RateLimit {
    type Service = RateLimitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimitService::new(inner, self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use http::{HeaderValue, Request};
    use seaworthy_core::{Principal, PrincipalDetails, PrincipalKind, RequestId, empty_body};
    use tower::ServiceExt;

    use super::*;

    async fn ask(layer: &RateLimit, client: &str, now: Instant) -> Response<Body> {
        ask_as(layer, client, None, now).await
    }

    async fn ask_as(layer: &RateLimit, client: &str, user: Option<(&str, &str)>, now: Instant) -> Response<Body> {
        let app = tower::service_fn(|_| async { Ok::<_, Infallible>(Response::new(empty_body())) });
        let mut context = RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r")).unwrap());
        context.client = Some(client.parse::<IpAddr>().unwrap());
        context.received = now;
        if let Some((id, tenant)) = user {
            let details = PrincipalDetails {
                kind: PrincipalKind::User,
                id: id.into(),
                tenant: Some(tenant.into()),
                roles: Vec::new(),
                scopes: Vec::new(),
            };
            context.principal.set(Principal::new(details)).unwrap();
        }
        let mut request = Request::new(empty_body());
        request.extensions_mut().insert(Arc::new(context));
        layer.layer(app).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn so_many_pass_and_the_rest_is_told_when() {
        let layer = layer_of(&RateLimits::default(), &["3/min"], 1, RateHeaders::Both);
        let now = Instant::now();
        for left in ["2", "1", "0"] {
            let answer = ask(&layer, "192.0.2.1", now).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["ratelimit-policy"], "\"default\";q=3;w=60");
            assert_eq!(answer.headers()["ratelimit"], format!("\"default\";r={left};t=20"));
            assert_eq!(answer.headers()["x-ratelimit-remaining"], left);
        }
        let refused = ask(&layer, "192.0.2.1", now).await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "20");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        assert_eq!(refused.headers()["ratelimit"], "\"default\";r=0;t=20", "as Retry-After says");
        assert_eq!(refused.headers()["x-ratelimit-reset"], "60");
        assert_eq!(ask(&layer, "192.0.2.2", now).await.status(), 200, "another client has its own");
        assert_eq!(ask(&layer, "192.0.2.1", now + Duration::from_secs(19)).await.status(), 429);
        assert_eq!(ask(&layer, "192.0.2.1", now + Duration::from_secs(20)).await.status(), 200);
    }

    #[tokio::test]
    async fn a_policy_that_stays_keeps_its_counts_over_cores_and_reloads() {
        let (limits, now) = (RateLimits::default(), Instant::now());
        let one = layer_of(&limits, &["1/min"], 1, RateHeaders::Standard);
        assert_eq!(ask(&one, "192.0.2.1", now).await.status(), 200);
        let other = layer_of(&limits, &["1/min"], 1, RateHeaders::Standard);
        drop(one);
        assert_eq!(ask(&other, "192.0.2.1", now).await.status(), 429);
        let changed = layer_of(&limits, &["2/min"], 1, RateHeaders::Standard);
        assert_eq!(ask(&changed, "192.0.2.1", now).await.status(), 200);
        assert!(!ask(&changed, "192.0.2.1", now).await.headers().contains_key("x-ratelimit-limit"));
    }

    fn layer_of(limits: &RateLimits, rates: &[&str], cost: u64, headers: RateHeaders) -> RateLimit {
        let policies: Vec<RatePolicy> = rates.iter().map(|rate| rate.parse().unwrap()).collect();
        limits.layer("*", &policies, cost, headers).unwrap()
    }

    #[tokio::test]
    async fn a_user_has_one_budget_from_every_address_and_a_tenant_one_for_all_its_users() {
        let (limits, now) = (RateLimits::default(), Instant::now());
        let per_user = layer_of(&limits, &["2/min per user"], 1, RateHeaders::Standard);
        let status = |layer: RateLimit, client: &'static str, user| async move {
            ask_as(&layer, client, user, now).await.status().as_u16()
        };
        let (ann, bob) = (Some(("ann", "acme")), Some(("bob", "acme")));
        assert_eq!(status(per_user.clone(), "192.0.2.1", ann).await, 200);
        assert_eq!(status(per_user.clone(), "192.0.2.2", ann).await, 200);
        assert_eq!(status(per_user.clone(), "192.0.2.3", ann).await, 429, "another address is the same user");
        assert_eq!(status(per_user.clone(), "192.0.2.1", bob).await, 200, "another user at the same address");
        assert_eq!(status(per_user.clone(), "192.0.2.1", None).await, 200, "who is anonymous counts by address");
        let per_tenant = layer_of(&limits, &["2/min per tenant"], 1, RateHeaders::Standard);
        for (user, expected) in [(ann, 200), (bob, 200), (ann, 429), (Some(("ann", "other")), 200)] {
            assert_eq!(status(per_tenant.clone(), "192.0.2.1", user).await, expected);
        }
        let per_route = layer_of(&limits, &["2/min per route"], 1, RateHeaders::Standard);
        for (client, expected) in [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.3", 429)] {
            assert_eq!(status(per_route.clone(), client, None).await, expected);
        }
    }

    #[tokio::test]
    async fn every_rate_of_a_list_holds_and_is_told() {
        let layer = layer_of(&RateLimits::default(), &["2/s", "10/min per user"], 2, RateHeaders::Both);
        let now = Instant::now();
        let first = ask(&layer, "192.0.2.1", now).await;
        assert_eq!(first.headers()["ratelimit-policy"], "\"address-1s\";q=2;w=1, \"user-60s\";q=10;w=60");
        assert_eq!(first.headers()["ratelimit"], "\"address-1s\";r=0;t=1, \"user-60s\";r=8;t=6");
        assert_eq!(
            (&first.headers()["x-ratelimit-limit"], &first.headers()["x-ratelimit-reset"]),
            (&"2".parse().unwrap(), &"1".parse().unwrap())
        );
        for _ in 0..20 {
            assert_eq!(ask(&layer, "192.0.2.1", now).await.status(), 429);
        }
        // What the first rate refused has taken nothing from the second.
        for second in 1..5 {
            let answer = ask(&layer, "192.0.2.1", now + Duration::from_secs(second)).await;
            assert_eq!(answer.status(), 200, "{second}");
        }
        let refused = ask(&layer, "192.0.2.1", now + Duration::from_secs(5)).await;
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_person_reads_how_long_to_wait() {
        let layer = layer_of(&RateLimits::default(), &["1/10m"], 1, RateHeaders::Off);
        let now = Instant::now();
        assert!(!ask(&layer, "192.0.2.1", now).await.headers().contains_key("ratelimit"));
        let mut context = RequestContext::new(RequestId::from_client(&HeaderValue::from_static("r")).unwrap());
        context.wants_html = true;
        let page = refusal(600, Some(&context));
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let body = http_body_util::BodyExt::collect(page.into_body()).await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("try again in 10 minutes"), "{body:?}");
    }
}
