//! PID 1 of the VM that `cargo xtask vm` boots: prepares a small Linux, runs one command, reports
//! how it ended. Where systemd is to be PID 1, it becomes that, and a child of it does the rest.
//!
//! Errors here go to the console, and the machine is powered off: that distinguishes them from a
//! panic for the host.

mod applets;
mod command;
mod kmsg;
mod modules;
mod mounts;
mod ports;
mod systemd;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::sys::reboot::{RebootMode, reboot};
use skmem_vm_init::{CONTROL_PORT, GIVES_UP, Job, Message, OUT_DIR, decode, encode};

fn main() {
    let done = match std::process::id() {
        1 => begin(),
        _ if systemd::has_handed_over() => systemd::wait_until_it_is_up().and_then(|()| run()),
        _ => {
            eprintln!(
                "error: this is the first process of skmem's test VM and does nothing elsewhere"
            );
            std::process::exit(2);
        }
    };
    if let Err(error) = done {
        eprintln!("{GIVES_UP}{error:#}");
        // What is left in the serial port's buffer would go down with the machine.
        thread::sleep(Duration::from_millis(200));
        _ = reboot(RebootMode::RB_POWER_OFF);
    }
}

/// Returns only with an error: the host ends the machine.
fn begin() -> Result<()> {
    mounts::mount_all()?;
    applets::link_all()?;
    modules::load_all()?;
    prepare_system()?;
    match systemd::is_wanted()? {
        true => systemd::hand_over(),
        false => run(),
    }
}

/// Does what the host asks for. Returns only with an error, too.
fn run() -> Result<()> {
    let mut control = ports::open(CONTROL_PORT)?;
    let mut from_host = BufReader::new(
        control
            .try_clone()
            .context("cannot duplicate the control port")?,
    );
    let mut line = String::new();
    from_host
        .read_line(&mut line)
        .context("cannot read from the control port")?;
    let job: Job = decode(&line).context("the host's job is not understood")?;
    power_off_when_abandoned(from_host);

    let kmsg = kmsg::Watch::from_now()?;
    let release =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read osrelease")?;
    send(
        &mut control,
        &Message::Ready {
            release: release.trim().to_owned(),
        },
    )?;
    let mut done = match &job.terminal {
        None => command::run(&job)?,
        Some(terminal) => command::run_on_terminal(&job, terminal)?,
    };
    done.kernel_warnings = kmsg.warnings();
    send(&mut control, &Message::Done(done))?;
    // The host stops the machine as soon as it has read everything. Waiting is all that is left.
    loop {
        thread::park();
    }
}

fn send(control: &mut File, message: &Message) -> Result<()> {
    control
        .write_all(encode(message).as_bytes())
        .context("cannot write to the control port")
}

/// Powers the machine off when the host's end of the control port goes away, so that no VM outlives
/// its xtask.
fn power_off_when_abandoned(mut from_host: BufReader<File>) {
    thread::spawn(move || {
        let mut rest = Vec::new();
        // Nothing more is expected: this returns at end of file only, or with an error, which means
        // the same.
        _ = from_host.read_to_end(&mut rest);
        _ = reboot(RebootMode::RB_POWER_OFF);
    });
}

fn prepare_system() -> Result<()> {
    nix::unistd::sethostname("skmem").context("cannot set the host name")?;
    fs::create_dir_all(OUT_DIR).context("cannot create $OUT")?;
    let status = Command::new("/bin/busybox")
        .args(["ip", "link", "set", "lo", "up"])
        .status()
        .context("cannot run busybox")?;
    if !status.success() {
        bail!("cannot bring the loopback interface up: {status}");
    }
    Ok(())
}
