//! Our public HTTP side: where requests come in, which route they take, and how they reach the app.
//!
//! One single-threaded runtime per core, each with its own listener and its own upstream connections, so that a request
//! never changes cores (see [`Server`]). What happens to a request between the listener and the upstream is not decided
//! here: the caller hands in a pipeline per route ([`RouteTable`]).

mod admission;
mod answer_body;
mod client;
mod connection;
mod dispatch;
mod error_pages;
mod failure;
mod files;
mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod gathered;
mod headers;
mod limits_checks;
mod listener;
mod nothing_here;
mod own_answers;
mod policy;
mod pool;
mod problems;
mod progress;
mod relay;
mod routing;
mod server;
mod settings;
mod shared_handler;
mod spare;
mod spelling;
mod target;
mod tasks;
pub mod tls;
mod upgrade;
mod upstream;

pub use error_pages::{ErrorPages, ErrorPolicy};
pub use files::{Files, FilesError, FilesPolicy};
pub use forward::Forward;
pub use listener::{ListenError, Listeners};
pub use nothing_here::NothingHere;
pub use own_answers::OwnAnswers;
pub use pool::Pool;
pub use routing::{Pattern, PatternError, RouteError, RouteTable, RouteTableBuilder};
pub use server::{Doors, Reload, Server, ServerSettings, StartError};
pub use settings::{Balance, Limits, MethodOverride, RoutePolicy, Settings, Timeouts, TracePolicy};
pub use upstream::Upstream;
