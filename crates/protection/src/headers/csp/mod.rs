//! Content Security Policy, Level 3 (<https://www.w3.org/TR/CSP3/>): settings, the policy that they mean, nonces, reports.

mod endpoint;
mod gzip;
mod learning;
mod nonce;
mod policy;
mod report;
mod settings;
mod sources;
mod summary;
mod template;

pub use endpoint::{CspReports, CspReportsService};
pub(super) use nonce::{Nonce, can_take_nonces, is_page, keep_from_others, make_private, unread, with_nonces};
pub use settings::{CspOverrides, CspSettings, Directives, Sources};
pub use summary::{CspFindings, Seen};
pub(super) use template::Template;
