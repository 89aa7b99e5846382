//! The one body type that travels through the pipeline, so that layers compose without naming each other.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

/// What a body may fail with: the transport's error, or a layer's (a limit that was reached).
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A streamed request or response body. Nothing in the pipeline collects it unless a policy says so, with a limit.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body of no bytes.
pub fn empty_body() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is already in memory.
pub fn full_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
