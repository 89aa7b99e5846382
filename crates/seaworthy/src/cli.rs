//! The command line.

mod config;
mod prover;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};
pub use config::{CompletionsArguments, ConfigArguments, ConfigCommand, ExplainArguments};
pub use prover::{AttestArguments, EvidenceArguments, EvidenceCommand, Place, ShowArguments, VerifyArguments};

use crate::ask_admin::AskArguments;

/// Makes a web app production-ready, and proves it.
#[derive(Debug, Parser)]
#[command(name = "seaworthy", version, about, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at a folder, and write its first seaworthy.toml and .env.example.
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArguments),
    /// Put the production layer around an app.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArguments),
    /// Try each item of a checklist on the live system, and keep the evidence.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArguments),
    /// Vouch for what only a person can say.
    #[command(after_help = prover::ATTEST_EXAMPLES)]
    Attest(AttestArguments),
    /// Look at the evidence: verify it, show it.
    #[command(after_help = prover::EVIDENCE_EXAMPLES)]
    Evidence(EvidenceArguments),
    /// See it work: a small unready app, checked bare and then behind Seaworthy.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArguments),
    /// Look at the config: check it, show what counts, explain a key.
    #[command(after_help = config::CONFIG_EXAMPLES)]
    Config(ConfigArguments),
    /// Show what browsers reported of the content security policy, and the policy that would allow it.
    #[command(after_help = CSP_EXAMPLES)]
    Csp(CspArguments),
    /// Show which operations will go away, and who still calls them.
    #[command(after_help = DEPRECATED_EXAMPLES)]
    Deprecated(AskArguments),
    /// Show how requests compare with the API's OpenAPI document.
    #[command(after_help = OPENAPI_EXAMPLES)]
    Openapi(AskArguments),
    /// Print the completions of a shell.
    #[command(after_help = config::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArguments),
    /// The app of the demo, alone.
    #[command(hide = true)]
    DemoApp(DemoAppArguments),
    /// Becomes an app of `run`, and ends when the Seaworthy that started it does.
    #[command(hide = true)]
    LaunchApp(LaunchAppArguments),
    /// Kills what is left of the apps of a `run` that was killed.
    #[command(hide = true)]
    GuardApps,
}

const INIT_EXAMPLES: &str = "\
Examples:
  seaworthy init                                      the app of this folder
  seaworthy init backend --dry-run                    only show what would be written
  seaworthy init --probe                              will the app see the right scheme, host and client address?

Exit status: 0 done, 1 nothing recognised, a file that differs was kept, or (with --probe) a fact is missing.";

const DEPRECATED_EXAMPLES: &str = "\
Examples:
  seaworthy deprecated                                who must be told before an operation goes
  seaworthy deprecated --json --admin 127.0.0.1:9900  the same for a machine, with every caller

Exit status: 0 shown, 1 no Seaworthy answers.";

const RUN_EXAMPLES: &str = "\
Examples:
  seaworthy run -- uvicorn app:app --port '$PORT'     start the app and serve it (quote $PORT, or write {port})
  seaworthy run --to http://127.0.0.1:8000            serve an app that already runs
  seaworthy run --to unix:/run/app.sock               the same over a Unix socket
  seaworthy run                                       what ./seaworthy.toml says
  seaworthy run --listen 0.0.0.0:8080 -- node server.js

Exit status: 0 stopped by a signal, every request ended; 1 it could not start, or the app failed; 2 the command line or the \
config is wrong; 130 a second signal cut the stop short.";

const CHECK_EXAMPLES: &str = "\
Examples:
  seaworthy check CHECKLIST.md                        the app of ./seaworthy.toml, or what runs behind Seaworthy
  seaworthy check --url http://localhost:8000 --repo . CHECKLIST.md
  seaworthy check --match CHECKLIST.md                only show which control each item means
  seaworthy check CHECKLIST.md --json                 for a machine
  seaworthy check CHECKLIST.md --fix                  what would close what failed, as a diff of seaworthy.toml
  seaworthy check CHECKLIST.md --watch                look again whenever something changes
  seaworthy check CHECKLIST.md --report html --report junit=target/readiness.xml
  seaworthy check --controls                          everything that can be asked for, and how it is tried

Exit status: 0 all proven, 1 an item failed, 2 something is open, 3 an error or nothing ran.";

const CSP_EXAMPLES: &str = "\
Examples:
  seaworthy csp                                       from the Seaworthy that ./seaworthy.toml describes
  seaworthy csp --min-clients 1                       also what a single address reported
  seaworthy csp --admin 127.0.0.1:9901 --json         for a machine

Exit status: 0 shown, 1 nobody answers at the admin address, 2 the command line or the config is wrong.";

const OPENAPI_EXAMPLES: &str = "\
Examples:
  seaworthy openapi                                   from the Seaworthy that ./seaworthy.toml describes
  seaworthy openapi --admin 127.0.0.1:9901 --json     for a machine

