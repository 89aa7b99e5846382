//! The flags of `seaworthy run`, as values that are laid over the config each time it is read.

use seaworthy_config::Override;
use seaworthy_deploy::Command;

use crate::{
    cli::RunArguments,
    config::{Config, ConfigSource},
    failure::Failure,
    run::app,
};

/// What the config of this run is read from, now and at each reload.
pub fn source(arguments: RunArguments) -> Result<ConfigSource, Failure> {
    let mut source = ConfigSource::new(arguments.config.as_deref(), arguments.profile.as_deref());
    let mut lay = |key, flag, value: Option<String>| source.overrides.push(Override { key, flag, value });
    if !arguments.command.is_empty() {
        // Checked word by word: joined to a line, a word with a space would fall apart again.
        Command::new(arguments.command.clone()).map_err(|error| Failure::new("SEA_RUN_COMMAND", &error))?;
        lay("app.command", "-- COMMAND", Some(quote(&arguments.command)));
        lay("app.to", "-- COMMAND", None);
    }
    if let Some(to) = arguments.to {
        lay("app.to", "--to", Some(to));
        lay("app.command", "--to", None);
    }
    for (key, flag, value) in [
        ("edge.listen", "--listen", arguments.listen),
        ("admin.listen", "--admin", arguments.admin),
        ("app.health", "--health", arguments.health),
        ("observability.access_log", "--access-log", arguments.access_log),
    ] {
        if value.is_some() {
            lay(key, flag, value);
        }
    }
    Ok(source)
}

/// File, environment and flags as one config, with an app in it.
pub fn load(source: &ConfigSource) -> Result<Config, Failure> {
    let config = Config::load_with(source)?;
    let serves_files = config.routes.iter().any(|route| route.edge.files.is_some());
    if !app::is_named(&config) && !serves_files {
        let text = "there is no app to run: write `seaworthy run -- COMMAND`, `seaworthy run --to URL`, or a \
                    seaworthy.toml with `command` or `to` in [app], or a [[route]] with `files`";
        return Err(Failure::text("SEA_RUN_NO_APP", text).with_status(2));
    }
    Ok(config)
}

fn quote(words: &[String]) -> String {
    words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" ")
}
