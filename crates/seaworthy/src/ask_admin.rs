//! Commands that show what a running Seaworthy knows: one question to its admin API.

use std::{path::Path, time::Duration};

use seaworthy_check::{Client, Endpoint, Transcript};
use serde_json::Value;

use crate::{
    config::{Config, ConfigSource},
    failure::Failure,
};

/// What is asked for.
pub struct Question<'a> {
    /// With its query.
    pub path: &'a str,
    /// The list that every answer of this version has.
    pub list: &'static str,
    /// Of the error when nobody answers.
    pub code: &'static str,
}

/// Asks at the address that was named, else at the config's.
pub fn ask_admin(
    named: Option<&str>,
    (config, profile): (Option<&Path>, Option<&str>),
    question: &Question<'_>,
) -> Result<Value, Failure> {
    let source = ConfigSource::new(config, profile);
    let admin = match named {
        Some(address) => address.to_owned(),
        None => Config::load_with(&source).map_err(|error| Failure::Config(error, 2))?.admin.listen,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("SEA_RUN_RUNTIME", &error))?;
    runtime.block_on(ask(&admin, question))
}

async fn ask(admin: &str, question: &Question<'_>) -> Result<Value, Failure> {
    let code = question.code;
    let address =
        if admin.contains("://") || admin.starts_with("unix:") { admin.to_owned() } else { format!("http://{admin}") };
    let endpoint: Endpoint =
        address.parse().map_err(|error: seaworthy_core::AddressError| Failure::new(code, &error))?;
    let client = Client::new(endpoint, Transcript::default()).patience(Duration::from_secs(5));
    let answer = client.get(question.path).await.map_err(|error| {
        let text = format!(
            "the admin API at {admin} does not answer ({error}); is `seaworthy run` there? --admin names another"
        );
        Failure::text(code, text)
    })?;
    let told = answer.json().filter(|value| answer.status.is_success() && value[question.list].is_array());
    told.ok_or_else(|| Failure::text(code, format!("{admin} is not the admin API of a Seaworthy of this version")))
}
