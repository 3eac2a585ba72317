//! `skmem schema`: what the JSON looks like.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::{bench, demo, doctor, print, why};
use crate::{render::schemas, snapshot::schema};

/// Print the JSON Schema of a command's --json output
#[derive(Debug, Args)]
#[command(after_help = "\
Where a command prints an object a line, the schema is of a line. Fields are added within a
version (\"schema\":1), never renamed or taken away.

Examples:
  skmem schema explain > explain.schema.json
  skmem schema snapshot | jq .properties

Exit status: 0, 1 for a failure, 2 for wrong usage.")]
pub struct Options {
    /// The command
    #[arg(value_name = "COMMAND")]
    what: What,
}

/// Commands whose output has a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// `skmem why --json`
    Why,
    /// `skmem explain --json`: a line
    Explain,
    /// `skmem trace --json`: a line
    Trace,
    /// `skmem report --json`, with --sockets or --about as well: a line
    Report,
    /// `skmem diff --json`
    Diff,
    /// `skmem demo --json`: a line; with --list or --list-fixes a list
    Demo,
    /// `skmem export --format json`: a line
    Export,
    /// `skmem snapshot --json`
    Snapshot,
    /// `skmem decode --json`
    Decode,
    /// `skmem doctor --json`
    Doctor,
    /// `skmem bench --json`: a line
    Bench,
    /// `skmem causes --json`
    Causes,
    /// `/flight.json` of `skmem serve`
    #[cfg(feature = "serve")]
    Flight,
}

/// Runs it.
///
/// # Errors
/// Where stdout cannot be written to.
pub fn run(options: &Options) -> Result<ExitCode> {
    let schema = match options.what {
        What::Why => why::schema(),
        What::Explain => schemas::explain(),
        What::Trace => schemas::trace(),
        What::Report => schemas::report(),
        What::Diff => schemas::diff(),
        What::Demo => demo::schema(),
        What::Export => schemas::export(),
        What::Snapshot => schema::snapshot(),
        What::Decode => schema::decode(),
        What::Doctor => doctor::schema(),
        What::Bench => bench::schema(),
        What::Causes => schemas::causes(),
        #[cfg(feature = "serve")]
        What::Flight => crate::serve::flight::schema(),
    };
    print(&format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
    Ok(ExitCode::SUCCESS)
}
