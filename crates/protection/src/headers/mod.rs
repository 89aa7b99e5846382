//! The headers that browsers act on, and those that tell of what is behind.

mod csp;
mod layer;
mod settings;
mod values;

pub use csp::{CspFindings, CspOverrides, CspReports, CspReportsService, CspSettings, Directives, Seen, Sources};
pub use layer::{SecurityHeaders, SecurityHeadersService};
pub use settings::{FromApp, HeaderOverrides, HeaderSettings};
