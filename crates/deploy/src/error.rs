//! What can go wrong with the app.

use std::io;

use thiserror::Error;

/// The app cannot be run at all.
#[derive(Debug, Error)]
pub enum SupervisorError {
    /// No such program, or not allowed.
    #[error("cannot start `{program}`: {source}")]
    Spawn {
        /// As written in the command.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It never became well.
    #[error("the app did not start: {reason}\n{output}hint: {hint}")]
    NeverWell {
        /// What was seen.
        reason: String,
        /// Its last lines.
        output: String,
        /// What to try.
        hint: String,
    },
    /// The system refused us something.
    #[error("cannot supervise the app: {0}")]
    System(io::Error),
}

/// A command to a running fleet was not carried out.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FleetError {
    /// The new process did not become well. What ran before still runs.
    #[error("{instance} was not replaced, and the old process keeps running: {reason}")]
    NotReplaced {
        /// The first instance that could not be replaced.
        instance: String,
        /// What was seen, with its last lines.
        reason: String,
    },
    /// The app runs elsewhere.
    #[error("the app runs at an address of its own (`app.to`); restart it where it was started")]
    NotOurs,
    /// From a command to addresses or back.
    #[error("`app.command` and `app.to` cannot take each other's place while Seaworthy runs; restart it")]
    OtherKind,
    /// The fleet is stopping, or has stopped.
    #[error("the app is being stopped")]
    Stopping,
}
