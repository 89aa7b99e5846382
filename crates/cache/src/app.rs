//! The rest of the pipeline, behind one type: what is asked of it may outlive the request that asked.

use std::{convert::Infallible, future::Future, pin::Pin};

use http::{Request, Response};
use seaworthy_core::{Body, Handler};
use tower::{Service, ServiceExt};

/// Asks the layers below, and at their end the app.
#[derive(Debug, Clone)]
pub(crate) struct App(Handler);

/// An answer on its way.
pub(crate) type Asking = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl App {
    pub(crate) fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self(Handler::new(service))
    }

    pub(crate) fn ask(&self, request: Request<Body>) -> Asking {
        Box::pin(self.0.clone().oneshot(request))
    }
}
