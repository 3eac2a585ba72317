//! `skmem doctor`: can this machine be traced, and what would be missing.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::{print, style};
use crate::{
    kernel::doctor::{self, Finding, State},
    render::{self, Place},
};

/// Say what this machine allows: kernel, rights, hooks, fields
#[derive(Debug, Args)]
#[command(after_help = "\
Works for any user, on any kernel. With the rights for it, all programs are loaded and attached for a
moment, and taken out again.

Examples:
  skmem doctor
  skmem doctor --json | jq -r '.findings[] | select(.state != \"good\") | .consequence'
  skmem doctor --btf vmlinux.btf    would skmem work on the kernel of this BTF?

Exit status: 0 where everything can be traced, 3 where something is lost, 4 where nothing can be
traced; 1 for a failure, 2 for wrong usage.")]
pub struct Options {
    /// Load nothing: only look
    #[arg(long)]
    no_load: bool,
    /// Look at the types in this file instead of this machine: fields and functions of another
    /// kernel, whose /sys/kernel/btf/vmlinux it is
    #[arg(long, value_name = "FILE", conflicts_with = "no_load")]
    btf: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The JSON that is printed.
#[derive(JsonSchema, Serialize)]
#[schemars(title = "Checked")]
struct Answer<'a> {
    /// Version of this contract: 1
    schema: u32,
    /// The worst state of any finding
    state: State,
    /// What was looked at
    findings: &'a [Finding],
}

/// The schema of its JSON.
pub(super) fn schema() -> Schema {
    schema_for!(Answer<'static>)
}

/// Runs it.
///
/// # Errors
/// Where stdout cannot be written to, or a file is not BTF.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (findings, place) = match &options.btf {
        Some(file) => (doctor::examine_types(file)?, Place::Types),
        None if options.no_load => (doctor::examine(false), Place::Unloaded),
        None => (doctor::examine(true), Place::Here),
    };
    let state = doctor::overall(&findings);
    if options.json {
        let answer = Answer {
            schema: 1,
            state,
            findings: &findings,
        };
        print(&format!("{}\n", serde_json::to_string(&answer)?))?;
    } else {
        print(&render::doctor(&findings, place, &style()))?;
    }
    Ok(ExitCode::from(match state {
        State::Good => 0,
        State::Reduced => 3,
        State::Impossible => 4,
    }))
}
