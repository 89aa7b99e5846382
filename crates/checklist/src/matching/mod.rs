//! Which control a line means.
//!
//! A pin decides, where there is one. Else a line is held against every phrase of the catalogue, against all the words of
//! each control, against the beginnings of those words, and against what a linear classifier learnt from them; section and
//! parent help a little. What they say together is a probability. Below the threshold, which two controls that are too close never reach, the answer is
//! *unmatched*: a wrong tick is worse than an open box.

mod line;
mod linear;
mod matcher;
#[cfg(test)]
mod measured;
mod phrases;
mod pins;
mod scores;
mod texts;
mod vocabulary;
mod words;

pub use matcher::{How, Match, Matcher};
pub use pins::PinError;
