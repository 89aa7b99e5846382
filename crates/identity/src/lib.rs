//! Who a request is from. Bearer tokens (RFC 6750) that are signed JSON Web Tokens (RFC 7519), verified with keys from
//! the config or from a JSON Web Key Set (RFC 7517).
//!
//! [`Tokens`] holds the keys for the whole process; [`Authenticate`] is the layer of one route. What it finds out is the
//! [`seaworthy_core::Principal`] in the request's context, which limits, logs and the app go by.

mod authenticate;
mod bearer;
mod claims;
mod failed;
mod fetch;
mod json;
mod key;
mod key_set;
mod remembered;
mod settings;
mod source;
mod token;
mod tokens;

pub use authenticate::{Authenticate, AuthenticateFuture, AuthenticateService};
pub use key::KeyError;
pub use remembered::Remembered;
pub use settings::{Algorithm, AuthMode, ClaimNames, RoutePolicy, Settings, TokenSettings};
pub use token::Refusal;
pub use tokens::{TokenError, Tokens, Trusted};
