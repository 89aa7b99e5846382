//! One request with a key: the first one runs, the others get what came of it.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use http::{
    Request, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_TYPE},
};
use seaworthy_core::{Body, Delivery, Handler, RequestContext, full_body};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tower::ServiceExt;

use super::{
    body::{Collected, Fingerprint, collect, fingerprint},
    journal::{self, Claim, Order, Running},
    key::{self, Given, KeyId, Owner},
    layer::Route,
    stored::{Answer, Kept, Record},
};
use crate::problems;

/// Answers with which an app says that it has not begun: kept, they would keep the client from ever coming through.
const NOT_BEGUN: [StatusCode; 4] =
    [StatusCode::UNAUTHORIZED, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];

/// A request with a key, on its way.
pub(super) struct Exchange {
    app: Handler,
    route: Arc<Route>,
    context: Arc<RequestContext>,
    id: KeyId,
    owner: Owner,
}

impl Exchange {
    /// `None` for a request without a key.
    pub(super) fn new(
        app: Handler,
        route: Arc<Route>,
        context: Arc<RequestContext>,
        request: &Request<Body>,
    ) -> Option<Self> {
        let Given::Key(given) = key::given(request.headers()) else { return None };
        let owner = key::owner(&context, request.headers(), &route.policy.cookies);
        let id = key::id(&owner, &context, request, given);
        Some(Self { app, route, context, id, owner })
    }

    /// The answer, whoever gives it.
    pub(super) async fn run(self, request: Request<Body>) -> Response<Body> {
        let Some(orders) = self.route.store.orders() else {
            return self.refuse_later(problems::STORE_FAILED, 5);
        };
        let until = Instant::now() + self.route.policy.wait.0;
        loop {
            match journal::claim(&orders, self.id, self.owner, self.route.policy.ttl.0).await {
                Err(error) => {
                    tracing::error!(%error, "a request was refused: its idempotency key cannot be recorded");
                    return self.refuse_later(problems::STORE_FAILED, 5);
                }
                Ok(Claim::Full) => return self.refuse_later(problems::STORE_FULL, 60),
                Ok(Claim::ClientFull) => return self.refuse_later(problems::CLIENT_FULL, 60),
                Ok(Claim::Known(record)) => return self.repeat(record, request).await,
                Ok(Claim::First(running)) => return self.first(&orders, running, request).await,
                Ok(Claim::Busy(mut done)) => {
                    // The channel closes when the first one is done.
                    let waited = timeout_at(until, done.changed()).await;
                    if waited.is_err() || self.route.policy.wait.0 == Duration::ZERO {
                        self.route.counts.running.increment(1);
                        return problems::answer_later(problems::KEY_RUNNING, 1, &self.context);
                    }
                }
            }
        }
    }

    fn refuse_later(&self, kind: seaworthy_core::ProblemKind, seconds: u64) -> Response<Body> {
        self.route.counts.refused.increment(1);
        problems::answer_later(kind, seconds, &self.context)
    }

    /// Asks the app, and writes down what it answered before anybody hears it.
    async fn first(&self, orders: &mpsc::Sender<Order>, running: Running, request: Request<Body>) -> Response<Body> {
        self.route.counts.first.increment(1);
        let hash = key::fingerprint(&request);
        let (mut parts, body) = request.into_parts();
        // Whoever repeats the request may take other codings than who asked first.
        parts.headers.remove(ACCEPT_ENCODING);
        let (read, body) = Fingerprint::watching(hash, body);
        let Ok(response) = ask(&self.app, Request::from_parts(parts, body)).await;
        let answered = match fate(&response, read.complete().is_some(), self.route.policy.keep_errors) {
            // As it stands: begun, and no more is known.
            Fate::Unknown => response,
            Fate::Release => {
                if let Err(error) = journal::release(orders, self.id).await {
                    tracing::error!(%error, "an idempotency key that was not used stays taken until it expires");
                }
                response
            }
            Fate::Keep => self.keep(orders, response, read.complete()).await,
        };
        drop(running);
        answered
    }

