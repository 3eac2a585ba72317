//! `cargo xtask vm shell`: an interactive shell in a guest, on its virtio console.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use skmem_vm_init::{Job, Terminal};
use terminal_size::{Height, Width, terminal_size};

use super::{MachineOptions, Vm, session::Streams};
use crate::{error, setup::Setup};

/// Boots, and hands the terminal over until the shell ends.
pub(super) fn run(setup: &Setup, options: &MachineOptions) -> Result<u8> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(error::usage(
            "`vm shell` needs a terminal: for a script, `cargo xtask vm -- CMD`",
        ));
    }
    let mut options = options.clone();
    // A person may take as long as they like; a day is for machines that are forgotten.
    options.timeout.get_or_insert(24 * 60 * 60);
    let vm = Vm::prepare(setup, &options, &[])?;
    let (columns, rows) =
        terminal_size().map_or((80, 24), |(Width(columns), Height(rows))| (columns, rows));
    let job = Job {
        argv: vec!["sh".into(), "-l".into()],
        env: Vec::new(),
        send_out: false,
        terminal: Some(Terminal {
            rows,
            columns,
            kind: std::env::var("TERM").unwrap_or_else(|_| "vt100".into()),
        }),
    };
    eprintln!("vm: `exit` or Ctrl-D ends the VM");
    let _restore = Saved::take()?;
    let nowhere = || {
        Ok(Streams {
            stdout: Box::new(io::sink()),
            stderr: Box::new(io::sink()),
            out: None,
        })
    };
    let done = vm.run(&job, nowhere)?;
    Ok(done.status)
}

/// The terminal's settings: qemu changes them, and is not asked to put them back when it is ended.
struct Saved(Termios);

impl Saved {
    fn take() -> Result<Self> {
        tcgetattr(io::stdin())
            .map(Self)
            .context("cannot read the terminal's settings")
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}
