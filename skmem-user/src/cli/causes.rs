//! `skmem causes`: every name that skmem gives to bytes and limits, explained.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;

use super::{Usage, offers, print, style};
use crate::{
    explain::pages::{self, Page},
    render,
};

/// Explain the names of causes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  skmem causes                  all of them, a line each
  skmem causes tail-append      what it is, how far it goes past the limit, what to do
  skmem causes --json | jq '.[] | select(.kind == \"growth\") | .name'

Exit status: 0, 2 for a name that does not exist.")]
pub struct Options {
    /// The cause to describe (all if omitted)
    #[arg(value_name = "NAME", add = offers::causes())]
    name: Option<String>,
    /// Print JSON: one list of objects
    #[arg(long)]
    json: bool,
    /// Print the document docs/causes.md
    #[arg(long, conflicts_with_all = ["json", "name"])]
    markdown: bool,
}

/// Runs it.
///
/// # Errors
/// Where there is no such name.
pub fn run(options: &Options) -> Result<ExitCode> {
    let pages = match &options.name {
        None => pages::all(),
        Some(name) => vec![find(name)?],
    };
    let text = if options.json {
        let list: Vec<_> = pages.iter().map(Page::describe).collect();
        serde_json::to_string_pretty(&list)? + "\n"
    } else if options.markdown {
        render::causes_markdown(&pages)
    } else {
        match &pages[..] {
            [only] => render::cause_page(only, &style()),
            all => render::cause_list(all, &style()),
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str) -> Result<Page> {
    pages::find(name).map_err(|near| {
        let hint = match &near[..] {
            [] => "`skmem causes` lists them".to_owned(),
            near => format!("near it: {}", near.join(", ")),
        };
        Usage(anyhow!("no cause is called {name:?}; {hint}")).into()
    })
}
