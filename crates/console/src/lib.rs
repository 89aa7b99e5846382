//! The admin API: for operators and their tools, on loopback and on a Unix socket, never on the public side.

mod admin;
mod app_api;
mod purging;
mod quarantine;
mod settings;
mod socket;

pub use admin::{Admin, AdminError, Facts};
pub use app_api::{AppApi, AppFacts};
pub use settings::Settings;
