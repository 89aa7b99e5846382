//! What can go wrong with a browser.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

/// The browser did not do what it was told.
#[derive(Debug, Clone, Error)]
pub enum BrowserError {
    /// No program was found.
    #[error(
        "no Chromium or Chrome was found on this machine: install the package chromium, or name one with CHROME_PATH"
    )]
    Missing,
    /// The program cannot be started.
    #[error("cannot start {program}: {why}")]
    Start {
        /// Which one.
        program: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The program was started and does not answer.
    #[error("{program} was started and does not answer: {said}")]
    Silent {
        /// Which one.
        program: PathBuf,
        /// The end of what it printed.
        said: String,
    },
    /// It has ended, or was ended.
    #[error("the browser has ended")]
    Ended,
    /// A command took too long.
    #[error("{method} had no answer within {patience:?}")]
    Slow {
        /// Which command.
        method: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// A command was refused.
    #[error("{method}: {why}")]
    Refused {
        /// Which command.
        method: String,
        /// What the browser said.
        why: String,
    },
    /// A script threw.
    #[error("a script of ours failed in the page: {0}")]
    Script(String),
    /// An address could not be opened.
    #[error("{url} could not be opened: {why}")]
    Open {
        /// Which one.
        url: String,
        /// The browser's own word for it.
        why: String,
    },
}

impl BrowserError {
    pub(crate) fn start(program: &std::path::Path, error: &io::Error) -> Self {
        Self::Start { program: program.to_owned(), why: error.to_string() }
    }

    /// There is no browser to work with, which says nothing about any page.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing | Self::Start { .. } | Self::Silent { .. })
    }
}
