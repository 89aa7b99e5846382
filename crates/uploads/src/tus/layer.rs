//! The layer of the places below a route where uploads are made and gone on with.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use seaworthy_core::{Body, RequestContext, Shutdown};
use tokio::sync::oneshot;
use tower::{Layer, Service};

use super::exchange::Exchange;
use crate::{
    layer::refuse,
    problems::{Refusal, STORAGE},
    settings::UploadPolicy,
    uploads::{Joint, Uploads},
};

/// The layer. What is below it gets complete uploads alone.
#[derive(Debug, Clone)]
pub struct Resumable(Arc<Route>);

/// The service of [`Resumable`].
#[derive(Debug, Clone)]
pub struct ResumableService<S> {
    inner: S,
    route: Arc<Route>,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;
/// What is below, for one request.
pub(super) type Below = Box<dyn FnOnce(Request<Body>) -> Answering + Send>;

#[derive(Debug)]
pub(super) struct Route {
    name: String,
    policy: UploadPolicy,
    uploads: Uploads,
    tasks: Shutdown,
}

impl Route {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn policy(&self) -> &UploadPolicy {
        &self.policy
    }

    pub(super) fn joint(&self) -> &Arc<Joint> {
        self.uploads.joint()
    }

    pub(super) fn count(&self, result: &'static str) {
        metrics::counter!("seaworthy_uploads_total", "route" => self.name.clone(), "result" => result).increment(1);
    }
}

impl Resumable {
    pub(crate) fn new(route: &str, policy: &UploadPolicy, uploads: &Uploads, tasks: &Shutdown) -> Self {
        let (name, policy) = (route.to_owned(), policy.clone());
        Self(Arc::new(Route { name, policy, uploads: uploads.clone(), tasks: tasks.clone() }))
    }
}

impl<S> Layer<S> for Resumable {
    type Service = ResumableService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResumableService { inner, route: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for ResumableService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let below: Below = Box::new(move |request| Box::pin(inner.call(request)));
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let (place, id) = match path.rsplit_once('/') {
            Some((place, id)) if !path.ends_with("/tus") => (place.to_owned(), Some(id.to_owned())),
            _ => (path.to_owned(), None),
        };
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let exchange = Exchange {
            route: self.route.clone(),
            target: format!("{}{query}", place.strip_suffix("/tus").filter(|path| !path.is_empty()).unwrap_or("/")),
            place,
            id,
            method: parts.method,
            context: parts.extensions.get::<Arc<RequestContext>>().cloned(),
            headers: parts.headers,
        };
        // In a task of its own: a client that goes away must not take with it what it has sent, or an upload that is on its
        // way to the app.
        let context = exchange.context.clone();
        let (answered, answer) = oneshot::channel();
        self.route.tasks.spawn(async move {
            // Nobody listens any more: the client asks again.
            let _ = answered.send(exchange.answer(body, below).await);
        });
        Box::pin(async move {
            Ok(answer.await.unwrap_or_else(|_| {
                // Its task was ended before its answer: a stop that did not wait.
                refuse(&Refusal::new(STORAGE, "It was interrupted; ask again."), context.as_deref())
            }))
        })
    }
}
