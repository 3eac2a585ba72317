//! The virtual machine as qemu's command line has it.

use std::{
    os::fd::{AsRawFd, RawFd},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use skmem_vm_init::SYSTEMD;

use super::Accel;
use crate::{arch::Arch, setup::emulator_command};

/// What to boot, and on what.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) arch: &'static Arch,
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) cpus: u32,
    /// In MiB.
    pub(super) memory: u32,
    pub(super) accel: Accel,
    /// Guest time is a count of instructions.
    pub(super) icount: bool,
    /// systemd is the first process.
    pub(super) systemd: bool,
}

impl Machine {
    /// qemu with this machine, no devices beyond it, and the kernel's log on the first serial port,
    /// which is `console`.
    pub(super) fn command(&self, console: RawFd) -> Command {
        let mut qemu = emulator_command(self.arch);
        qemu.args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
            "-machine",
            self.arch.machine,
        ]);
        match self.accel {
            Accel::Kvm => qemu.args(["-accel", "kvm", "-cpu", "host"]),
            // One thread for all processors: with several, guests crash now and then while the
            // kernel patches its own code, which attaching a tracer does. It is about
            // as fast.
            Accel::Tcg => {
                let less = if self.icount { "" } else { self.arch.slow };
                let cpu = format!("{}{less}", self.arch.cpu);
                qemu.args(["-accel", "tcg,thread=single", "-cpu", &cpu])
            }
        };
        if self.icount {
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        qemu.args([
            "-smp",
            &self.cpus.to_string(),
            "-m",
            &format!("{}M", self.memory),
        ]);
        qemu.arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initrd);
        // A panic, and an oops as well, ends the machine at once instead of leaving it hanging.
        let console_port = self.arch.console;
        let systemd = if self.systemd { SYSTEMD } else { "" };
        qemu.args([
            "-append",
            &format!("console={console_port} loglevel=4 panic=-1 oops=panic {systemd}"),
        ]);
        qemu.args([
            "-chardev",
            &format!("socket,id=console,fd={console}"),
            "-serial",
            "chardev:console",
        ]);
        qemu.args(["-device", "virtio-serial-pci,id=ports"]);
        qemu
    }
}

/// Adds a named port whose other end is the socket `end`.
pub(super) fn add_port(qemu: &mut Command, name: &str, end: RawFd) {
    qemu.args(["-chardev", &format!("socket,id={name},fd={end}")]);
    qemu.args([
        "-device",
        &format!("virtserialport,bus=ports.0,chardev={name},name={name}"),
    ]);
}

/// Makes the terminal that qemu runs on a console of the guest, [`skmem_vm_init::SHELL_TTY`] there:
/// every machine has it, and not every one a second serial port.
pub(super) fn add_terminal(qemu: &mut Command) {
    // Ctrl-C belongs to the guest here: the terminal hands every key on.
    qemu.args([
        "-chardev",
        "stdio,id=shell,signal=off",
        "-device",
        "virtconsole,bus=ports.0,chardev=shell",
    ]);
}

/// Lets the programs that are started from now on inherit the descriptor.
pub(super) fn inheritable(end: &impl std::os::fd::AsFd) -> Result<RawFd> {
    fcntl(end, FcntlArg::F_SETFD(FdFlag::empty())).context("cannot hand a socket on to qemu")?;
    Ok(end.as_fd().as_raw_fd())
}
