//! Operations that will go away: clients are told in every answer, and operators see who still calls.
//!
//! `settings.rs` reads dates and addresses, `layer.rs` sends them (RFC 9745, RFC 8594, RFC 8288), `callers.rs` counts.

mod callers;
mod layer;
mod settings;

pub use callers::Callers;
pub use layer::Deprecated;
pub use settings::{AfterSunset, DeprecatedSettings};
