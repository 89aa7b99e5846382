//! Takes answers back that show the inside of the app: stack traces, and the pages of a framework in debug mode.
//!
//! It reads the beginning of error answers alone, and only of kinds that people read; everything else passes untouched.

mod signs;
mod watch;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use watch::{Disclosure, DisclosureService};

/// What happens to an error answer that shows a stack trace or is a debug page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Traces {
    /// It is replaced by a problem with the request id, and the log says what it was.
    #[default]
    Replace,
    /// It passes.
    Pass,
}
