//! How a command ends that could not do its work.

use std::{error::Error, fmt, process::ExitCode};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NarratableReportHandler};
use seaworthy_config::ConfigError;

use crate::terminal;

/// An error for a person: what happened, why, what to do, with a stable code.
#[derive(Debug)]
pub enum Failure {
    /// The config is wrong; each finding is shown with its place. With the status that the process ends with.
    Config(ConfigError, u8),
    /// Anything else.
    Other {
        /// `SEA_AREA_WHAT`.
        code: &'static str,
        /// The whole text, remedy included.
        text: String,
        /// Status that the process ends with.
        status: u8,
    },
}

impl Failure {
    /// A failure with status 1.
    pub fn new(code: &'static str, error: &(impl Error + ?Sized)) -> Self {
        Self::Other { code, text: error.to_string(), status: 1 }
    }

    /// A failure from plain text.
    pub fn text(code: &'static str, text: impl Into<String>) -> Self {
        Self::Other { code, text: text.into(), status: 1 }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: u8) -> Self {
        match self {
            Self::Other { code, text, .. } => Self::Other { code, text, status },
            Self::Config(error, _) => Self::Config(error, status),
        }
    }

    /// Shows the failure on standard error and gives the status to end with. A wrong config ends with 2, like a wrong
    /// command line.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Config(error, status) => {
                terminal::error_line(&error.to_string());
                for finding in &error.findings {
                    terminal::error_text(&render(finding));
                }
                ExitCode::from(status)
            }
            Self::Other { code, text, status } => {
                terminal::error_line(&format!("{text}  [{code}]"));
                ExitCode::from(status)
            }
        }
    }
}

/// One line a problem, for the log.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other { code, text, .. } => write!(f, "{text} [{code}]"),
            Self::Config(error, _) => {
                for (index, finding) in error.findings.iter().enumerate() {
                    let separator = if index > 0 { "; " } else { "" };
                    let place = finding.place().map(|(file, line, _)| format!("{file}:{line}: ")).unwrap_or_default();
                    write!(f, "{separator}{place}{} [{}]", finding.message, finding.code)?;
                }
                Ok(())
            }
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error, 2)
    }
}

fn render(finding: &dyn Diagnostic) -> String {
    let mut text = String::new();
    let theme = if terminal::colours() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let drawn = GraphicalReportHandler::new_themed(theme).with_width(100).render_report(&mut text, finding);
    if drawn.is_err() {
        text.clear();
        // Plain words where the drawing failed; a String takes whatever is written.
        let _ = NarratableReportHandler::new().render_report(&mut text, finding);
    }
    text
}
