//! Which control a line means.
//!
//! A line is held against every phrase of the catalogue (how completely is the phrase in the line, how much of the line
//! does it explain) and against all the words of each control. Rare words weigh more; what stands before the first dash
//! weighs more than what explains it; section and parent help a little. Below the threshold, or when two controls are too
//! close, the answer is *unmatched*: a wrong tick is worse than an open box.

mod index;
mod words;

pub use index::{Match, Matcher};
