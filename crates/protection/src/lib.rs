//! What stands in front of the app: limits on size, and the security headers that browsers act on.

mod body_limit;
mod security_headers;
mod settings;

pub use body_limit::{BodyLimit, BodyLimitService};
pub use security_headers::{SecurityHeaders, SecurityHeadersService};
pub use settings::{HeaderSettings, RoutePolicy, Settings};
