//! `cargo xtask vm`: one command in a VM, with the kernel of one's choice.

mod accel;
mod console;
mod extras;
mod image;
mod machine;
mod options;
mod session;
mod shell;
mod tree;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use accel::Accel;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
pub(crate) use image::Extra;
use machine::Machine;
pub(crate) use options::MachineOptions;
use options::{AccelChoice, TIMEOUT};
pub(crate) use session::Streams;
use session::{Ending, Limits};
use skmem_vm_init::{Done, Job};

use crate::{arch::Arch, error, guest, kernels::Kernel, setup::Setup};

/// Options of `cargo xtask vm`.
#[derive(Debug, Args)]
#[command(
    after_help = "The exit status is CMD's (128 + N where signal N ended it); 125 when the VM itself failed: it did \
                        not boot, panicked, or reached the time limit; 2 for a wrong command line, 1 for any other failure.\n\
                        In the guest: skmem on the PATH, busybox as its shell, root, no network but lo; stdin is empty."
)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    pub(crate) machine: MachineOptions,
    /// Put the files that CMD leaves in $OUT into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Put a file of this machine into the guest (may be given several times)
    #[arg(long, value_name = "FILE=PATH", value_parser = parse_extra)]
    put: Vec<Extra>,
    /// Set a variable in CMD's environment; without a value, pass on the one here
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// What to run
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// An interactive shell in the guest; `exit` ends the VM
    Shell,
}

/// A VM that is ready to be booted, any number of times.
pub(crate) struct Vm {
    /// Its kernel.
    pub(crate) kernel: Kernel,
    /// How its processors are made.
    pub(crate) accel: Accel,
    /// The skmem that it has on its PATH, where it is on this machine.
    pub(crate) skmem: PathBuf,
    machine: Machine,
    limits: Limits,
    quiet: bool,
}

impl Vm {
    /// Builds and fetches what is missing, and decides about the acceleration. `extra` files are
    /// put into the image.
    pub(crate) fn prepare(
        setup: &Setup,
        options: &MachineOptions,
        extra: &[Extra],
    ) -> Result<Self> {
        let wanted = options.wanted();
        let arch = wanted.arch;
        setup.emulator(arch)?;
        setup.build_tools(arch)?;
        let busybox = setup.busybox(arch)?;
        let kernel = setup.kernel(&wanted, options.modules.as_ref())?;
        let extras = extras::unpacked(setup, arch, &options.suite, &options.packages())?;
        let skmem = options
            .skmem
            .clone()
            .map_or_else(|| guest::skmem(arch), Ok)?;
        let init = guest::init(arch)?;
        let parts = image::Parts {
            kernel: &kernel,
            busybox: &busybox,
            init: &init,
            skmem: &skmem,
            extras: extras.as_ref(),
            extra,
        };
        let initrd = image::build(&parts)?;
        let memory = options.memory_for(
            fs::metadata(&initrd)
                .with_context(|| format!("cannot read {}", initrd.display()))?
                .len(),
        )?;
        let mut machine = Machine {
            arch,
            kernel: kernel.image.clone(),
            initrd,
            cpus: options.cpus,
            memory,
            accel: Accel::Tcg,
            icount: options.icount,
            systemd: options.systemd,
        };
        machine.accel = match options.accel {
            // Only TCG can count instructions.
            AccelChoice::Kvm if options.icount => {
                return Err(error::usage("--icount goes with --accel tcg only"));
            }
            AccelChoice::Auto if options.icount => Accel::Tcg,
            AccelChoice::Kvm if !arch.is_host() => {
                return Err(error::usage(format!(
                    "--accel kvm runs guests of this machine's architecture only, {} and not {arch}",
                    Arch::host()
                )));
            }
            AccelChoice::Auto => accel::choose(&machine)?,
            AccelChoice::Kvm => Accel::Kvm,
            AccelChoice::Tcg => Accel::Tcg,
        };
        let vm = Self {
            accel: machine.accel,
            skmem,
            limits: Limits {
                whole: Duration::from_secs(options.timeout.unwrap_or(TIMEOUT)),
                silence: options.silence,
            },
            quiet: options.quiet,
            kernel,
            machine,
        };
        if !vm.quiet {
            let Machine { cpus, memory, .. } = vm.machine;
            eprintln!(
                "vm: kernel {}, {arch}, {cpus} cpus, {memory} MiB, {}",
                vm.kernel.release,
                vm.describe_accel()
            );
        }
        Ok(vm)
    }