Exit status: 0 shown, 1 nobody answers at the admin address, 2 the command line or the config is wrong.";

const DEMO_EXAMPLES: &str = "\
Examples:
  seaworthy demo                                      compare, then keep serving until Ctrl-C
  seaworthy demo --once --json                        compare, print one line, end";

/// `seaworthy init`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The folder to look at [default: the current folder]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Print what was found as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Replace files that are there; write a template when nothing is recognised
    #[arg(long, conflicts_with = "probe")]
    pub force: bool,
    /// Write nothing; show what would be written
    #[arg(long)]
    pub dry_run: bool,
    /// Write nothing; status 1 unless the app will see scheme, host and client address rightly
    #[arg(long, conflicts_with = "dry_run")]
    pub probe: bool,
}

/// `seaworthy run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Serve an app that already runs: http://HOST:PORT or unix:/path/to.sock
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    pub to: Option<String>,
    /// The config file [default: seaworthy.toml, when there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Lay seaworthy.NAME.toml over it [default: what the variable SEAWORTHY_PROFILE says]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Where to serve [default: 127.0.0.1:8080; port 0 takes a free one]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Where operators reach the admin API [default: 127.0.0.1:9900; loopback only]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// Path that answers 2xx or 3xx when the app is well [default: an accepted connection will do]
    #[arg(long, value_name = "PATH")]
    pub health: Option<String>,
    /// Access log: stdout, off, or a file
    #[arg(long, value_name = "TARGET")]
    pub access_log: Option<String>,
    /// Print the addresses as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// The command that starts the app; '$PORT' or {port} stands for the port that it is given
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `seaworthy check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Checklists in Markdown
    #[arg(required_unless_present = "controls", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only match items to controls; runs no probe
    #[arg(long = "match")]
    pub match_only: bool,
    /// Take the asks outside boxes too: status bullets, sub-bullets, numbered plans
    #[arg(long)]
    pub all_asks: bool,
    /// For a machine: one object (with --match: one object an item)
    #[arg(long)]
    pub json: bool,
    /// The app's public address [default: where the config serves, HTTPS first, when something answers there]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The admin address of the Seaworthy around it [default: admin.listen of the config, when it serves that address]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// The app's source [default: the current folder]
    #[arg(long, value_name = "DIR")]
    pub repo: Option<PathBuf>,
    /// A command that starts a scratch copy for drills, with '$PORT' or {port} where it listens
    #[arg(long, value_name = "COMMAND")]
    pub start: Option<String>,
    /// The config file [default: seaworthy.toml, when there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Lay seaworthy.NAME.toml over it [default: what the variable SEAWORTHY_PROFILE says]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Write the ticked checklists into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Run the project's own tests, linters and builds too, in a copy of it
    #[arg(long)]
    pub run_tests: bool,
    /// Drills may break instances of the live app too, where no copy can be started; not in production
    #[arg(long)]
    pub disruptive: bool,
    /// With --disruptive: in the profile `production` too
    #[arg(long, requires = "disruptive")]
    pub disruptive_in_production: bool,
    /// Write a report for machines or people too, into the same folder or to PATH: html, json, junit, sarif, oscal, in-toto,
    /// prometheus; may be repeated
    #[arg(long = "report", value_name = "FORMAT[=PATH]")]
    pub reports: Vec<String>,
    /// Show the changes of seaworthy.toml that close what failed, and write them as a diff
    #[arg(long)]
    pub fix: bool,
    /// Look again when the lists, the config or the release change, and every now and then; reopens boxes by itself
    #[arg(long, conflicts_with_all = ["match_only", "fix", "json"])]
    pub watch: bool,
    /// With --watch: look again at the latest after this long
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "watch")]
    pub every: seaworthy_config::HumanDuration,
    /// List every control, how it is tried, and what those that are not tried wait for
    #[arg(long, conflicts_with_all = ["match_only", "fix", "watch"])]
    pub controls: bool,
}

/// `seaworthy csp`.
#[derive(Debug, Args)]
pub struct CspArguments {
    /// Propose only what at least so many addresses reported
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub min_clients: usize,
    #[command(flatten)]
    pub ask: AskArguments,
}

/// `seaworthy demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// End after the comparison
    #[arg(long)]
    pub once: bool,
    /// Print the comparison as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Where to serve [default: a free port]
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", hide_default_value = true)]
    pub listen: String,
}

/// `seaworthy demo-app`.
#[derive(Debug, Args)]
pub struct DemoAppArguments {
    /// The port to listen on, on loopback
    #[arg(long)]
    pub port: u16,
}

/// `seaworthy launch-app`.
#[derive(Debug, Args)]
pub struct LaunchAppArguments {
    /// Process id of the Seaworthy that starts it
    #[arg(long, value_name = "PID")]
    pub parent: u32,
    /// The app's command, as it is
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
