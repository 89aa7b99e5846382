//! Requests against the app's OpenAPI document, and limits on JSON: what the document does not allow is refused before it
//! reaches the app, or counted.
//!
//! `contract` is the document made ready, `layer` what happens to a request, `validation` where the document comes from.

mod body;
mod contract;
mod fetch;
mod form;
pub mod fuzzing;
mod json;
mod layer;
mod media;
mod observed;
mod parameters;
mod paths;
mod patterns;
mod refusal;
mod schema;
mod seen;
mod servers;
mod settings;
mod shape;
mod styles;
mod validation;
mod violation;

pub use contract::DocumentError;
pub use layer::{Validate, ValidateService};
pub use observed::Observed;
pub use seen::SeenByApp;
pub use settings::{DocumentPlace, JsonSettings, Mode, RoutePolicy, Settings, Unknown};
pub use validation::{Prepared, Validation};
