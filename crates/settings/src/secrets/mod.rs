//! Secrets where none may be: in files, in history, in what is delivered.

mod built;
mod client_secrets;
mod git_ignored_env;
mod hardcoded_secrets;
mod scan;

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    vec![
        Box::new(client_secrets::ClientSecrets),
        Box::new(git_ignored_env::GitIgnoredEnv),
        Box::new(hardcoded_secrets::HardcodedSecrets),
    ]
}
