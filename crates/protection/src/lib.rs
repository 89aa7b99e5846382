//! What stands in front of the app: limits on size and rate, the headers that browsers act on, and a look at what errors
//! show.

mod body_limit;
mod cors;
mod disclosure;
mod headers;
mod login;
mod overload;
mod rate_limit;
mod settings;

pub use body_limit::{BodyLimit, BodyLimitService};
pub use cors::{Cors, CorsService};
pub use disclosure::{Disclosure, DisclosureService, Traces};
pub use headers::{
    CspFindings, CspOverrides, CspReports, CspReportsService, CspSettings, Directives, FromApp, HeaderOverrides,
    HeaderSettings, SecurityHeaders, SecurityHeadersService, Seen, Sources,
};
pub use login::{Accounts, Guesses, LOGIN_BODY, LogAccount, Login, LoginService, LoginSettings, read_accounts};
pub use overload::{Load, Overload, OverloadFuture, OverloadService, OverloadSettings, Priority};
pub use rate_limit::{
    Per, RateHeaders, RateLimit, RateLimitFuture, RateLimitService, RateLimits, RatePolicy, RateSetting,
};
pub use settings::{CorsSettings, RoutePolicy, Settings};
