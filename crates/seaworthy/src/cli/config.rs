//! The command line of `seaworthy config` and `seaworthy completions`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

/// `seaworthy config`.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// The config file [default: seaworthy.toml, when there is one]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Lay seaworthy.NAME.toml over it [default: what the variable SEAWORTHY_PROFILE says]
    #[arg(long, value_name = "NAME", global = true)]
    pub profile: Option<String>,
    /// What to do with it.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be asked of the config.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Find every problem, without starting anything.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckConfigArguments),
    /// Show what counts in the end, and where each value came from; secrets are masked.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArguments),
    /// Print the JSON Schema of the file, for editors.
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
    /// Tell what a key does, takes and is now; or which keys a section has.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArguments),
}

/// `seaworthy config check`.
#[derive(Debug, Args)]
pub struct CheckConfigArguments {
    /// For a machine: one object
    #[arg(long)]
    pub json: bool,
}

/// `seaworthy config show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// For a machine: one object
    #[arg(long)]
    pub json: bool,
    /// Also what nobody has set
    #[arg(long)]
    pub defaults: bool,
}

/// `seaworthy config explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// A key such as edge.timeouts.first_byte, its variable, or a section such as edge [default: every section]
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// For a machine: one object
    #[arg(long)]
    pub json: bool,
}

/// `seaworthy completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// Which shell
    #[arg(value_name = "SHELL", value_parser = shell)]
    pub shell: Shell,
}

/// Examples of `seaworthy config`.
pub const CONFIG_EXAMPLES: &str = "\
Examples:
  seaworthy config check                              is everything right?
  seaworthy config check --profile production         and with seaworthy.production.toml over it?
  seaworthy config show                               what counts, and where it came from
  seaworthy config explain edge.timeouts.first_byte   what a key does";

const CHECK_EXAMPLES: &str = "\
Examples:
  seaworthy config check                              ./seaworthy.toml and the variables SEAWORTHY_SECTION__KEY
  seaworthy config check --profile production --json  for a pipeline

Exit status: 0 nothing is wrong, 2 something is.";

const SHOW_EXAMPLES: &str = "\
Examples:
  seaworthy config show                               what somebody has set
  seaworthy config show --defaults                    and everything else
  seaworthy config show --json                        for a machine

Exit status: 0 shown, 1 it could not be written, 2 something is wrong with the config.";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  seaworthy config schema > seaworthy.schema.json     then `#:schema ./seaworthy.schema.json` in the file's first line";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  seaworthy config explain                            the sections
  seaworthy config explain edge                       the keys of a section
  seaworthy config explain edge.listen                one key
  seaworthy config explain SEAWORTHY_EDGE__LISTEN     the same by its variable";

/// Examples of `seaworthy completions`.
pub const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(seaworthy completions bash)                in ~/.bashrc
  seaworthy completions zsh > ~/.zfunc/_seaworthy     in a folder of $fpath
  seaworthy completions fish | source                 in ~/.config/fish/config.fish";

/// The shells that the tests know; the library has more.
fn shell(name: &str) -> Result<Shell, String> {
    match name {
        "bash" => Ok(Shell::Bash),
        "zsh" => Ok(Shell::Zsh),
        "fish" => Ok(Shell::Fish),
        other => Err(format!("`{other}` is none of bash, zsh, fish")),
    }
}
