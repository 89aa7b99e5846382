//! Answers that the edge gives before a route is looked up. They take a pipeline of their own, so that they are logged,
//! counted and dressed like all others.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{Request, Response};
use seaworthy_core::{Body, empty_body};
use tower::Service;

/// The last service of that pipeline: gives the answer that was put beside the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct OwnAnswers;

/// An answer on its way through its own pipeline.
#[derive(Clone)]
pub(crate) struct Prepared(Arc<Mutex<Option<Response<Body>>>>);

impl Prepared {
    pub(crate) fn new(response: Response<Body>) -> Self {
        Self(Arc::new(Mutex::new(Some(response))))
    }
}

impl Service<Request<Body>> for OwnAnswers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let prepared = request.extensions_mut().remove::<Prepared>();
        let answer = prepared.and_then(|prepared| prepared.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Only the edge calls this pipeline, and it always prepares an answer.
        ready(Ok(answer.unwrap_or_else(|| Response::new(empty_body()))))
    }
}
