//! The end of a pipeline where no app is: folders are served, and everything else is not there.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use seaworthy_core::{Body, Problem, RequestContext, empty_body};
use tower::Service;

use crate::problems;

/// Answers 404 to everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingHere;

impl Service<Request<Body>> for NothingHere {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let context = request.extensions().get::<Arc<RequestContext>>();
        let answer = context.map(|context| Problem::new(problems::NOT_FOUND).into_response(context));
        // Only the edge calls a pipeline, and it always adds the context.
        ready(Ok(answer.unwrap_or_else(|| Response::new(empty_body()))))
    }
}
