//! A pipeline that many requests use at a time without a copy for each.

use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
};

use http::{Request, Response};
use seaworthy_core::{Body, Handler};
use tokio_util::either::Either;
use tower::{Service, ServiceExt};

/// One pipeline of one core. `tower` calls services by unique reference; cloning the whole stack for that would be several
/// allocations a request, and a lock that is never waited for is none.
pub(crate) struct SharedHandler(Mutex<Handler>);

impl SharedHandler {
    pub(crate) fn new(handler: Handler) -> Arc<Self> {
        Arc::new(Self(Mutex::new(handler)))
    }

    /// Calls the pipeline. Layers that are not ready at once (none of ours) are waited for on a copy.
    pub(crate) fn call(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<> {
        let mut handler = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if handler.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready() {
            return Either::Left(handler.call(request));
        }
        let copy = handler.clone();
        drop(handler);
        Either::Right(copy.oneshot(request))
    }
}
