//! Placeholder docs.
mod catalogue;
mod checklist;
mod matching;
pub use catalogue::{Catalogue, Control, ControlKind};
pub use checklist::{Checklist, ChecklistError, Form, Item};
pub use matching::{Match, Matcher};
use schemars::JsonSchema;
use seaworthy_config::Section;
use serde::Deserialize;
/// x
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Settings {}
impl Section for Settings {
    const KEY: &'static str = "check";
}
