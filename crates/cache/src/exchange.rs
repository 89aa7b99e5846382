//! The long way: nothing fresh is stored, so the app is asked, by one request for all that want the same.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE},
    request::Parts,
};
use http_body_util::BodyExt;
use seaworthy_core::{Body, ProblemKind, empty_body, full_body};
use tokio::time::timeout_at;

use crate::{
    app::App,
    directives::Directives,
    fill::Fill,
    freshness::{Received, terms},
    key::Key,
    layer::Route,
    policy::Partition,
    purge::{tag_hash, take_tags},
    status::Outcome,
    store::{Begun, Found},
    stored::Stored,
    storing::StoringBody,
    tiers::Tier,
};

/// A request that the store could not answer at once.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub app: App,
    pub route: Arc<Route>,
    pub parts: Parts,
    /// Of a POST that only asks.
    pub body: Bytes,
    pub key: Key,
    pub partition: Partition,
}

/// What a look at the store came to.
enum Look {
    Answer(Response<Body>),
    /// Ask the app; what comes may be stored, or confirm what is.
    Fetch(Fill, Option<Arc<Stored>>, &'static str),
    /// Ask the tiers below the memory; then look again.
    Below(Fill),
    /// Ask the app, and store nothing.
    Pass(&'static str),
    /// Wait for another request, and look again.
    Wait(Arc<crate::fill::Pending>),
}

/// What a request has done so far.
#[derive(Default)]
struct Done {
    waited: bool,
    /// It has looked below the memory.
    looked: bool,
    /// And found this there. The memory need not have room for it.
    found: Option<(Tier, Arc<Stored>)>,
}

impl Done {
    fn tier(&self) -> Option<Tier> {
        self.found.as_ref().map(|(tier, _)| *tier)
    }
}

impl Exchange {
    /// The answer, from wherever it comes.
    pub(crate) async fn run(self) -> Response<Body> {
        let until = tokio::time::Instant::now() + self.route.wait;
        let mut done = Done::default();
        loop {
            match self.look(&done) {
                Look::Answer(answer) => return answer,
                Look::Fetch(fill, stored, why) => return self.fetch(fill, stored, why).await,
                Look::Pass(why) => return self.pass(why).await,
                Look::Below(fill) => {
                    done.looked = true;
                    done.found = self.look_below(fill).await;
                }
                Look::Wait(pending) => {
                    done.waited = true;
                    if timeout_at(until, pending.done()).await.is_err() {
                        return self.pass("uri-miss").await;
                    }
                    // It may have been removed meanwhile, unless the memory has it still.
                    done.found = None;
                }
            }
        }
    }

    /// Puts what a tier has into the memory.
    async fn look_below(&self, fill: Fill) -> Option<(Tier, Arc<Stored>)> {
        let tiers = self.route.store.tiers()?;
        let (tier, saved) = tiers.look(&self.key, &self.route.policy_digest, &self.parts.headers).await?;
        fill.restore(tier, saved).map(|stored| (tier, stored))
    }

    fn look(&self, done: &Done) -> Look {
        let now = Instant::now();
        let found = match (self.route.store.find(&self.key, &self.parts.headers), &done.found) {
            (Found::Nothing | Found::OtherVariants, Some((_, stored))) => Found::Answer(stored.clone()),
            (found, _) => found,
        };
        let (stored, why) = match found {
            Found::Answer(stored) if !Route::may_share(self.partition, &stored) => return Look::Pass("bypass"),
            Found::Answer(stored) if stored.is_fresh(now) => return Look::Answer(self.hit(&stored, now, done)),
            Found::Answer(stored) => (Some(stored), "stale"),
            Found::OtherVariants => (None, "vary-miss"),
            Found::Nothing => (None, "uri-miss"),
        };
        let may_fill = self.may_fill(stored.as_deref());
        let below = stored.is_none() && !done.looked && self.route.store.tiers().is_some();
        if !may_fill && !below {
            return Look::Pass(why);
        }
        let usable = stored.as_ref().filter(|stored| stored.serves_while_revalidating(now));
        match (self.route.store.begin(&self.key), usable) {
            (Begun::Alone(pending), usable) => {
                let (store, key) = (self.route.store.clone(), self.key.clone());
                let fill = Fill::new(store, key, pending, &self.route.policy_digest);
                if let Some(stored) = usable {
                    self.refresh_behind(fill, stored.clone());
                    return Look::Answer(self.stale(stored, now, done));
                }
                // Another one may have stored it between the look and the begin.
                match self.route.store.find(&self.key, &self.parts.headers) {
                    Found::Answer(newer) if newer.is_fresh(now) && Route::may_share(self.partition, &newer) => {
                        drop(fill);
                        Look::Answer(self.hit(&newer, now, &Done { waited: true, ..Done::default() }))
                    }
                    _ if below && fill.may_look() => Look::Below(fill),
                    _ if may_fill => Look::Fetch(fill, stored, why),
                    _ => Look::Pass(why),
                }
            }
            (_, Some(stored)) => Look::Answer(self.stale(stored, now, done)),
            // Other variants need not be what this request waits for.
            (Begun::Busy(pending), None) if may_fill && why != "vary-miss" => Look::Wait(pending),
            (Begun::Busy(_) | Begun::Pass, None) => Look::Pass(why),
        }
    }

    /// A part, or word that nothing has changed, fills nothing; unless there is something that can be confirmed.
    fn may_fill(&self, stored: Option<&Stored>) -> bool {
        let headers = &self.parts.headers;
        let plain = ![RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|name| headers.contains_key(name));
        plain || stored.is_some_and(|stored| self.can_confirm(stored))
    }

    /// A POST with `If-None-Match` would not ask but forbid (RFC 9110, 13.1.2).
    fn can_confirm(&self, stored: &Stored) -> bool {
        self.parts.method == Method::GET && stored.can_be_confirmed()
    }

    fn hit(&self, stored: &Stored, now: Instant, done: &Done) -> Response<Body> {
        self.route.counts.hit.increment(1);
        // Whom it waited for need not have asked the app.
        if !done.waited || stored.from_tier {
            return self.route.hit(stored, &self.parts.method, &self.parts.headers, now, done.tier());
        }
        let mut answer = crate::answer::from_store(stored, &self.parts.method, &self.parts.headers, now);
        self.route.tell(&mut answer, Outcome::Collapsed);
        answer
    }

    fn stale(&self, stored: &Stored, now: Instant, done: &Done) -> Response<Body> {
        self.route.counts.stale.increment(1);
        self.route.hit(stored, &self.parts.method, &self.parts.headers, now, done.tier())
    }

    async fn pass(&self, why: &'static str) -> Response<Body> {
        let Ok(mut response) = self.app.ask(self.request(self.parts.headers.clone())).await;
        self.route.pass(&mut response, why);
        response
    }

    /// Refreshes a stale answer after its client has it.
    fn refresh_behind(&self, fill: Fill, stored: Arc<Stored>) {
        let exchange = self.clone();
        self.route.tasks.spawn(async move {
            let answer = exchange.fetch(fill, Some(stored), "stale").await;
            // The body is stored while it is read; nobody else reads it.
            let mut body = answer.into_body();
            while let Some(Ok(_)) = body.frame().await {}
        });
    }

    /// Asks the app, whether what is stored is current or for a new answer.
    async fn fetch(&self, fill: Fill, stored: Option<Arc<Stored>>, why: &'static str) -> Response<Body> {
        let mut headers = self.parts.headers.clone();
        let asked_if_current = stored.as_ref().is_some_and(|stored| self.can_confirm(stored));
        if let Some(stored) = stored.as_ref().filter(|_| asked_if_current) {
            stored.put_conditions(&mut headers);
            headers.remove(RANGE);
            headers.remove(IF_RANGE);
        }
        let asked = Instant::now();
        let Ok(response) = self.app.ask(self.request(headers)).await;
        let now = Instant::now();
        let received = Received { at: SystemTime::now(), delay: now.saturating_duration_since(asked) };
        match (response.status(), stored) {
            (StatusCode::NOT_MODIFIED, Some(stored)) if asked_if_current => {
                self.confirm(fill, &stored, response.headers(), (now, received)).await
            }
            (status, Some(stored)) if is_failure(status) && stored.serves_on_error(now) => {
                drop(fill);
                self.route.counts.stale.increment(1);
                let mut answer = crate::answer::from_store(&stored, &self.parts.method, &self.parts.headers, now);
                self.route.tell(&mut answer, Outcome::StoodIn { status });
                answer
            }
            (_, stale) => self.keep(fill, stale.as_ref(), response, why, (now, received)),
        }
    }

    /// What is stored is current (RFC 9111, 4.3.4).
    async fn confirm(
        &self,
        fill: Fill,
        stored: &Arc<Stored>,
        confirmation: &HeaderMap,
        (now, received): (Instant, Received),
    ) -> Response<Body> {
        let mut headers = stored.confirmed_headers(confirmation);
        let mut tags = Vec::new();
        take_tags(&mut headers, |tag| tags.push(tag_hash(tag)));
        let request = &self.parts.headers;
        let terms = terms(&self.route.policy, self.partition, request, stored.status, &headers, received);
        let may_stay = terms.is_some();
        let terms = terms.unwrap_or_else(|| stored.terms.clone());
        let mut confirmed =
            Stored::new(request, (stored.status, headers), stored.body.clone(), terms, (now, received.at));
        confirmed.tags = if tags.is_empty() { stored.tags.clone() } else { tags };
        let mut answer = crate::answer::from_store(&confirmed, &self.parts.method, request, now);
        let status = StatusCode::NOT_MODIFIED;
        self.route.counts.confirmed.increment(1);
        self.route.tell(&mut answer, Outcome::Forwarded { why: "stale", status, stored: may_stay });
        if may_stay {
            fill.store(confirmed);
        } else {
            fill.refuse();
            // It was right for this once, and the app wants it kept no longer.
            self.route.store.remove(&self.key, stored);
            if let Some(tiers) = self.route.store.tiers() {
                tiers.forget(&self.key, &self.route.policy_digest, stored).await;
            }
        }
        answer
    }

    /// Passes the app's answer on, and stores it on the way where that is allowed.
    fn keep(
        &self,
        fill: Fill,
        stale: Option<&Arc<Stored>>,
        response: Response<Body>,
        why: &'static str,
        at: (Instant, Received),
    ) -> Response<Body> {
        let (now, received) = at;
        let (mut parts, body) = response.into_parts();
        let mut tags = Vec::new();
        take_tags(&mut parts.headers, |tag| tags.push(tag_hash(tag)));
        let (status, request) = (parts.status, &self.parts.headers);
        let ours = parts.extensions.get::<ProblemKind>().is_some();
        let terms = terms(&self.route.policy, self.partition, request, status, &parts.headers, received)
            .filter(|_| !ours && http_body::Body::size_hint(&body).lower() <= self.route.largest as u64);
        self.route.counts.miss.increment(1);
        let stored = terms.is_some();
        let body = match terms {
            None => {
                fill.refuse();
                if let Some(stale) = stale.filter(|_| !ours && self.supersedes(status)) {
                    self.route.store.remove(&self.key, stale);
                }
                body
            }
            Some(terms) => {
                let head = (status, parts.headers.clone());
                let mut stored = Stored::new(request, head, Bytes::new(), terms, (now, received.at));
                stored.tags = tags;
                StoringBody::new(body, fill, stored, self.route.largest).boxed_unsync()
            }
        };
        let mut response = Response::from_parts(parts, body);
        self.route.tell(&mut response, Outcome::Forwarded { why, status, stored });
        response
    }

    /// Whether what the app says now holds for all who share the stale answer, so that this is given no longer, not even
    /// while it would be refreshed (RFC 5861, 3): something else, or nothing at all, is there. A refusal says nothing of it,
    /// and neither does what somebody in particular was answered.
    fn supersedes(&self, status: StatusCode) -> bool {
        let gone = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
        (status.is_success() || status.is_redirection() || gone)
            && self.partition != Partition::Named
            && !Directives::of_cache_control(&self.parts.headers).no_store
    }

    /// The request for the app, with these headers.
    fn request(&self, headers: HeaderMap) -> Request<Body> {
        let mut request = Request::new(if self.body.is_empty() { empty_body() } else { full_body(self.body.clone()) });
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.parts.uri.clone();
        *request.version_mut() = self.parts.version;
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.parts.extensions.clone();
        request
    }
}

/// What a stored answer may stand in for (RFC 5861, 4).
fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
