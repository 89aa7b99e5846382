//! Loads `seaworthy.toml`, lays environment variables over it and hands each room its own typed section.
//!
//! Every problem of the whole file is found before anything starts, each with its line, a caret and a suggestion.

mod document;
mod finding;
mod schema;
mod secret_ref;
mod units;

pub use document::{Document, Section};
pub use finding::{ConfigError, Finding, Findings};
pub use schema::reference_markdown;
pub use secret_ref::{SecretRef, SecretRefError};
pub use units::{ByteSize, HumanDuration, UnitError};
