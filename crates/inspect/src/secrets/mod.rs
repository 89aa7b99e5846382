//! Secrets where none may be: in files, in history, in what is delivered.

mod git_ignored_env;
mod hardcoded_secrets;

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    vec![Box::new(git_ignored_env::GitIgnoredEnv), Box::new(hardcoded_secrets::HardcodedSecrets)]
}
