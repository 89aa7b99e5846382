//! A team's own list: its items as the user wrote them, the catalogue of controls, and which control each line means.

mod catalogue;
mod list;
mod matching;
mod ticks;

pub use catalogue::{Catalogue, Control, ControlKind};
pub use list::{Checklist, ChecklistError, Claim, Damage, Form, Item, Note};
pub use matching::{How, Match, Matcher, PinError};
pub use ticks::{Mark, ticked};
