//! The prover: tries the controls behind a checklist on the live system.
//!
//! It looks from outside, over HTTP and the admin API, and takes nobody's word: a claim of the app or of Seaworthy itself
//! (a limit, a log's path) only says where to look.

mod access_log;
mod allowed;
mod browsing;
mod custom;
mod endpoint;
mod example_value;
mod fixture;
mod http;
mod instances;
mod live;
mod load;
mod openapi;
mod past;
mod probe;
mod probes;
mod processes;
mod redis;
mod routes;
mod runner;
mod scratch;
mod session;
mod settings;
mod state;
mod steady;
mod stores;
mod subject;
mod tls;
mod uploading;
mod workers;

pub use allowed::Canary;
pub use browsing::Browsing;
pub use custom::{
    CommandLine, Custom, Expectation, HttpCheck, SqlCheck, SqlExpectation, StandIn, custom_controls, custom_probes,
};
pub use endpoint::Endpoint;
pub use http::{Answer, Client, HttpError, Transcript};
pub use openapi::QueryParameter;
pub use probe::{About, Cases, Outcome, Probe, Sighting, Working};
pub use probes::{Outside, Source, all as probes, inspections};
pub use processes::Processes;
pub use routes::{Gathered, Origin, Route, Routes};
pub use runner::{Runner, Step};
pub use scratch::{Change, CommandLauncher, Ending, Launcher, ScratchCopy, StartError};
pub use session::{Asked, AskedError, Progress};
pub use settings::{Pinned, Settings};
pub use state::{State, states};
pub use stores::{Named, Stores};
pub use subject::{ClaimedRate, ClaimedUpload, Fixture, Hints, Subject};
pub use tls::Trust;
pub use workers::Worker;
