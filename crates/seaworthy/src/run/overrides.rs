//! The flags of `seaworthy run`, as values that are laid over the config each time it is read.

use seaworthy_config::Override;
use seaworthy_deploy::Command;

use crate::{
    cli::RunArguments,
    config::{Config, ConfigSource},
    failure::Failure,
    trial,
};

/// What the config of this run is read from, now and at each reload.
pub fn source(arguments: RunArguments) -> Result<ConfigSource, Failure> {
    let mut source = ConfigSource::new(arguments.config.as_deref(), arguments.profile.as_deref());
    let mut lay = |key, flag, value: Option<String>| source.overrides.push(Override { key, flag, value });
    if !arguments.command.is_empty() {
        // Checked word by word: joined to a line, a word with a space would fall apart again.
        Command::new(arguments.command.clone())
            .map_err(|error| Failure::new("SEA_RUN_COMMAND", &error).with_status(2))?;
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
    if !config.has_app() && !serves_files {
        let text = "there is no app to run: write `seaworthy run -- COMMAND`, `seaworthy run --to URL`, or a \
                    seaworthy.toml with `command` or `to` in [app], or a [[route]] with `files`";
        return Err(Failure::text("SEA_RUN_NO_APP", text).with_status(2));
    }
    trial::routes(&config)?;
    Ok(config)
}

fn quote(words: &[String]) -> String {
    words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command as Verb};

    fn from_words(words: &[&str]) -> Result<ConfigSource, Failure> {
        let words = ["seaworthy", "run"].iter().chain(words);
        let Verb::Run(arguments) = Cli::try_parse_from(words).unwrap().command else { panic!() };
        source(arguments)
    }

    /// The status that the process would end with, and the code.
    fn status(failure: Failure) -> (u8, &'static str) {
        match failure {
            Failure::Other { code, status, .. } => (status, code),
            Failure::Config(error, status) => (status, error.findings[0].code),
        }
    }

    #[test]
    fn a_wrong_command_line_and_a_wrong_config_end_alike() {
        let lost_port = from_words(&["--", "uvicorn", "app:app", "--port"]).unwrap_err();
        assert_eq!(status(lost_port), (2, "SEA_RUN_COMMAND"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seaworthy.toml");
        let load_file = |text: &str| {
            fs::write(&file, text).unwrap();
            status(load(&from_words(&["--config", file.to_str().unwrap()]).unwrap()).unwrap_err())
        };
        assert_eq!(load_file(""), (2, "SEA_RUN_NO_APP"));
        assert_eq!(load_file("[edge]\nlisten = \"localhost:80\"\n"), (2, "SEA_CONFIG_ADDRESS"));
        let files = "[[route]]\nmatch = \"/*\"\nfiles = { root = \"/nowhere/at/all\" }\n";
        assert_eq!(load_file(files), (2, "SEA_RUN_EDGE"));
    }
}
