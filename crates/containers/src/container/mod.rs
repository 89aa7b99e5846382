//! Containers as files describe them: how images are made, what runs together, what a cluster is told.

mod compose;
mod dockerfile;
mod ignored;
mod images;
mod kubernetes;
mod lines;
mod merge;
mod place;
mod recipe;
mod service;

pub use compose::{Composition, Purpose};
pub use dockerfile::Instruction;
pub(crate) use ignored::expression;
pub use images::Image;
pub(crate) use images::Images;
pub use kubernetes::{Cluster, Container};
pub use recipe::Recipe;
pub use service::Service;
pub(crate) use service::below;
