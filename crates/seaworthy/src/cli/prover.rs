//! The command line of `attest` and `evidence`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub const ATTEST_EXAMPLES: &str = "\
Examples:
  seaworthy attest process.security-audit --by \"Ann Other\" --until 2026-12-31 --because \"audit of 1 March, report 17\"
  seaworthy attest process.security-audit --approve --by \"Ben Second\"
  seaworthy attest process.security-audit --withdraw --by \"Ann Other\" --because \"the report was of another system\"
  seaworthy attest --list                             what people have said, and whether it counts

It counts once a second person has approved it, until its day has passed, and never against a probe that saw the control fail.

Exit status: 0 kept, 1 refused, 2 the command line is wrong, 3 the evidence cannot be read or written.";

pub const EVIDENCE_EXAMPLES: &str = "\
Examples:
  seaworthy evidence verify                           is anything altered, missing or in another order?
  seaworthy evidence verify --key PUBLIC --pinned HASH
  seaworthy evidence show                             the last word on each control
  seaworthy evidence show edge.https-only             everything that was seen of one, with what was sent

Exit status: 0 all is well, 1 something was altered, 2 the command line is wrong, 3 the evidence cannot be read.";

/// `seaworthy attest`.
#[derive(Debug, Args)]
pub struct AttestArguments {
    /// The control, as `seaworthy check --controls` lists it
    #[arg(required_unless_present = "list", value_name = "CONTROL")]
    pub control: Option<String>,
    /// Who says it
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    pub by: Option<String>,
    /// In which role
    #[arg(long, value_name = "ROLE", conflicts_with_all = ["approve", "withdraw"])]
    pub role: Option<String>,
    /// The last day on which it counts, at most 366 days ahead [default: in 180 days]
    #[arg(long, value_name = "DATE", conflicts_with_all = ["approve", "withdraw"])]
    pub until: Option<jiff::civil::Date>,
    /// On what grounds
    #[arg(long, value_name = "TEXT")]
    pub because: Option<String>,
    /// The second person, when both are here
    #[arg(long, value_name = "NAME", conflicts_with_all = ["approve", "withdraw"])]
    pub approver: Option<String>,
    /// Approve what somebody else has said
    #[arg(long, conflicts_with_all = ["withdraw", "list"])]
    pub approve: bool,
    /// Say that it no longer holds
    #[arg(long, conflicts_with = "list")]
    pub withdraw: bool,
    /// Show what people have said
    #[arg(long)]
    pub list: bool,
    /// For a machine
    #[arg(long)]
    pub json: bool,
    /// Where the config is
    #[command(flatten)]
    pub place: Place,
}

/// `seaworthy evidence`.
#[derive(Debug, Args)]
pub struct EvidenceArguments {
    /// What to do
    #[command(subcommand)]
    pub command: EvidenceCommand,
}

/// What can be done with evidence.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Find any record that was altered, removed or moved.
    #[command(after_help = EVIDENCE_EXAMPLES)]
    Verify(VerifyArguments),
    /// Show what was seen.
    #[command(after_help = EVIDENCE_EXAMPLES)]
    Show(ShowArguments),
}

/// `seaworthy evidence verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The ledger [default: `check.evidence` of the config]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The public key that must have signed, or a file with it [default: of the key that signs here]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// The hash of a line that must be there, as an earlier verification printed it
    #[arg(long, value_name = "HASH")]
    pub pinned: Option<String>,
    /// For a machine
    #[arg(long)]
    pub json: bool,
    /// Where the config is
    #[command(flatten)]
    pub place: Place,
}

/// `seaworthy evidence show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// One control, with everything that was sent
    #[arg(value_name = "CONTROL")]
    pub control: Option<String>,
    /// For a machine: one record a line
    #[arg(long)]
    pub json: bool,
    /// Where the config is
    #[command(flatten)]
    pub place: Place,
}

/// Which config says where evidence is kept.
#[derive(Debug, Args)]
pub struct Place {
    /// The config file [default: seaworthy.toml, when there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Lay seaworthy.NAME.toml over it [default: what the variable SEAWORTHY_PROFILE says]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}
