//! `skmem fields`: the glossary.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;

use super::{Usage, offers, print, style};
use crate::{glossary, render::snapshot};

/// Explain the words that `ss` and skmem print: values, states, options, findings
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  skmem fields            all of them, a line each
  skmem fields w          one in full: kernel field, unit, who moves it, what people get wrong
  skmem fields Send-Q sk_wmem_alloc tcp_mem
  skmem fields backoff CLOSE-WAIT TCP_NOTSENT_LOWAT waits-for-peer-window

Exit status: 0, 1 for a failure, 2 for a name that is not known.")]
pub struct Options {
    /// A letter or word of ss, a name of skmem's, a state, a socket option or sysctl, a kernel
    /// field
    #[arg(value_name = "NAME", add = offers::fields())]
    names: Vec<String>,
    /// Print all in full, as Markdown (docs/fields.md)
    #[arg(long, conflicts_with = "names")]
    markdown: bool,
}

/// Runs it.
///
/// # Errors
/// Where a name is not known, or stdout cannot be written to.
pub fn run(options: &Options) -> Result<ExitCode> {
    let style = style();
    if options.markdown {
        print(&snapshot::fields_markdown())?;
    } else if options.names.is_empty() {
        print(&snapshot::fields(&style))?;
    }
    for (at, name) in options.names.iter().enumerate() {
        let field = glossary::find(name).ok_or_else(|| Usage(unknown(name)))?;
        if at > 0 {
            print("\n")?;
        }
        print(&snapshot::field(field, &style))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(name: &str) -> anyhow::Error {
    match glossary::near(name) {
        near if near.is_empty() => anyhow!("unknown name {name:?}: `skmem fields` lists all"),
        near => anyhow!(
            "unknown name {name:?} (did you mean {}? `skmem fields` lists all)",
            near.join(", ")
        ),
    }
}
