//! Loads the programs, attaches them, turns them on; takes them out on drop.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use aya::{
    Btf, Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, Queue, RingBuf},
    programs::{Program, ProgramError, iter::IterLink},
};
use aya_log::EbpfLogger;
use skmem_common::{
    filter::{BY_PID, Filter},
    hook::Hook,
    layout::Offsets,
};

use super::{
    KernelError, Result,
    btf::KernelBtf,
    counters::{CpuCounters, Runs, Totals, runs},
    plan::{Attachment, Kind, Need, Plan, cost},
    ring::Ring,
    symbols::Symbols,
    system,
    table::Table,
};

/// The programs, compiled by this crate's build script.
static PROGRAMS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/skmem-programs"));

/// How to trace.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which sockets.
    pub filter: Filter,
    /// Processes, for [`BY_PID`].
    pub pids: Vec<u32>,
    /// Trace the children of those processes, too.
    pub follow: bool,
    /// Size of the ring buffer, in bytes; rounded up to a power of two.
    pub ring_bytes: u32,
    /// Sockets traced at the same time.
    pub max_sockets: u32,
    /// Make records, not only accounts.
    pub records: bool,
    /// Also attach the hooks that only observe, for traces: they book nothing.
    pub observe: bool,
    /// Programs that return at once: what attaching alone costs.
    pub empty: bool,
    /// Hooks to leave out.
    pub without: Vec<Hook>,
    /// Let the programs tell of rare paths, on stderr.
    pub verbose: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            pids: Vec::new(),
            follow: false,
            ring_bytes: 8 << 20,
            max_sockets: 4096,
            records: true,
            observe: false,
            empty: false,
            without: Vec::new(),
            verbose: false,
        }
    }
}

/// The attached programs.
pub struct Tracer {
    ebpf: Ebpf,
    table: Table,
    free: Queue<MapData, u32>,
    counters: PerCpuArray<MapData, CpuCounters>,
    attached: Vec<Attachment>,
    notes: Vec<String>,
    logger: Option<EbpfLogger<Stderr>>,
    types: Btf,
}

/// Where the programs' diagnostics go.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("skmem: kernel side: {}", record.args());
    }

    fn flush(&self) {}
}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Bytes<T>(T);

// SAFETY: used for Offsets and Filter only, which are plain numbers.
unsafe impl<T: Copy + 'static> aya::Pod for Bytes<T> {}

impl Tracer {
    /// Loads and attaches what the running kernel allows. Nothing is traced
    /// until [`Tracer::enable`].
    ///
    /// # Errors
    /// Where the kernel has no BTF, rights are missing, or an essential hook
    /// cannot be attached.
    pub fn load(options: &Options) -> Result<Self> {
        system::lift_memlock();
        let types = KernelBtf::running()?;
        let symbols = Symbols::running();
        let mut without = options.without.clone();
        if !options.observe {
            without.push(Hook::Sendmsg);
        }
        let plan = Plan::new(&types, &symbols, &without)?;
        let mut notes: Vec<String> = types
            .missing()
            .iter()
            .map(|m| format!("no {} in this kernel: {}", m.field, m.cost))
            .collect();
        notes.extend(
            plan.missing
                .iter()
                .filter(|hook| !expected_missing(**hook))
                .filter(|hook| options.observe || **hook != Hook::Sendmsg)
                .map(|hook| format!("no {} in this kernel: {}", hook.name(), cost(*hook))),
        );

        let offsets: Bytes<Offsets> = Bytes(types.offsets());
        let filter = Bytes(options.filter);
        let flags = [
            u32::from(symbols.surely_has("bpf_sk_storage_get_tracing_proto")),
            u32::from(symbols.surely_has("bpf_get_socket_ptr_cookie_proto")),
            u32::from(options.records),
            u32::from(options.empty),
        ];
        let level = if options.verbose {
            log::Level::Debug as u8
        } else {
            0
        };
        let slots = options.max_sockets.max(1);
        let page = 4096;
        let ring = options.ring_bytes.max(page).next_power_of_two();
        let mut ebpf = EbpfLoader::new()
            .verifier_log_level(VerifierLogLevel::DEBUG | VerifierLogLevel::STATS)
            .override_global("OFFSETS", &offsets, true)
            .override_global("FILTER", &filter, true)
            .override_global("USE_STORAGE", &flags[0], true)
            .override_global("USE_COOKIE", &flags[1], true)
            .override_global("RECORDS", &flags[2], true)
            .override_global("EMPTY", &flags[3], true)
            .override_global("AYA_LOG_LEVEL", &level, true)
            .map_max_entries("ACCOUNTS", slots)
            .map_max_entries("FREE_SLOTS", slots)
            .map_max_entries("SLOT_HASH", slots)
            .map_max_entries("EVENTS", ring)
            .load(PROGRAMS)
            .map_err(|e| refused("cannot load the programs' maps", &e))?;

        let table = match ebpf.map("ACCOUNTS") {
            Some(Map::Array(map)) => Table::new(map, slots)?,
            _ => return Err(internal("ACCOUNTS")),
        };
        let mut free = Queue::try_from(take(&mut ebpf, "FREE_SLOTS")?)
            .map_err(|e| refused("cannot use FREE_SLOTS", &e))?;
        for slot in 0..slots {
            free.push(&slot, 0)
                .map_err(|e| refused("cannot fill FREE_SLOTS", &e))?;
        }
        let counters = PerCpuArray::try_from(take(&mut ebpf, "COUNTERS")?)
            .map_err(|e| refused("cannot use COUNTERS", &e))?;

        // Taken before the programs are loaded, and kept: see aya-log.
        let logger = options
            .verbose
            .then(|| EbpfLogger::init_with_logger(&mut ebpf, Stderr))
            .transpose()
            .map_err(|e| refused("cannot read the programs' diagnostics", &e))?;

        let btf = Btf::from_sys_fs().map_err(|e| refused("cannot read this kernel's BTF", &e))?;
        let mut attached = Vec::new();
        for attachment in &plan.attachments {
            match attach(&mut ebpf, attachment, &btf) {
                Ok(()) => attached.push(*attachment),
                Err(e) if attachment.need == Need::Essential => return Err(essential(e)),
                Err(e) => notes.push(format!("{e}; {}", cost(attachment.hook))),
            }
        }
        if options.follow {
            attach(
                &mut ebpf,
                &Attachment {
                    hook: Hook::Task,
                    need: Need::Label,
                    program: "fork",
                    kind: Kind::Tracepoint,
                    function: "sched_process_fork",
                },
                &btf,
            )?;
        }
        let mut tracer = Self {
            ebpf,
            table,
            free,
            counters,
            attached,
            notes,
            logger,
            types: btf,
        };
        if options.filter.flags & BY_PID != 0 {
            for pid in &options.pids {
                tracer.add_pid(*pid)?;
            }
        }
        Ok(tracer)
    }

