//! The part of a path that the app does not see.

use http::HeaderValue;

/// Travels in the request's extensions from whoever took the prefix off to the last layer, which tells the app of it as
/// `X-Forwarded-Prefix`. What a client sends under that name never reaches the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedPrefix(pub HeaderValue);