    /// What machine it is.
    pub(crate) fn arch(&self) -> &'static Arch {
        self.machine.arch
    }

    /// The acceleration, and why it is this one.
    pub(crate) fn describe_accel(&self) -> String {
        match self.accel {
            Accel::Kvm => "KVM".to_owned(),
            Accel::Tcg => format!(
                "TCG (software emulation{})",
                accel::reason(self.machine.arch)
            ),
        }
    }

    /// Runs one job. `streams` is asked for where its output goes, once for each try: a guest that
    /// panics before the job has begun is booted once more.
    pub(crate) fn run(
        &self,
        job: &Job,
        mut streams: impl FnMut() -> Result<Streams>,
    ) -> Result<Done> {
        let mut retried = false;
        loop {
            // Of a kernel given by its path only the kernel itself knows.
            let booted = |release: &str| {
                if !self.quiet && release != self.kernel.release {
                    eprintln!("vm: {} is kernel {release}", self.kernel.release);
                }
            };
            let report = session::run(&self.machine, job, streams()?, self.limits, booted)?;
            match report.ending {
                Ending::Done(done) => {
                    self.tell(&done);
                    return Ok(done);
                }
                Ending::OutputClosed => return Err(error::output_closed()),
                Ending::Died { ready: false }
                    if !retried && console::has_panic(&report.console) =>
                {
                    // Seen with TCG about once in a hundred boots (a race in the emulation of code
                    // that is patched while it runs). A bug of ours would look
                    // the same, so it is not passed over in silence.
                    retried = true;
                    console::show_tail(&report.console);
                    eprintln!(
                        "vm: WARNING: kernel {} panicked while it booted, before any command ran: booting once more",
                        self.kernel.release
                    );
                }
                ending => return Err(self.failed(&ending, &report.console, &report.emulator)),
            }
        }
    }

    fn tell(&self, done: &Done) {
        for warning in &done.kernel_warnings {
            eprintln!("vm: kernel warned: {warning}");
        }
        if let Some(error) = &done.out_error {
            eprintln!("vm: $OUT did not come back whole: {error}");
        }
        if let Some(signal) = done.signal.filter(|_| !self.quiet) {
            eprintln!("vm: the command was ended by signal {signal}");
        }
    }

    fn failed(&self, ending: &Ending, log: &[u8], emulator: &str) -> anyhow::Error {
        if let (Ending::Died { ready: false }, Some(why)) = (ending, console::why_given_up(log)) {
            return error::vm(format!(
                "kernel {} cannot run the command: {why}",
                self.kernel.release
            ));
        }
        console::show_tail(log);
        let saved = console::save(log, &self.kernel.release);
        let (release, seconds) = (&self.kernel.release, self.limits.whole.as_secs());
        let when = |ready: &bool| {
            if *ready {
                "while the command ran"
            } else {
                "before the command ran"
            }
        };
        error::vm(match ending {
            Ending::Died { ready } if console::has_panic(log) => {
                format!(
                    "the guest (kernel {release}) panicked {}: {saved}",
                    when(ready)
                )
            }
            Ending::Died { ready } if log.is_empty() && !ready => {
                format!(
                    "{} did not start the guest: {}",
                    self.machine.arch.emulator,
                    emulator.trim()
                )
            }
            Ending::Died { ready } => format!(
                "the guest (kernel {release}) stopped {}: {saved}",
                when(ready)
            ),
            Ending::TimedOut { ready } => format!(
                "the guest (kernel {release}) was stopped after {seconds} s, {}: raise --timeout if it only needs longer; {saved}",
                when(ready)
            ),
            Ending::Silent(silence) => format!(
                "the guest (kernel {release}) was stopped: its command printed nothing for {} s; {saved}",
                silence.as_secs()
            ),
            Ending::Done(_) | Ending::OutputClosed => {
                unreachable!("these are not failures of the guest")
            }
        })
    }
}

/// Runs `cargo xtask vm`.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    match (&options.action, options.command.is_empty()) {
        (Some(Action::Shell), true) => return shell::run(setup, &options.machine),
        (Some(Action::Shell), false) => {
            return Err(error::usage(
                "`vm shell` takes no command: `cargo xtask vm -- CMD`",
            ));
        }
        (None, true) => {
            return Err(error::usage(
                "nothing to run: `cargo xtask vm -- CMD`, or `cargo xtask vm shell`",
            ));
        }
        (None, false) => {}
    }
    let job = Job {
        argv: options.command.clone(),
        env: options
            .env
            .iter()
            .map(|variable| parse_variable(variable))
            .collect::<Result<_>>()?,
        send_out: options.out.is_some(),
        terminal: None,
    };
    let vm = Vm::prepare(setup, &options.machine, &options.put)?;
    Ok(run_here(&vm, &job, options.out.as_deref())?.status)
}

/// Runs one job with its output on ours, and puts the files that it leaves in `$OUT` into `out`.
pub(crate) fn run_here(vm: &Vm, job: &Job, out: Option<&Path>) -> Result<Done> {
    if let Some(out) = out {
        fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    }
    let mut archive = None;
    let done = vm.run(job, || {
        archive = out.map(session::spool).transpose()?;
        let out = archive
            .as_ref()
            .map(fs::File::try_clone)
            .transpose()
            .context("cannot duplicate a file")?;
        Ok(Streams {
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            out,
        })
    })?;
    if let (Some(archive), Some(out)) = (archive, out) {
        session::unpack(archive, out)?;
        if done.out_error.is_some() && done.status == 0 {
            bail!("the command succeeded, but not all of its files came back, see above");
        }
    }
    Ok(done)
}

fn parse_extra(text: &str) -> Result<Extra, String> {
    match text.rsplit_once('=') {
        Some((source, guest)) if guest.starts_with('/') && Path::new(source).is_file() => {
            Ok(Extra {
                guest: guest.to_owned(),
                source: source.into(),
            })
        }
        Some((source, guest)) if guest.starts_with('/') => {
            Err(format!("there is no file {source} here"))
        }
        _ => Err("write it as FILE=PATH: a file here, and its absolute path in the guest".into()),
    }
}

fn parse_variable(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some(("", _)) => Err(error::usage(format!(
            "--env {text}: a variable needs a name"
        ))),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(_) => Err(error::usage(format!(
                "--env {text}: there is no such variable here: give it a value"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        assert_eq!(parse_variable("A=b=c").unwrap(), ("A".into(), "b=c".into()));
        assert!(parse_variable("=x").is_err());
        assert!(parse_extra("Cargo.toml=/opt/x").is_ok());
        for wrong in ["Cargo.toml", "Cargo.toml=x", "none=/opt/x"] {
            assert!(parse_extra(wrong).is_err(), "{wrong}");
        }
        assert!(parse_variable("NO_SUCH_VARIABLE_HERE").is_err());
    }
}
