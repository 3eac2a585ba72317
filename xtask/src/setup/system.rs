//! Packages of the system, for a test each: a browser and Python's environments. Installed through
//! apt, by root or through sudo, after asking.

use std::{
    io::{self, IsTerminal},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{Setup, is_on_path};
use crate::{process, progress::Step};

/// Installs the package that has `what`, which is missing.
pub(super) fn install(setup: &Setup, what: &str, package: &str) -> Result<()> {
    setup.needs(&format!("{what} (package {package})"))?;
    if !is_on_path("apt-get") {
        bail!(
            "{what} is missing, and there is no apt on this machine to install it with: install it yourself (Debian's package is {package})"
        );
    }
    let prefix: &[&str] = if nix::unistd::geteuid().is_root() {
        &[]
    } else if is_on_path("sudo") {
        &["sudo"]
    } else {
        bail!("{what} is missing: as root, run `apt-get install {package}`");
    };
    let install = [
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
        package,
    ];
    let shown = format!("`{}`", [prefix, &install].concat().join(" "));
    let removed = removed(&install)?;
    if !setup.assume_yes {
        ask(what, &shown, &removed)?;
    }
    if !prefix.is_empty() {
        // Here sudo may ask for a password; once that is done, the rest runs without a terminal.
        let allowed = process::foreground(Command::new("sudo").arg("--validate"))?;
        if !allowed.success() {
            bail!("sudo refused: as root, run `apt-get install {package}`");
        }
    }
    let step = Step::start(
        package,
        &format!(
            "installing with {shown} (a minute){}",
            removed_shown(&removed)
        ),
    );
    let words = |command: &[&str]| -> Command {
        let words = [prefix, command].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    // A fresh machine knows no package yet, an old one knows versions that are gone. A source that
    // cannot be reached is not a reason to stop: the package may come from another one.
    process::capture(&mut words(&["apt-get", "update"]), Some(&step))?;
    process::succeed(&mut words(&install), Some(&step))
        .with_context(|| format!("{package} cannot be installed"))?;
    step.done("installed");
    Ok(())
}

/// What apt would take away for it: versions from different sources may exclude each other.
fn removed(install: &[&str]) -> Result<Vec<String>> {
    let mut simulation = Command::new(install[0]);
    simulation
        .args(&install[1..])
        .arg("--simulate")
        .env("LC_ALL", "C");
    // The real run meets the same error, and reports it better.
    Ok(parse_removed(
        &process::capture(&mut simulation, None)?.stdout,
    ))
}

fn parse_removed(simulation: &str) -> Vec<String> {
    let name = |line: &str| Some(line.strip_prefix("Remv ")?.split(' ').next()?.to_owned());
    simulation.lines().filter_map(name).collect()
}

fn removed_shown(removed: &[String]) -> String {
    if removed.is_empty() {
        String::new()
    } else {
        format!(" which removes {}", removed.join(", "))
    }
}

/// Asks whether to run the command. Where nobody can answer, root's packages are installed if none
/// has to go for them: a script that runs this as root wants it to work.
fn ask(what: &str, command: &str, removed: &[String]) -> Result<()> {
    let consequence = removed_shown(removed);
    let refused = format!("{what} is missing: run {command}{consequence}, or pass --yes");
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        if nix::unistd::geteuid().is_root() && removed.is_empty() {
            return Ok(());
        }
        bail!("{refused}");
    }
    let answer = process::ask(&format!(
        "{what} is missing. Run {command}{consequence}? [y/N]"
    ))?;
    if ["y", "yes"].contains(&answer.to_ascii_lowercase().as_str()) {
        Ok(())
    } else {
        bail!("{refused}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_remove_is_read_from_its_simulation() {
        let simulation =
            "Remv qemu-utils [1:10.0.2]\nInst qemu-system-x86 (1:7.2 Debian:12 [amd64])\n";
        assert_eq!(parse_removed(simulation), ["qemu-utils"]);
        assert_eq!(removed_shown(&parse_removed("Inst x\n")), "");
    }
}