    /// Starts tracing: all programs at once.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enable(&mut self) -> Result<()> {
        let map = self
            .ebpf
            .map_mut("ENABLED")
            .ok_or_else(|| internal("ENABLED"))?;
        Array::<_, u32>::try_from(map)
            .and_then(|mut enabled| enabled.set(0, &1, 0))
            .map_err(|e| refused("cannot start tracing", &e))
    }

    /// Gives accounts to sockets that are older than the trace and that the
    /// filter wants, in these network namespaces (paths for `setns`);
    /// `inodes` are the sockets that the filter's processes hold. Says what
    /// could not be looked at.
    ///
    /// # Errors
    /// Where the kernel has no iterator over TCP sockets.
    pub fn adopt(&mut self, namespaces: &[PathBuf], inodes: &[u32]) -> Result<Vec<String>> {
        let map = self
            .ebpf
            .map_mut("INODES")
            .ok_or_else(|| internal("INODES"))?;
        let mut known =
            HashMap::<_, u32, u8>::try_from(map).map_err(|e| refused("cannot use INODES", &e))?;
        for inode in inodes {
            known
                .insert(inode, &1, 0)
                .map_err(|e| refused("cannot tell which sockets to look for", &e))?;
        }
        let Some(Program::Iter(program)) = self.ebpf.program_mut("existing") else {
            return Err(internal("existing"));
        };
        program
            .load("tcp", &self.types)
            .map_err(|e| refused("cannot look for older sockets", &e))?;
        let mut notes = Vec::new();
        for namespace in namespaces {
            let link = program
                .attach()
                .and_then(|id| program.take_link(id))
                .map_err(|e| refused("cannot look for older sockets", &e))?;
            if let Err(e) = walk(link, namespace) {
                notes.push(format!(
                    "cannot look for older sockets in {}: {e}",
                    namespace.display()
                ));
            }
        }
        Ok(notes)
    }

    /// Lets the filter admit another process.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn add_pid(&mut self, pid: u32) -> Result<()> {
        let map = self.ebpf.map_mut("PIDS").ok_or_else(|| internal("PIDS"))?;
        HashMap::<_, u32, u8>::try_from(map)
            .and_then(|mut pids| pids.insert(&pid, &1, 0))
            .map_err(|e| refused("cannot add a process to the filter", &e))
    }

    /// The ring buffer; once.
    ///
    /// # Errors
    /// Where it was taken already.
    pub fn take_ring(&mut self) -> Result<Ring> {
        RingBuf::try_from(take(&mut self.ebpf, "EVENTS")?)
            .map(Ring::new)
            .map_err(|e| refused("cannot use the ring buffer", &e))
    }

    /// The accounts.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Gives back the slot of a socket that is gone.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn free_slot(&mut self, slot: u32) -> Result<()> {
        self.table.free(slot, &mut self.free)
    }

    /// Counters as they are now.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn totals(&self) -> Result<Totals> {
        let cpus = self
            .counters
            .get(&0, 0)
            .map_err(|e| refused("cannot read the counters", &e))?;
        Ok(Totals::of(&cpus))
    }

    /// Program runs that the kernel has skipped so far.
    #[must_use]
    pub fn skipped_runs(&self) -> u64 {
        self.runs().map(|(_, runs)| runs.skipped).sum()
    }

    /// What the kernel has counted of each program.
    pub fn runs(&self) -> impl Iterator<Item = (&Attachment, Runs)> {
        self.attached.iter().filter_map(|a| {
            let fd = self.ebpf.program(a.program)?.fd().ok()?;
            Some((a, runs(fd)))
        })
    }

    /// Hands the programs' diagnostics on.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// Instructions that the verifier walked for a program (5.16 on).
    #[must_use]
    pub fn verified_instructions(&self, program: &str) -> Option<u32> {
        let info = self.ebpf.program(program)?.info().ok()?;
        info.verified_instruction_count()
    }

    /// What is attached where.
    #[must_use]
    pub fn attached(&self) -> &[Attachment] {
        &self.attached
    }

    /// One line for each thing that this kernel lacks, with its cost.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Walks the sockets of one network namespace: in a thread, which enters it.
