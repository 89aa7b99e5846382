//! Configuration: what the code reads and what the repository says of it.

mod debug_off;
mod default_secrets;
mod env_example;
mod env_set;
mod externalized;
mod management;
mod secret_store;
mod starts;
mod values;

use seaworthy_repository::Inspection;

/// Every inspection of this area.
pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    vec![
        Box::new(externalized::Externalized),
        Box::new(management::Management),
        Box::new(secret_store::SecretStore),
        Box::new(default_secrets::DefaultSecrets),
        Box::new(env_example::EnvExample),
        Box::new(env_set::EnvSet),
        Box::new(debug_off::DebugOff),
    ]
}
