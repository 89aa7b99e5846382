//! `seaworthy completions`: what a shell needs to complete our commands.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::{
    cli::{Cli, CompletionsArguments},
    failure::Failure,
    terminal,
};

/// Prints the script.
pub fn main(arguments: &CompletionsArguments) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "seaworthy", &mut script);
    terminal::line(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}
