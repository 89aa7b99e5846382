//! What a check came to, for people and for machines. No format changes the answer.

mod terminal;

pub use terminal::{Style, terminal, wrap};
