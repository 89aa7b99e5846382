//! Starts, watches, replaces and stops the processes of the app, and watches those that others start.
//!
//! `fleet.rs` holds all instances together; `lifecycle.rs` is one instance from start to start, `serve.rs` the same while
//! it is well.

mod backoff;
mod board;
mod command;
mod error;
mod family;
mod fleet;
mod group;
mod guard;
mod handle;
mod health;
mod launch;
mod lifecycle;
mod memory;
mod output;
mod plan;
mod ports;
mod process;
mod pulse;
mod seams;
mod serve;
mod settings;
mod spawner;
mod watched;

pub use command::{Command, CommandError};
pub use error::{FleetError, SupervisorError};
pub use family::kill_descendants;
pub use fleet::Fleet;
pub use guard::guard_apps;
pub use handle::FleetHandle;
pub use health::Health;
pub use launch::{LaunchError, launch_app};
pub use plan::{Pacing, Plan, Supervisor, Watched};
pub use pulse::HealthChecks;
pub use settings::{Addresses, Settings};
