//! KVM or emulation: decided by trying, as a `/dev/kvm` that opens may still be one that does not
//! run a guest.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use skmem_vm_init::Job;

use super::{
    machine::Machine,
    session::{self, Ending, Streams},
};
use crate::{arch::Arch, paths, process, progress::Step, setup::emulator_command};

/// A guest with working KVM has run its command by then; with KVM nested badly it would crawl for
/// minutes.
const TRIAL: Duration = Duration::from_secs(8);

/// How a guest's processors are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accel {
    /// By this machine's own.
    Kvm,
    /// In software.
    Tcg,
}

/// What the last trial said, and for which machine.
#[derive(Serialize, Deserialize)]
struct Memory {
    host: String,
    kvm_works: bool,
}

fn memory_file() -> PathBuf {
    paths::tools().join("kvm-trial.json")
}

fn remembered() -> Option<Memory> {
    serde_json::from_slice(&fs::read(memory_file()).ok()?).ok()
}

/// Takes KVM if it works on this machine; a trial is made once for each host kernel and qemu.
pub(super) fn choose(machine: &Machine) -> Result<Accel> {
    if !machine.arch.is_host() || !can_open_kvm() {
        return Ok(Accel::Tcg);
    }
    let host = host()?;
    let kvm_works = match remembered().filter(|memory| memory.host == host) {
        Some(memory) => memory.kvm_works,
        None => {
            let kvm_works = try_kvm(machine)?;
            let text = serde_json::to_vec(&Memory { host, kvm_works })
                .context("cannot encode the trial's result")?;
            let file = memory_file();
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            kvm_works
        }
    };
    Ok(if kvm_works { Accel::Kvm } else { Accel::Tcg })
}

/// Why it is emulation, for people who expect KVM.
pub(super) fn reason(guest: &Arch) -> &'static str {
    if !guest.is_host() {
        return ": the guest's processor is another one than this machine's";
    }
    if !can_open_kvm() {
        return ": /dev/kvm is not there or may not be opened";
    }
    match remembered() {
        Some(Memory {
            kvm_works: false, ..
        }) => ": KVM failed its trial boot",
        _ => "",
    }
}

fn can_open_kvm() -> bool {
    fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok()
}

/// What the result of a trial depends on.
fn host() -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read this kernel's release")?;
    let qemu = process::succeed(emulator_command(Arch::host()).arg("--version"), None)?;
    Ok(format!(
        "{} / {}",
        kernel.trim(),
        qemu.lines().next().unwrap_or_default()
    ))
}

fn try_kvm(machine: &Machine) -> Result<bool> {
    let step = Step::start(
        "KVM",
        &format!("trying it (at most {} s, once)", TRIAL.as_secs()),
    );
    let job = Job {
        argv: vec!["true".into()],
        env: Vec::new(),
        send_out: false,
        terminal: None,
    };
    let machine = Machine {
        accel: Accel::Kvm,
        systemd: false,
        ..machine.clone()
    };
    let nowhere = Streams {
        stdout: Box::new(std::io::sink()),
        stderr: Box::new(std::io::sink()),
        out: None,
    };
    let report = session::run(&machine, &job, nowhere, TRIAL.into(), |_| {})?;
    let works = matches!(report.ending, Ending::Done(done) if done.status == 0);
    step.done(if works {
        "works"
    } else {
        "does not work here: guests run in software emulation"
    });
    Ok(works)
}
