//! What several nodes share. In this release: counts, in Redis or Valkey.
//!
//! [`Redis`] is the connection and knows whether it may be relied on; [`Take`] asks for a part of a budget, [`Guess`] for
//! another try at an account. Each is one script, which counts by the server's own clock: nodes need not agree on the time.

mod budget;
mod guess;
mod health;
mod redis;
mod settings;

pub use budget::{Take, Taken};
pub use guess::{BackOff, Guess, Guessed};
pub use redis::{Redis, StoreError};
pub use settings::Settings;
