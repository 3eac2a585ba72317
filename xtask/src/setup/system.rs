//! Packages of the system: qemu, the only one. Installed through apt, by root or through sudo, after asking.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Setup, is_on_path};
use crate::progress::Step;
use crate::{paths, process};

/// The emulator's program.
pub(crate) const EMULATOR: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

/// Installs qemu unless it is there.
pub(super) fn ensure(setup: &Setup) -> Result<()> {
    if is_on_path(EMULATOR) {
        return Ok(());
    }
    setup.needs(&format!("{EMULATOR} (package {PACKAGE})"))?;
    if !is_on_path("apt-get") {
        bail!(
            "{EMULATOR} is missing, and there is no apt on this machine to install it with: install qemu for x86 yourself"
        );
    }
    let prefix: &[&str] = if nix::unistd::geteuid().is_root() {
        &[]
    } else if is_on_path("sudo") {
        &["sudo"]
    } else {
        bail!("{EMULATOR} is missing: as root, run `apt-get install {PACKAGE}`");
    };
    let install = [
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
        PACKAGE,
    ];
    let shown = [prefix, &install].concat().join(" ");
    if !setup.assume_yes {
        ask(&shown)?;
    }
    if !prefix.is_empty() {
        // Here sudo may ask for a password; once that is done, the rest runs without a terminal.
        let allowed = process::foreground(Command::new("sudo").arg("--validate"))?;
        if !allowed.success() {
            bail!("sudo refused: as root, run `apt-get install {PACKAGE}`");
        }
    }
    let step = Step::start(PACKAGE, &format!("installing with `{shown}` (a minute)"));
    let words = |command: &[&str]| -> Command {
        let words = [prefix, command].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    // A fresh machine knows no package yet, an old one knows versions that are gone.
    process::succeed(
        words(&["apt-get", "update"]).current_dir(paths::root()),
        Some(&step),
    )
    .context("the package lists cannot be brought up to date")?;
    process::succeed(&mut words(&install), Some(&step))
        .with_context(|| format!("{PACKAGE} cannot be installed"))?;
    step.done("installed");
    Ok(())
}

/// Asks whether to run the command; without a terminal the answer is no.
fn ask(command: &str) -> Result<()> {
    let refused = format!("{EMULATOR} is missing: run `{command}`, or pass --yes");
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        bail!("{refused}");
    }
    eprint!("{EMULATOR} is missing. Run `{command}`? [y/N] ");
    io::stderr().flush().context("cannot write to stderr")?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    process::check_interrupted()?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        Ok(())
    } else {
        bail!("{refused}")
    }
}
