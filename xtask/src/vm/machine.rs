//! The virtual machine as qemu's command line has it.

use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::Accel;
use crate::setup::emulator_command;

/// What to boot, and on what.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) cpus: u32,
    /// In MiB.
    pub(super) memory: u32,
    pub(super) accel: Accel,
    /// Guest time is a count of instructions.
    pub(super) icount: bool,
}

impl Machine {
    /// qemu with this machine, no devices beyond it, and the kernel's log on the first serial port, which is `console`.
    pub(super) fn command(&self, console: RawFd) -> Command {
        let mut qemu = emulator_command();
        // Of the x86 machines q35 boots fastest; microvm, which should, hangs with these kernels.
        qemu.args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
            "-machine",
            "q35",
        ]);
        match self.accel {
            Accel::Kvm => qemu.args(["-accel", "kvm", "-cpu", "host"]),
            // One thread for all processors: with several, guests crash now and then while the kernel patches its own
            // code, which attaching a tracer does. It is about as fast.
            Accel::Tcg => qemu.args(["-accel", "tcg,thread=single", "-cpu", "max"]),
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
        qemu.args(["-append", "console=ttyS0 loglevel=4 panic=-1 oops=panic"]);
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

/// Lets the programs that are started from now on inherit the descriptor.
pub(super) fn inheritable(end: &impl std::os::fd::AsFd) -> Result<RawFd> {
    fcntl(end, FcntlArg::F_SETFD(FdFlag::empty())).context("cannot hand a socket on to qemu")?;
    Ok(end.as_fd().as_raw_fd())
}
