//! Copies of the target that a drill may break: started, used and destroyed by the drill alone.

mod process;

use std::{fmt, time::Duration};

use thiserror::Error;

pub use process::CommandLauncher;

use crate::{
    endpoint::Endpoint,
    http::{Client, Transcript},
    probe::Working,
    steady::steady,
    workers::Worker,
};

/// A copy in its steady state answers within this time.
const STEADY: Duration = Duration::from_secs(5);

/// Starts copies.
pub trait Launcher: Send + Sync {
    /// Starts one for a drill and waits for its steady state. The error says what was seen.
    fn start<'a>(&'a self, transcript: &'a Transcript) -> Working<'a, Result<Box<dyn ScratchCopy>, StartError>> {
        Box::pin(async move {
            let copy = self.start_with(&[], transcript).await?;
            let client = |address| Client::new(address, Transcript::default()).patience(STEADY);
            match steady(&client(copy.url()), copy.admin().map(client).as_ref()).await {
                Ok(status) => {
                    transcript.note(format!("steady state: GET / answers {}, several times", status.as_u16()))
                }
                Err(why) => {
                    let why = format!("the scratch copy is not in a steady state, and nothing was broken: {why}");
                    return Err(StartError::Impossible(why));
                }
            }
            Ok(copy)
        })
    }

    /// Starts one in a changed environment and waits until it answers.
    fn start_with<'a>(
        &'a self,
        changes: &'a [Change],
        transcript: &'a Transcript,
    ) -> Working<'a, Result<Box<dyn ScratchCopy>, StartError>>;
}

/// A change to the environment of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The variable.
    pub name: String,
    /// Its value; `None` takes it away.
    pub value: Option<String>,
}

/// A copy that does not run.
#[derive(Debug, Clone, Error)]
pub enum StartError {
    /// It could not be tried, which says nothing of the app.
    #[error("{0}")]
    Impossible(String),
    /// It ended before it answered.
    #[error("the scratch copy ended with {ending} before it answered{}", last_line(output))]
    Ended {
        /// How.
        ending: Ending,
        /// What it printed, without secrets.
        output: String,
    },
    /// It ran, but did not answer.
    #[error("the scratch copy did not answer within {} s{}", patience.as_secs(), last_line(output))]
    Silent {
        /// How long it was waited for.
        patience: Duration,
        /// What it printed, without secrets.
        output: String,
    },
}

impl From<StartError> for String {
    fn from(error: StartError) -> Self {
        error.to_string()
    }
}

/// A running copy. Dropped, it is destroyed.
pub trait ScratchCopy: Send {
    /// Its public address.
    fn url(&self) -> Endpoint;

    /// Its admin API, when it has one.
    fn admin(&self) -> Option<Endpoint>;

    /// Asks it to stop as a platform does: SIGTERM to the process that was started.
    fn terminate(&mut self) -> Result<(), String>;

    /// Kills the app, every instance of it and everything that they started, without warning (SIGKILL).
    fn kill_app<'a>(&'a mut self) -> Working<'a, Result<(), String>>;

    /// The processes that take requests now.
    fn workers<'a>(&'a mut self) -> Working<'a, Result<Vec<Worker>, String>> {
        Box::pin(async { Err("this copy does not tell its processes".into()) })
    }

    /// Kills one of them without warning (SIGKILL).
    fn kill_worker(&mut self, worker: &Worker) -> Result<(), String> {
        Err(format!("process {} is none that may be killed", worker.process))
    }

    /// What a worker was given under this name when it started.
    fn variable(&self, worker: &Worker, name: &str) -> Option<String> {
        let _ = (worker, name);
        None
    }

    /// What it printed so far (the end of it, without secrets).
    fn output(&self) -> String {
        String::new()
    }

    /// Whether anything of the copy still runs after its end: then the signal stopped at a wrapper, and never came to the app.
    fn left_behind(&self) -> bool;

    /// Waits for its end; `None` when it still runs after `patience`.
    fn ended<'a>(&'a mut self, patience: Duration) -> Working<'a, Option<Ending>>;
}

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Exit status, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit status {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("an unknown status"),
        }
    }
}

/// The last line that says anything, as the end of a sentence.
fn last_line(output: &str) -> String {
    let last = output.lines().rev().find(|line| !line.trim().is_empty());
    last.map(|line| format!("; its last line: {}", line.chars().take(200).collect::<String>())).unwrap_or_default()
}
