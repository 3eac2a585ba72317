//! `skmem schema`: what the JSON looks like.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::print;
use crate::snapshot::schema;

/// Print the JSON Schema of a command's --json output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  skmem schema snapshot > snapshot.schema.json
  skmem schema decode

Exit status: 0, 1 for a failure, 2 for wrong usage.")]
pub struct Options {
    /// The command
    #[arg(value_name = "COMMAND")]
    what: What,
}

/// Commands whose output has a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// `skmem snapshot --json`
    Snapshot,
    /// `skmem decode --json`
    Decode,
}

/// Runs it.
///
/// # Errors
/// Where stdout cannot be written to.
pub fn run(options: &Options) -> Result<ExitCode> {
    let schema = match options.what {
        What::Snapshot => schema::snapshot(),
        What::Decode => schema::decode(),
    };
    print(&format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
    Ok(ExitCode::SUCCESS)
}
