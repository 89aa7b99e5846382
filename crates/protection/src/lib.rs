//! What stands in front of the app: limits on size, and the security headers that browsers act on.

mod body_limit;
mod cors;
mod rate_limit;
mod security_headers;
mod settings;

pub use body_limit::{BodyLimit, BodyLimitService};
pub use cors::{Cors, CorsService};
pub use rate_limit::{
    Per, RateHeaders, RateLimit, RateLimitFuture, RateLimitService, RateLimits, RatePolicy, RateSetting,
};
pub use security_headers::{SecurityHeaders, SecurityHeadersService};
pub use settings::{CorsSettings, HeaderSettings, RoutePolicy, Settings};
