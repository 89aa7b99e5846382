//! The seam between layers: a whole pipeline, with its type erased.

use std::convert::Infallible;

use http::{Request, Response};
use tower::util::BoxCloneSyncService;

use crate::Body;

/// A route's pipeline. It answers every request: an error becomes a [`crate::Problem`] where it happens.
pub type Handler = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;
