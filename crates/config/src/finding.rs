//! What is wrong with a config: every finding with its place, reason and remedy.

use std::{fmt, sync::Arc};

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode, SourceSpan};
use thiserror::Error;

/// One problem in the config.
#[derive(Debug, Clone, Error)]
#[error("{message}")]
pub struct Finding {
    /// Stable code, `SEA_CONFIG_WHAT`.
    pub code: &'static str,
    /// What is wrong, and where it came from when that is not the file.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Text under the caret.
    pub label: String,
    source_text: Option<Arc<NamedSource<String>>>,
    span: Option<SourceSpan>,
}

/// Collects findings while sections are read and validated. A path is dotted: `edge.timeouts.first_byte`.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<(String, Finding)>,
}

/// The config cannot be used. Holds every finding, not only the first.
#[derive(Debug, Error)]
pub struct ConfigError {
    /// At least one.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// Adds a problem of the value at `path`.
    pub fn add(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>, help: &str) {
        let help = (!help.is_empty()).then(|| help.to_owned());
        let finding =
            Finding { code, message: message.into(), help, label: "here".into(), source_text: None, span: None };
        self.list.push((path.into(), finding));
    }

    /// True when nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What was found as an error, without places in a file.
    pub(crate) fn into_error(self) -> ConfigError {
        ConfigError { findings: self.list.into_iter().map(|(_, finding)| finding).collect() }
    }

    /// Each with its dotted path.
    pub fn into_list(self) -> Vec<(String, Finding)> {
        self.list
    }
}

impl Finding {
    /// File, line and column (both from 1), when the value stands in a file.
    pub fn place(&self) -> Option<(&str, usize, usize)> {
        let (source, span) = (self.source_text.as_deref()?, self.span?);
        let before = source.inner().get(..span.offset())?;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((source.name(), before.matches('\n').count() + 1, column))
    }

    /// Puts the finding at a place in a file.
    #[must_use]
    pub(crate) fn at(mut self, source: Arc<NamedSource<String>>, span: std::ops::Range<usize>) -> Self {
        self.source_text = Some(source);
        self.span = Some(span.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.findings.as_slice() {
            [only] => write!(f, "the config has a problem: {only}"),
            many => write!(f, "the config has {} problems", many.len()),
        }
    }
}

impl Diagnostic for Finding {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source_text.as_deref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some(self.label.clone()), span))))
    }
}

impl Diagnostic for ConfigError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new("SEA_CONFIG_INVALID"))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new("nothing was started; correct the config and run the command again"))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.findings.iter().map(|finding| finding as &dyn Diagnostic)))
    }
}
