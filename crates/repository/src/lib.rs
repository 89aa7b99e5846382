//! An app's repository as data: its files, its code, its manifests, its history; and what it is to inspect one.
//!
//! Nothing of it is ever run by this room, and nothing in it is believed: files are bounded, links are not followed, and
//! Git is asked without the repository's own programs.

pub mod calendar;
pub mod environment;
mod exercise;
mod git;
mod inspection;
mod kind;
mod knowledge;
mod live;
mod manifests;
mod memory;
pub mod pipeline;
pub mod records;
mod repository;
mod sample;
#[cfg(test)]
mod sample_folder;
mod settings_class;
pub mod setup_py;
mod sighting;
mod source;
mod stop;
mod tree;
mod variables;
mod walk;
mod yaml;

pub use exercise::exercise;
pub use git::{Blob, Blobs, Git};
pub use inspection::Inspection;
pub use kind::{Kind, not_of_a_package};
pub use knowledge::{
    AppPattern, Behind, Fact, HealthPattern, Knowledge, KnowledgeError, Language, Pattern, Reading, Recognise, Runner,
    Site, Stack, Start, Token, TokenKind,
};
pub use live::LiveSecrets;
pub use manifests::{Dependency, Manifest, Manifests};
pub use repository::{Declared, OpenError, Repository};
pub use sample::Sample;
pub use sighting::{Cases, Outcome, Sighting};
pub use source::Source;
pub use stop::{Stop, StopOnDrop};
pub use tree::{TEST_FOLDERS, Tree, is_for_development, is_test};
pub use variables::{Variable, Variables, is_secret, literal};
pub use walk::{Walk, Walked, WalkedFile, bounded};
pub use yaml::yaml;
