//! Commands that show what a running Seaworthy knows: one question to its admin API.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use seaworthy_check::{Client, Endpoint, Transcript};
use serde_json::Value;

use crate::{
    config::{Config, ConfigSource},
    failure::Failure,
    terminal,
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

/// Which Seaworthy is asked, and for whom its answer is.
#[derive(Debug, Args)]
pub struct AskArguments {
    /// The admin address of the running Seaworthy [default: admin.listen of the config]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// For a machine: one object
    #[arg(long)]
    pub json: bool,
    /// The config file [default: seaworthy.toml, when there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Lay seaworthy.NAME.toml over it [default: what the variable SEAWORTHY_PROFILE says]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// Asks, and prints the answer; `text` is how a person reads it.
pub fn show(
    arguments: &AskArguments,
    question: &Question<'_>,
    text: impl Fn(&Value) -> String,
) -> Result<ExitCode, Failure> {
    let told = ask_admin(arguments, question)?;
    let shown = if arguments.json { told.to_string() } else { text(&told) };
    terminal::line(shown.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Asks at the address that was named, else at the config's.
fn ask_admin(arguments: &AskArguments, question: &Question<'_>) -> Result<Value, Failure> {
    let source = ConfigSource::new(arguments.config.as_deref(), arguments.profile.as_deref());
    let admin = match &arguments.admin {
        Some(address) => address.clone(),
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
