//! `cargo xtask bench`: what tracing costs, on several kernels, in one table.
//!
//! The lockstep part runs on one processor under `qemu -icount shift=0`: the guest's clock then
//! counts instructions, so that a time in ns *is* a count of instructions (user's and kernel's,
//! trampolines, programs and interrupts included), and comes out nearly the same each time. It does
//! not know caches, locked operations and pipelines: cycles on a real machine differ. The part that
//! looks for lost events runs on two processors with an ordinary clock.

mod against;
mod table;

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use against::{Against, Part};
use anyhow::{Context, Result, bail};
use clap::Args;
use skmem_vm_init::Job;
use table::Results;

use crate::{
    arch::Arch,
    error,
    kernels::Wanted,
    paths, process,
    progress::Step,
    rust,
    setup::Setup,
    vm::{Extra, MachineOptions, Streams, Vm},
};

/// Options of `cargo xtask bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "The table goes to stdout and, with the JSON it was made of, into target/bench/. docs/cost.md says how to read it.\n\n\
                  Examples:\n  \
                  cargo xtask bench                     6.12 and 7.2, which takes a while in software emulation\n  \
                  cargo xtask bench --quick             one round, lockstep only\n  \
                  cargo xtask bench --kernel 6.1 --no-bpftrace\n  \
                  cargo xtask bench --arch aarch64\n  \
                  cargo xtask bench --quick --kernel 6.12 --against HEAD~10   a ratio for each figure\n  \
                  cargo xtask bench --quick --kernel 6.12 --against HEAD~10 --only host,start\n  \
                  cargo xtask bench --host              decoding, ledger, recordings, lines: on this machine, no VM"
)]
pub(crate) struct Options {
    /// Kernels to measure [default: 6.12 and 7.2, of a foreign architecture 6.12]
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<String>,
    /// The guest's architecture
    #[arg(long, value_name = "ARCH", default_value_t = Arch::host(), value_parser = Arch::parser())]
    arch: &'static Arch,
    /// One round of the lockstep load only
    #[arg(long)]
    quick: bool,
    /// Also put each kernel's tables into docs/cost.md, in place of those that are there
    #[arg(long)]
    docs: bool,
    /// Also measure skmem as it was at this commit, and print what each figure is to that of then
    #[arg(long, value_name = "REV", conflicts_with = "docs")]
    against: Option<String>,
    /// Compare these only, and not all [possible: accounts, host, snapshot, start]
    #[arg(
        long,
        value_name = "PART",
        value_delimiter = ',',
        value_enum,
        requires = "against"
    )]
    only: Vec<Part>,
    /// Sockets that snapshots are compared with: 100,000 take half an hour
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=200_000))]
    sockets: u32,
    /// Leave bpftrace out, which makes the guest's image larger by 200 MB
    #[arg(long)]
    no_bpftrace: bool,
    /// Measure the library on this machine instead, without a VM
    #[arg(long, conflicts_with_all = ["kernel", "quick", "docs", "no_bpftrace", "against"])]
    host: bool,
    /// Rounds of each mode
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Stop a VM after this long
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout: u64,
}

/// Measured where nothing else is asked for.
const KERNELS: [&str; 2] = ["6.12", "7.2"];

/// The lockstep gate, at these sizes in bytes.
const LOCKSTEP: &str = "lockstep:1024,lockstep:100,lockstep:65536";

/// What else runs on one processor.
const OTHERS: &str = "reader:1024,veth:1024,acks:100,sockets:1024";

/// What commands do by default, what it is held against, and the programs that the verifier is
/// asked about: enough beside a commit, in a hurry.
const DEFAULTS: &str = "nothing,empty,miss,lean,lean-receive,serve,tripwire,lean-records,records";

/// bpftrace's scripts: name in the table, and file.
const SCRIPTS: [(&str, &str); 2] = [("bpftrace-printf", "print.bt"), ("bpftrace-sum", "sum.bt")];

/// Measures, and writes what it finds.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    if options.host {
        return on_host(setup);
    }
    let default = KERNELS.map(str::to_owned);
    let kernels = match &options.kernel[..] {
        [] if options.arch.is_host() => &default[..],
        [] => &default[..1],
        named => named,
    };
    let directory = paths::root().join("target/bench");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let mut against = options
        .against
        .as_deref()
        .map(|revision| {
            setup.build_tools(options.arch)?;
            Against::build(options, revision)
        })
        .transpose()?;
    let mut good = true;
    for kernel in kernels {
        if kernel.contains('/') {
            return Err(error::usage(format!(
                "--kernel {kernel}: the bench takes releases only, see `cargo xtask kernels`"
            )));
        }
        let wanted = Wanted::usual(kernel, options.arch);
        let kernel = wanted.to_string();
        let name = kernel.replace(' ', "-");
        let write = |name: &str, text: &str| -> Result<()> {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            eprintln!("bench: written: {}", paths::shown(&path));
            Ok(())
        };
        let mut markdown = String::new();
        let results = match against.as_ref().is_none_or(|both| both.has(Part::Accounts)) {
            true => {
                let skmem = against.as_ref().map(|both| &*both.now.skmem);
                let (results, whole) = measure(setup, options, &wanted, skmem, false)?;
                good &= whole;
                markdown += &results.markdown();
                write(&format!("cost-{name}.md"), &markdown)?;
                write(&format!("cost-{name}.jsonl"), &results.json)?;
                Some(results)
            }
            false => None,
        };
        if let Some(both) = &mut against {
            let compared = both.compare(setup, options, &wanted, results.as_ref())?;
            good &= compared.whole;
            let name = format!("against-{}-{name}", both.commit);
            write(&format!("{name}.md"), &compared.markdown)?;
            write(&format!("{name}.jsonl"), &compared.json)?;
            markdown = compared.markdown;
        }
        if options.docs {
            let path = paths::root().join("docs/cost.md");
            let page = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let page = table::inserted(&page, &kernel, &markdown)?;
            fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
        }
        io::stdout()
            .write_all(markdown.as_bytes())
            .context("cannot write to stdout")?;
    }
    if !good {
        bail!("not everything could be measured, see above");
    }
    Ok(0)
}

