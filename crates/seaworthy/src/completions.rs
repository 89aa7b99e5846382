//! `seaworthy completions`: what a shell needs to complete our commands.

use std::process::ExitCode;

use clap::{Command, CommandFactory};

use crate::{
    cli::{Cli, CompletionsArguments},
    failure::Failure,
    terminal,
};

/// Prints the script.
pub fn main(arguments: &CompletionsArguments) -> Result<ExitCode, Failure> {
    // Hidden commands would be offered like any other.
    let whole = Cli::command();
    let offered = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut command = Command::new("seaworthy").version(env!("CARGO_PKG_VERSION")).subcommands(offered);
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "seaworthy", &mut script);
    terminal::line(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}
