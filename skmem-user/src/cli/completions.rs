//! `skmem completions`: what makes a shell complete skmem's words.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::env::{Bash, EnvCompleter, Fish, Powershell, Zsh};
use clap_complete_nushell::Nushell;

use super::{Cli, print};

/// The variable by which a shell asks skmem what may come next.
pub const VARIABLE: &str = "SKMEM_COMPLETE";

const NAME: &str = "skmem";

/// Print a script that makes a shell complete skmem's words
#[derive(Debug, Args)]
#[command(after_help = "\
The shell then offers commands and options, and what there is on this machine: processes, network
namespaces; and the names of causes, fields and cases. For that it runs skmem, which must be on the
PATH. In Nushell, commands and options only.

Examples:
  skmem completions bash > /etc/bash_completion.d/skmem
  source <(skmem completions bash)       in ~/.bashrc, or by hand
  source <(skmem completions zsh)        in ~/.zshrc, after compinit
  skmem completions fish > ~/.config/fish/completions/skmem.fish
  skmem completions nushell > skmem.nu   then `use skmem.nu *` in config.nu
  skmem completions powershell >> $PROFILE

Exit status: 0, 1 for a failure, 2 for wrong usage.")]
pub struct Options {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Nushell,
    Powershell,
}

/// Runs it.
///
/// # Errors
/// Where stdout cannot be written to.
pub fn run(options: &Options) -> Result<ExitCode> {
    let asks: &dyn EnvCompleter = match options.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
        Shell::Nushell => return nushell(),
    };
    let mut script = Vec::new();
    asks.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

fn nushell() -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(Nushell, &mut Cli::command(), NAME, &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}
