//! The prover: reads a checklist, finds the control behind each line, tries it on the live system, keeps the evidence.
//!
//! It looks from outside, over HTTP and the admin API, and takes nobody's word: a claim of the app or of Seaworthy itself
//! (a limit, a log's path) only says where to look.

mod access_log;
mod catalogue;
mod checklist;
mod endpoint;
mod evidence;
mod fixture;
mod git;
mod http;
mod instances;
mod load;
mod matching;
mod openapi;
mod probe;
mod probes;
mod report;
mod runner;
mod scratch;
mod session;
mod settings;
mod subject;
mod tls;
mod verdict;
mod workers;

pub use catalogue::{Catalogue, Control, ControlKind};
pub use checklist::{Checklist, ChecklistError, Form, Item};
pub use endpoint::Endpoint;
pub use evidence::{Ledger, LedgerError};
pub use http::{Answer, Client, HttpError, Transcript};
pub use matching::{Match, Matcher};
pub use probe::{About, Cases, Outcome, Probe, ProbeKind, SafetyClass, Sighting, Working};
pub use probes::all as probes;
pub use report::{ControlReport, Report, ReportItem, Style, Target, terminal, ticked, wrap};
pub use runner::{Experiment, Finding, Runner};
pub use scratch::{Change, CommandLauncher, Ending, Launcher, ScratchCopy, StartError};
pub use session::{Asked, Progress};
pub use settings::Settings;
pub use subject::{Fixture, Hints, Subject};
pub use tls::Trust;
pub use verdict::Verdict;
pub use workers::Worker;
