//! Our public HTTP side: where requests come in, which route they take, and how they reach the app.
//!
//! One single-threaded runtime per core, each with its own listener and its own upstream connections, so that a request
//! never changes cores (see [`Server`]). What happens to a request between the listener and the upstream is not decided
//! here: the caller hands in a pipeline per route ([`RouteTable`]).

mod dispatch;
mod error_pages;
mod forward;
mod headers;
mod listener;
mod pool;
mod problems;
mod progress;
mod routing;
mod server;
mod settings;
pub mod tls;
mod upgrade;
mod upstream;

pub use error_pages::{ErrorPages, ErrorPolicy};
pub use forward::Forward;
pub use listener::{ListenError, Listeners};
pub use pool::Pool;
pub use routing::{Pattern, PatternError, RouteTable, RouteTableBuilder};
pub use server::{Server, ServerSettings, StartError};
pub use settings::{RoutePolicy, Settings, Timeouts};
pub use upstream::Upstream;
