//! A team's own list: its items as the user wrote them, the catalogue of controls, and which control each line means.

mod catalogue;
mod list;
mod matching;
mod ticks;

pub use catalogue::{Catalogue, Control, ControlKind};
pub use list::{Checklist, ChecklistError, Damage, Form, Item};
pub use matching::{Match, Matcher};
pub use ticks::{Mark, ticked};