/// One kernel's results, of this skmem or of what is here, and whether all of them are there. Of
/// `then` there is only what the other is held against.
fn measure(
    setup: &Setup,
    options: &Options,
    wanted: &Wanted,
    skmem: Option<&Path>,
    then: bool,
) -> Result<(Results, bool)> {
    let bpftrace = !options.no_bpftrace && !then;
    let mut machine = MachineOptions::for_bench(wanted, options.timeout, bpftrace);
    if let Some(skmem) = skmem {
        machine = machine.running(skmem);
    }
    let scripts: Vec<Extra> = SCRIPTS
        .iter()
        .map(|(_, file)| Extra {
            guest: format!("/bench/{file}"),
            source: paths::root().join("xtask/bench").join(file),
        })
        .collect();
    let rounds = if options.quick { 1 } else { options.rounds };
    let loads = match options.quick {
        true => LOCKSTEP.to_owned(),
        false => format!("{LOCKSTEP},{OTHERS}"),
    };
    let mut argv: Vec<String> = ["skmem", "bench", "--json", "--programs", "--verifier"]
        .map(str::to_owned)
        .to_vec();
    argv.extend([
        "--events".into(),
        format!("--rounds={rounds}"),
        format!("--load={loads}"),
    ]);
    if options.quick && options.against.is_some() && !then {
        argv.push(format!("--mode={DEFAULTS}"));
    }
    let mut whole = true;
    let vm = Vm::prepare(setup, &machine.counting(), &scripts)?;
    let which = if then { "skmem of then" } else { "skmem" };
    let says = (which, "its modes in a VM, 5 to 20 minutes for a round");
    let mut json = job(&vm, says, argv, &mut whole)?;
    if bpftrace {
        // By itself: skmem's and its programs do not disturb each other then.
        let mut argv = vec!["skmem".to_owned(), "bench".into(), "--json".into()];
        argv.extend([
            "--mode=nothing".into(),
            format!("--rounds={rounds}"),
            "--load=lockstep:1024,lockstep:100".into(),
            "--sends=300".into(),
        ]);
        argv.extend(
            SCRIPTS
                .iter()
                .map(|(name, file)| format!("--beside={name}=bpftrace /bench/{file}")),
        );
        let says = ("bpftrace", "beside it in a VM, some minutes");
        json += &job(&vm, says, argv, &mut whole)?;
    }
    if !options.quick && !then {
        // 280 processes beside it.
        let roomy = machine.counting().sized(3072);
        let argv = ["skmem", "bench", "--serve", "--json"].map(str::to_owned);
        let vm = Vm::prepare(setup, &roomy, &[])?;
        let says = ("skmem serve", "10,080 sockets in a VM, some minutes");
        json += &job(&vm, says, argv.to_vec(), &mut whole)?;
        let vm = Vm::prepare(setup, &machine, &scripts)?;
        let argv = [
            "skmem",
            "bench",
            "--json",
            "--mode=nothing,records",
            "--rounds=1",
        ];
        let mut argv: Vec<String> = argv.map(str::to_owned).to_vec();
        argv.extend([
            "--sends=20000".into(),
            "--load=reader:100,reader:65536".into(),
        ]);
        let says = ("lost events", "two processors in a VM, some minutes");
        json += &job(&vm, says, argv, &mut whole)?;
    }
    Ok((Results::read(json)?, whole))
}

/// Runs a command in the VM, and says what it is and how long it takes. What it prints; where it
/// fails with a part of its results, they are no longer `whole`.
fn job(vm: &Vm, (what, hint): (&str, &str), argv: Vec<String>, whole: &mut bool) -> Result<String> {
    let step = Step::start(what, hint);
    let job = Job {
        argv,
        // 16 MiB a CPU: what bpftrace prints is to be complete.
        env: vec![("BPFTRACE_PERF_RB_PAGES".into(), "4096".into())],
        send_out: false,
        terminal: None,
    };
    let printed = Arc::new(Mutex::new(Vec::new()));
    let done = vm.run(&job, || {
        Ok(Streams {
            stdout: Box::new(Printed(Arc::clone(&printed))),
            stderr: Box::new(io::stderr()),
            out: None,
        })
    })?;
    step.done("measured");
    let printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
    let text =
        String::from_utf8(printed.clone()).context("skmem printed something that is not text")?;
    if done.status != 0 {
        if text.is_empty() {
            bail!(
                "`{}` ended with status {}, see above",
                job.argv.join(" "),
                done.status
            );
        }
        *whole = false;
    }
    Ok(text)
}

/// Keeps what is written to it.
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The library, without eBPF.
fn on_host(setup: &Setup) -> Result<u8> {
    setup.build_tools(Arch::host())?;
    let mut command: Command = rust::cargo();
    // As it is shipped; pictures and Parquet, which take minutes to build, are not measured.
    command.args([
        "bench",
        "--no-default-features",
        "--target",
        Arch::host().target,
    ]);
    command.args(["-p", "skmem-user", "--bench", "recording"]);
    let status = process::foreground(&mut command)?;
    if !status.success() {
        bail!("`cargo bench` failed, see above");
    }
    Ok(0)
}
