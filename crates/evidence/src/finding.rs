//! What became of one control.

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// What became of one control.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// The control.
    pub control: String,
    /// The answer.
    pub verdict: Verdict,
    /// In one line.
    pub reason: String,
    /// Cases that should have been tried.
    pub planned: usize,
    /// Cases that were.
    pub executed: usize,
    /// What was seen.
    pub observed: String,
    /// How the probe looked; `None` when there is no probe.
    pub kind: Option<ProbeKind>,
    /// What the probe may do.
    pub class: Option<SafetyClass>,
    /// What the control experiment said.
    pub experiment: Option<Experiment>,
    /// Milliseconds that it took, experiment included.
    pub took_ms: u64,
    /// Until when it counts (RFC 3339), when it closes anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// SHA-256 of the record that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// What was sent and seen.
    #[serde(skip)]
    pub transcript: Vec<String>,
}

/// A control experiment: does the probe tell good from bad?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// Right in both directions.
    pub right: bool,
    /// What the probe said where the thing is present.
    pub present: String,
    /// What it said where the thing is absent.
    pub absent: String,
}

/// How a probe looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// Reads files.
    Static,
    /// Sends requests.
    Live,
    /// Breaks something on purpose and watches it heal.
    Drill,
}

/// What a probe may do to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SafetyClass {
    /// Only reads.
    Passive,
    /// Sends marked requests; always allowed.
    Active,
    /// Makes copies of its own and destroys them; the live system is not touched.
    Scratch,
    /// Breaks something on the live target: only when asked, and in production only when that was allowed as well.
    Disruptive,
}

impl Finding {
    /// Nothing was tried.
    pub fn not_run(control: &str, reason: &str) -> Self {
        Self {
            control: control.into(),
            verdict: Verdict::NotRun,
            reason: reason.into(),
            planned: 0,
            executed: 0,
            observed: String::new(),
            kind: None,
            class: None,
            experiment: None,
            took_ms: 0,
            expires: None,
            evidence: None,
            transcript: Vec::new(),
        }
    }
}
