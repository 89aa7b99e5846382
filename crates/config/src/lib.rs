//! Loads `seaworthy.toml`, lays a profile's file, environment variables and flags over it and hands each room its own
//! typed section.
//!
//! Every problem of the whole config is found before anything starts, each with its line, a caret and a suggestion. What
//! came from where is known for every value (`effective`), and secrets are never shown.

mod document;
mod effective;
mod effective_text;
mod finding;
#[cfg(test)]
mod fixture;
mod json_schema;
mod keys;
mod layer;
mod masking;
mod merge;
mod origin;
mod profile;
mod reference;
mod schema;
mod secret_ref;
mod secrets;
mod tree;
mod typed;
mod units;

pub use document::{Document, Override, Section};
pub use effective::{EffectiveValue, Step};
pub use effective_text::{effective_toml, inline};
pub use finding::{ConfigError, Finding, Findings};
pub use keys::Key;
pub use masking::{MASK, looks_secret, mask};
pub use origin::Origin;
pub use profile::Profile;
pub use reference::reference_markdown;
pub use secret_ref::{SecretRef, SecretRefError};
pub use units::{ByteSize, HumanDuration, UnitError};
