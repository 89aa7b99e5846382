//! What several nodes share, in Redis or Valkey: counts, answers of the cache, and what has been removed of them.
//!
//! [`Redis`] is the store and knows whether it may be relied on; [`Take`] asks for a part of a budget, [`Guess`] for another
//! try at an account. Each is one script, which counts by the server's own clock: nodes need not agree on the time.
//! [`Answers`] are looked up, written in the background, and removed on all nodes.

mod address;
mod answers;
mod budget;
mod connection;
mod guess;
mod health;
mod redis;
#[cfg(test)]
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use answers::{Answers, Event};
pub use budget::{Take, Taken};
pub use guess::{BackOff, Guess, Guessed};
pub use redis::{Redis, StoreError, Taking};
pub use settings::Settings;
