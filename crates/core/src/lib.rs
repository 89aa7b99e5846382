//! The few words that every room shares. Small, stable, and it starts no runtime.
//!
//! A type belongs here only when two rooms of the same floor would otherwise have to import each other.

mod address;
mod app_output;
mod body;
mod clock;
mod content_coding;
mod context;
mod delivery;
mod handler;
mod hexadecimal;
mod prefix;
mod principal;
mod problem;
mod purge;
mod quarantine;
mod readiness;
mod secret;
mod shutdown;
mod status;
mod trace;
mod traffic;

pub use address::{AddressError, UpstreamAddress};
pub use app_output::AppOutput;
pub use body::{Body, BoxError, empty_body, full_body};
pub use clock::{Clock, FixedClock, SystemClock};
pub use content_coding::{Accepted, Coding};
pub use context::{ClientHeaders, RequestContext, RequestId, RequestIdSource};
pub use delivery::Delivery;
pub use handler::Handler;
pub use prefix::ForwardedPrefix;
pub use principal::{Principal, PrincipalDetails, PrincipalKind};
pub use problem::{Problem, ProblemKind};
pub use purge::{Purge, PurgeCache, PurgeError, Purging};
pub use quarantine::{Quarantine, Quarantined};
pub use readiness::{Condition, Readiness, ReadinessHandle};
pub use secret::Secret;
pub use shutdown::Shutdown;
pub use status::{InstanceReport, InstanceSource, InstanceState, NoInstances};
pub use trace::TraceContext;
pub use traffic::Traffic;
