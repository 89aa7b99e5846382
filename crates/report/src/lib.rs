//! What a check came to, for people and for machines. No format changes the answer.

mod format;
mod html;
mod in_toto;
mod json;
mod junit;
mod next_step;
mod oscal;
mod place;
mod prometheus;
mod sarif;
mod sign;
mod terminal;
mod text;
mod validity;

#[cfg(test)]
mod sample;

pub use format::{Format, Inputs, UnknownFormat, write};
pub use html::html;
pub use in_toto::{Artifact, EnvelopeError, PAYLOAD_TYPE, PREDICATE_TYPE, Signature, envelope, statement, verify};
pub use json::schema;
pub use junit::junit;
pub use oscal::oscal;
pub use prometheus::prometheus;
pub use sarif::sarif;
pub use terminal::{Style, terminal, wrap};
