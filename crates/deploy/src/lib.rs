//! Starts, watches and stops the processes of the app.

mod command;
mod health;
mod output;
mod process;
mod settings;
mod supervisor;

pub use command::{Command, CommandError};
pub use health::Health;
pub use settings::Settings;
pub use supervisor::{Instances, Supervisor, SupervisorError};
