//! Placeholder.
use schemars::JsonSchema;
use seaworthy_config::Section;
use serde::Deserialize;
/// x
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Settings {}
impl Section for Settings {
    const KEY: &'static str = "check";
}
