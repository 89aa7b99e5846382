//! Paths that clients ask for, and paths that the app sees.
//!
//! `layer.rs` takes a version prefix off, refuses or redirects what has none, and gives single routes another path. `path.rs`
//! refuses paths that two readers could take for different ones: here they would be two places with two policies.
//! `template.rs` makes the new path, and `back.rs` turns the app's `Location` and cookies round when that was asked for.
//! `reach.rs` tells which routes lead to the same place in the app, so that none leads past the policy of another.

mod back;
mod layer;
pub(crate) mod path;
mod reach;
mod settings;
mod template;

pub use layer::Rewrite;
pub use reach::{Reach, Way};
pub use settings::{PrefixSettings, RewritePolicy, Unversioned};
