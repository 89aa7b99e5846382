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

use super::{
    UNKNOWN,
    exchange::{self, Exchange},
    headers,
    store::is_id,
};
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

    /// Whether it is where uploads begin; else it is where one of them is.
    fn is_collection(&self) -> bool {
        self.name.ends_with("/tus")
    }

    pub(super) fn count(&self, result: &'static str) {
        metrics::counter!("seaworthy_uploads_total", "route" => self.name.clone(), "result" => result).increment(1);
    }
}

/// Where a request goes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The path of the collection.
    pub collection: String,
    /// `None`: the collection itself.
    pub id: Option<String>,
}

impl Place {
    /// The place of a path; `None` when it is written in another way than we write it: a policy holds for every spelling
    /// of a path, and an upload has one.
    fn of(path: &str, is_collection: bool) -> Option<Self> {
        let (collection, id) = if is_collection {
            (path.strip_suffix('/').unwrap_or(path), None)
        } else {
            let (collection, id) = path.rsplit_once('/')?;
            (collection, Some(id.to_owned()).filter(|id| is_id(id))?.into())
        };
        collection.ends_with("/tus").then(|| Self { collection: collection.to_owned(), id })
    }

    /// The path of the route, with this query.
    fn target(&self, query: &str) -> String {
        let path = self.collection.strip_suffix("/tus").filter(|path| !path.is_empty()).unwrap_or("/");
        format!("{path}{query}")
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
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let context = parts.extensions.get::<Arc<RequestContext>>().cloned();
        let place = Place::of(parts.uri.path(), self.route.is_collection());
        let place = place.ok_or_else(|| Refusal::new(UNKNOWN, ""));
        let meant = place.and_then(|place| Ok((place, headers::method(parts.method, &parts.headers)?)));
        let (route, headers, asking) = (self.route.clone(), parts.headers, context.clone());
        // In a task of its own: a client that goes away must not take with it what it has sent, or an upload that is on its
        // way to the app.
        let (answered, answer) = oneshot::channel();
        self.route.tasks.spawn(async move {
            let answer = match meant {
                Ok((place, method)) => {
                    let target = place.target(&query);
                    Exchange { route, method, place, target, headers, context: asking }.answer(body, below).await
                }
                Err(refusal) => exchange::refused(&route, &refusal, body, asking.as_deref()).await,
            };
            // Nobody listens any more: the client asks again.
            let _ = answered.send(answer);
        });
        Box::pin(async move {
            Ok(answer.await.unwrap_or_else(|_| {
                // Its task was ended before its answer: a stop that did not wait.
                refuse(&Refusal::new(STORAGE, "It was interrupted; ask again."), context.as_deref())
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_places_exist() {
        let id = "0123456789abcdef0123456789abcdef";
        let of = |path: &str, is_collection| {
            Place::of(path, is_collection).map(|place| (place.target("?x=1"), place.collection, place.id))
        };
        let collection = Some(("/files?x=1".into(), "/files/tus".into(), None));
        assert_eq!((of("/files/tus", true), of("/files/tus/", true)), (collection.clone(), collection));
        assert_eq!(of("/tus", true), Some(("/?x=1".into(), "/tus".into(), None)));
        let upload = Some(("/files?x=1".into(), "/files/tus".into(), Some(id.to_owned())));
        assert_eq!(of(&format!("/files/tus/{id}"), false), upload);
        for path in ["/files/tus/tus", "/files/tus/x", "/files/tus/", "/files/%74us/0123456789abcdef0123456789abcdef"] {
            assert_eq!(of(path, false), None, "{path}");
        }
        assert_eq!(of(&format!("/files/tus/{}", id.to_uppercase()), false), None);
        assert_eq!((of("/files/%74us", true), of("/files/tus//", true)), (None, None));
    }
}
