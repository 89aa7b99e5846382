//! Habits of an API that clients can rely on.
//!
//! `idempotency/` lets a client repeat a POST without doing it twice. `rewriting/` mounts the app below a version prefix and
//! gives routes other paths. `deprecation/` says which operations will go away, and knows who still calls them.

mod deprecation;
#[doc(hidden)]
pub mod fuzzing;
mod idempotency;
mod problems;
mod rewriting;
mod settings;

pub use deprecation::{AfterSunset, Callers, Deprecated, DeprecatedSettings};
pub use idempotency::{Idempotency, IdempotencyError, IdempotencyLayer, IdempotencySetting, StoreSettings};
pub use rewriting::{PrefixSettings, Reach, Rewrite, RewritePolicy, Unversioned, Way};
pub use settings::{RoutePolicy, Settings};
