//! One binary around a web app: `init` writes its config, `run` puts the production layer around it, `check` proves the team's checklist,
//! `demo` shows both. This file reads the command line; each command has its own file.

mod check;
mod cli;
mod config;
mod demo;
mod failure;
mod init;
mod pipeline;
mod run;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

/// Cuts a few per cent of a request's CPU against the C library's allocator, and keeps freed memory in fewer pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = cli::Cli::parse().command;
    let result = match command {
        cli::Command::Init(arguments) => init::main(arguments),
        cli::Command::Run(arguments) => run::main(arguments),
        cli::Command::Check(arguments) => check::main(arguments),
        cli::Command::Demo(arguments) => demo::main(arguments),
        cli::Command::DemoApp(arguments) => demo::app_main(&arguments),
    };
    result.unwrap_or_else(|failure| failure.report())
}