fn walk(link: IterLink, namespace: &Path) -> io::Result<()> {
    let entered = File::open(namespace)?;
    let walker = std::thread::spawn(move || {
        // SAFETY: the descriptor is open; only this thread changes namespace.
        if unsafe { libc::setns(entered.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut walk = link.into_file().map_err(io::Error::other)?;
        // The program writes nothing: reading to the end runs it.
        walk.read_to_end(&mut Vec::new()).map(drop)
    });
    match walker.join() {
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the walker failed")),
    }
}

/// Without such a hook there is nothing to tell.
fn essential(error: KernelError) -> KernelError {
    match error {
        KernelError::NoHook { function, reason } => KernelError::NoHook {
            function,
            reason: format!("{reason}; skmem cannot do without it"),
        },
        other => other,
    }
}

/// Hooks that only some kernels have, where their lack costs nothing.
fn expected_missing(hook: Hook) -> bool {
    matches!(hook, Hook::Sendpages | Hook::MptcpFrag)
}

fn attach(ebpf: &mut Ebpf, to: &Attachment, btf: &Btf) -> Result<()> {
    let program = ebpf
        .program_mut(to.program)
        .ok_or_else(|| internal(to.program))?;
    let done = match (to.kind, program) {
        (Kind::Fentry, Program::FEntry(p)) => {
            p.load(to.function, btf).and_then(|()| p.attach().map(drop))
        }
        (Kind::Fexit, Program::FExit(p)) => {
            p.load(to.function, btf).and_then(|()| p.attach().map(drop))
        }
        (Kind::Tracepoint, Program::BtfTracePoint(p)) => {
            p.load(to.function, btf).and_then(|()| p.attach().map(drop))
        }
        (Kind::Kprobe, Program::KProbe(p)) => {
            p.load().and_then(|()| p.attach(to.function, 0).map(drop))
        }
        _ => return Err(internal(to.program)),
    };
    done.map_err(|e| match e {
        ProgramError::LoadError {
            ref io_error,
            ref verifier_log,
        } => {
            if io_error.raw_os_error() == Some(libc::EPERM) {
                return not_permitted();
            }
            KernelError::NoHook {
                function: to.function.into(),
                reason: format!(
                    "the kernel refused program {}: {io_error}{}",
                    to.program,
                    last_words(&verifier_log.to_string())
                ),
            }
        }
        e => KernelError::NoHook {
            function: to.function.into(),
            reason: causes(&e).join(": "),
        },
    })
}

/// The end of the verifier's log, where its complaint is.
fn last_words(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|l| !l.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(60);
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "; the verifier's last words:\n  {}",
        lines[from..].join("\n  ")
    )
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).ok_or_else(|| internal(name))
}

fn internal(name: &str) -> KernelError {
    KernelError::Refused {
        what: format!("the compiled programs lack {name}"),
        reason: "this build of skmem is broken; build it again".into(),
    }
}

fn not_permitted() -> KernelError {
    KernelError::NotPermitted {
        lockdown: system::lockdown()
            .map(|mode| {
                format!("; kernel lockdown is in mode {mode}, which may forbid it even then")
            })
            .unwrap_or_default(),
    }
}

fn refused(what: &str, error: &(dyn std::error::Error + 'static)) -> KernelError {
    let mut cause = Some(error);
    while let Some(c) = cause {
        let io = c.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.raw_os_error() == Some(libc::EPERM)) {
            return not_permitted();
        }
        cause = c.source();
    }
    KernelError::Refused {
        what: what.into(),
        reason: causes(error).join(": "),
    }
}

/// An error and what it stems from, each once.
fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(s) = source {
        causes.push(s.to_string());
        source = s.source();
    }
    causes.dedup();
    causes
}
