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

pub(crate) use compose::{Composition, Purpose};
pub(crate) use dockerfile::Instruction;
pub(crate) use ignored::expression;
pub(crate) use images::{Image, Images};
pub(crate) use kubernetes::{Cluster, Container};
pub(crate) use recipe::Recipe;
pub(crate) use service::{Service, below};
