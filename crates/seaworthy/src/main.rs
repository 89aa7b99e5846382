//! One binary around a web app: `init` writes its config, `run` puts the production layer around it, `check` proves the
//! team's checklist, `demo` shows both, `config` explains what they were told. This file reads the command line; each
//! command has its own file.

mod ask_admin;
mod check;
mod cli;
mod completions;
mod config;
mod config_command;
mod csp_command;
mod demo;
mod deprecated_command;
mod failure;
mod init;
mod openapi_command;
mod pipeline;
mod prover;
mod run;
mod terminal;
mod trial;

use std::process::ExitCode;

use clap::Parser;

/// Cuts a few per cent of a request's CPU against the C library's allocator, and keeps freed memory in fewer pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match cli::Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => {
            // Losing the text of an error or of the help cannot be told to anybody.
            let _ = error.print();
            // For `check`, 2 means that something is inconclusive.
            let checks = std::env::args_os().nth(1).is_some_and(|word| word == "check");
            return match error.use_stderr() {
                true => ExitCode::from(if checks { prover::ERROR_STATUS } else { 2 }),
                false => ExitCode::SUCCESS,
            };
        }
    };
    // What these print is all that they do, so losing it is a failure.
    let prints = matches!(
        command,
        cli::Command::Config(_)
            | cli::Command::Init(_)
            | cli::Command::Completions(_)
            | cli::Command::Csp(_)
            | cli::Command::Deprecated(_)
    );
    let result = match command {
        cli::Command::Init(arguments) => init::main(arguments),
        cli::Command::Run(arguments) => run::main(arguments),
        cli::Command::Check(arguments) => check::main(arguments),
        cli::Command::Attest(arguments) => prover::attest::main(&arguments),
        cli::Command::Evidence(arguments) => prover::evidence::main(&arguments),
        cli::Command::Demo(arguments) => demo::main(arguments),
        cli::Command::Config(arguments) => config_command::main(&arguments),
        cli::Command::Csp(arguments) => csp_command::main(&arguments),
        cli::Command::Deprecated(arguments) => deprecated_command::main(&arguments),
        cli::Command::Openapi(arguments) => openapi_command::main(&arguments),
        cli::Command::Completions(arguments) => completions::main(&arguments),
        cli::Command::DemoApp(arguments) => demo::app_main(&arguments),
        cli::Command::LaunchApp(arguments) => {
            let error = seaworthy_deploy::launch_app(arguments.parent, &arguments.command);
            Err(failure::Failure::new("SEA_RUN_LAUNCH", &error).with_status(127))
        }
        cli::Command::GuardApps => {
            seaworthy_deploy::guard_apps(std::io::stdin().lock());
            Ok(ExitCode::SUCCESS)
        }
    };
    match (result, terminal::lost()) {
        (Ok(_), Some(error)) if prints => {
            let text = format!("cannot write to standard output: {error}; make room, or write to another place");
            failure::Failure::text("SEA_OUTPUT_LOST", text).report()
        }
        (result, _) => result.unwrap_or_else(|failure| failure.report()),
    }
}