    async fn keep(
        &self,
        orders: &mpsc::Sender<Order>,
        response: Response<Body>,
        fingerprint: Option<[u8; 32]>,
    ) -> Response<Body> {
        let limit = usize::try_from(self.route.policy.answer_limit.0).unwrap_or(usize::MAX);
        let (parts, body) = response.into_parts();
        let collected = match is_stream(&parts) {
            true => Collected::More(body),
            false => collect(body, limit).await,
        };
        let (answer, body) = match collected {
            Collected::Whole(bytes) => {
                (Answer::Kept(Kept::new(parts.status, &parts.headers, bytes.clone())), full_body(bytes))
            }
            Collected::More(body) => (Answer::NotKept, body),
            Collected::Broken => return problems::answer(problems::ANSWER_BROKEN, &self.context),
        };
        if let Err(error) = journal::finish(orders, self.id, Record { fingerprint, answer }).await {
            // The claim is on the disk: it will not run twice. Whoever repeats it hears that nobody knows.
            tracing::error!(%error, "an answer could not be recorded under its idempotency key");
        }
        Response::from_parts(parts, body)
    }

    /// Gives the answer of the first request again, to the same request alone.
    async fn repeat(&self, record: Record, request: Request<Body>) -> Response<Body> {
        if let Some(first) = record.fingerprint {
            let hash = key::fingerprint(&request);
            match fingerprint(hash, request.into_body()).await {
                None => return problems::answer(problems::REPEAT_BROKEN, &self.context),
                Some(own) if own != first => {
                    self.route.counts.reused.increment(1);
                    return problems::answer(problems::KEY_REUSED, &self.context);
                }
                Some(_) => {}
            }
        }
        match record.answer {
            Answer::Kept(kept) => {
                self.route.counts.replayed.increment(1);
                kept.response()
            }
            Answer::NotKept => {
                self.route.counts.unknown.increment(1);
                problems::answer(problems::ANSWER_NOT_KEPT, &self.context)
            }
            Answer::Unknown => {
                self.route.counts.unknown.increment(1);
                problems::answer(problems::OUTCOME_UNKNOWN, &self.context)
            }
        }
    }
}

/// An answer on its way.
type Asking = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Asks the layers below, and at their end the app.
fn ask(app: &Handler, request: Request<Body>) -> Asking {
    Box::pin(app.clone().oneshot(request))
}

/// What is to become of a key.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    Release,
    Keep,
}

fn fate(response: &Response<Body>, read: bool, keep_errors: bool) -> Fate {
    let status = response.status();
    match response.extensions().get::<Delivery>() {
        Some(Delivery::Unanswered) => Fate::Unknown,
        Some(Delivery::NotSent) => Fate::Release,
        None if NOT_BEGUN.contains(&status) => Fate::Release,
        // Refused before its body was read, or the body broke off.
        None if !read && status.is_client_error() => Fate::Release,
        None if status.is_server_error() && !keep_errors => Fate::Release,
        None => Fate::Keep,
    }
}

/// Answers that are meant to be seen while they come.
fn is_stream(parts: &http::response::Parts) -> bool {
    let kind = parts.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    parts.status == StatusCode::SWITCHING_PROTOCOLS || kind.starts_with(b"text/event-stream")
}

#[cfg(test)]
mod tests {
    use seaworthy_core::empty_body;

    use super::*;

    #[test]
    fn only_what_the_app_has_done_is_kept() {
        let answer = |status: u16, delivery: Option<Delivery>| {
            let mut response = Response::new(empty_body());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            if let Some(delivery) = delivery {
                response.extensions_mut().insert(delivery);
            }
            response
        };
        assert_eq!(fate(&answer(201, None), true, true), Fate::Keep);
        assert_eq!(fate(&answer(422, None), true, true), Fate::Keep);
        assert_eq!(fate(&answer(500, None), true, true), Fate::Keep);
        assert_eq!(fate(&answer(500, None), true, false), Fate::Release);
        assert_eq!(fate(&answer(429, None), true, true), Fate::Release);
        assert_eq!(fate(&answer(413, None), false, true), Fate::Release);
        for status in [202, 303, 500] {
            assert_eq!(fate(&answer(status, None), false, true), Fate::Keep, "it was done, read or not");
        }
        assert_eq!(fate(&answer(503, Some(Delivery::NotSent)), true, true), Fate::Release);
        assert_eq!(fate(&answer(504, Some(Delivery::Unanswered)), true, false), Fate::Unknown);
    }
}
