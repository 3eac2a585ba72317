//! Loads the programs, attaches them, turns them on; takes them out on drop.

use std::{collections, path::PathBuf};

use aya::{
    Btf, Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, Queue, RingBuf},
};
use aya_log::EbpfLogger;
use skmem_common::{
    filter::{BY_COMM, BY_PID, Filter},
    hook::Hook,
    layout::{
        ABSENT, Offsets, Records, SHARED_ENABLED, SHARED_OVERHEAD, SHARED_TRIPS, SLOTS_IN_HASH,
        SLOTS_IN_STORAGE, SLOTS_NOWHERE,
    },
    window::Receiver,
};

use super::{
    Result,
    attach::{attach, essential, load},
    btf::KernelBtf,
    counters::{CpuCounters, Runs, Totals, runs},
    errors::{internal, refused},
    existing, facts,
    plan::{Attachment, FORK, Kind, Need, Plan, Set, TRIPWIRE, cost},
    programs::Programs,
    ring::Ring,
    symbols::{self, Symbols},
    system,
    table::{SLOTS, Table},
    tripwire::Tripwire,
};
use crate::diag::empty_skb;

/// How to trace.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which sockets.
    pub filter: Filter,
    /// Processes, for [`BY_PID`].
    pub pids: Vec<u32>,
    /// Command names, NUL-padded, for [`BY_COMM`].
    pub comms: Vec<[u8; 16]>,
    /// Trace the children of those processes, too.
    pub follow: bool,
    /// Size of the ring buffer, in bytes; rounded up to a power of two.
    pub ring_bytes: u32,
    /// Sockets traced at the same time.
    pub max_sockets: u32,
    /// Map the table of accounts part by part, however small it is: what is mapped counts as
    /// resident memory, and each look at all accounts costs more.
    pub map_in_parts: bool,
    /// Which records to make; with [`Records::Hooks`] also the hooks are
    /// attached that only observe.
    pub records: Records,
    /// Which hooks; with [`Records::Hooks`] it is all of them.
    pub set: Set,
    /// Also trace the receive side.
    pub rx: bool,
    /// Only sockets that meet the tripwire get accounts, and until one does hardly any program
    /// runs: see [`Tracer::arm`].
    pub tripwire: bool,
    /// Programs that return at once: what attaching alone costs.
    pub empty: bool,
    /// Hooks to leave out.
    pub without: Vec<Hook>,
    /// Hooks that nothing of what is traced comes by: they are left out, and not spoken of.
    pub unneeded: Vec<Hook>,
    /// Fields to do without, by their names in [`skmem_common::layout::FIELDS`].
    pub without_fields: Vec<String>,
    /// Let the programs tell of rare paths, on stderr.
    pub verbose: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            pids: Vec::new(),
            comms: Vec::new(),
            follow: false,
            ring_bytes: 8 << 20,
            max_sockets: SLOTS,
            map_in_parts: false,
            records: Records::Calls,
            set: Set::All,
            rx: false,
            tripwire: false,
            empty: false,
            without: Vec::new(),
            unneeded: Vec::new(),
            without_fields: Vec::new(),
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
    tripwire: Option<Tripwire>,
    notes: Vec<String>,
    logger: Option<EbpfLogger<Stderr>>,
    /// None once nothing more may be loaded.
    types: Option<Btf>,
    offsets: Offsets,
}

/// Where the programs' diagnostics go.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    #[expect(clippy::print_stderr, reason = "it is where a log goes")]
    fn log(&self, record: &log::Record<'_>) {
        eprintln!("skmem: kernel side: {}", record.args());
    }

    fn flush(&self) {}
}

#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Bytes<T>(pub T);

// SAFETY: used for Offsets and Filter only, which are plain numbers.
unsafe impl<T: Copy + 'static> aya::Pod for Bytes<T> {}

/// Where this kernel lets the programs keep sockets' slots.
fn slots_in(options: &Options, here: &Symbols, offsets: &Offsets) -> u32 {
    if options.empty {
        SLOTS_NOWHERE
    } else if !here.surely_has(symbols::STORAGE) {
        SLOTS_IN_HASH
    } else if offsets.bpf_storage == ABSENT {
        SLOTS_IN_STORAGE
    } else {
        offsets.bpf_storage
    }
}

/// A line on a hook or a field that is not there, and what that costs.
fn lacking(what: &str, left_out: bool, cost: &str) -> String {
    let why = if left_out {
        "left out, as asked"
    } else {
        "not in this kernel"
    };
    format!("{what} is {why}: {cost}")
}

impl Tracer {
    /// Loads and attaches what the running kernel allows. Nothing is traced
    /// until [`Tracer::enable`].
    ///
    /// # Errors
    /// Where the kernel has no BTF, rights are missing, or an essential hook
    /// cannot be attached.
    pub fn load(options: &Options) -> Result<Self> {
        Self::load_telling(options, &|_, _| {})
    }

    /// The same; `attaching` hears how many programs are attached, and of how many.
    ///
    /// # Errors
    /// As for [`Tracer::load`].
    pub fn load_telling(options: &Options, tell: &dyn Fn(usize, usize)) -> Result<Self> {
        system::lift_memlock();
        let mut types = KernelBtf::running()?;
        for field in &options.without_fields {
            types.hide(field)?;
        }
        let here = Symbols::running();
        let observe = options.records == Records::Hooks;
        let lean = options.set == Set::Lean && !observe;
        let set = match options.set {
            Set::Lean if observe => Set::All,
            set => set,
        };
        // What is not asked for is not spoken of where it is missing.
        let mut unasked = options.unneeded.clone();
        if !observe {
            unasked.extend(OBSERVE);
        }
        if !lean {
            unasked.extend(LEAN_ALONE);
        }
        if !options.rx {
            unasked.extend(RECEIVE);
        }
        let mut without = options.without.clone();
        without.extend(unasked.iter().filter(|hook| !(lean && LENT.contains(hook))));
        let plan = Plan::new(&types, &here, &without, set)?;
        let mut notes: Vec<String> = types
            .missing()
            .iter()
            .map(|m| lacking(&m.field, m.left_out, m.cost))
            .collect();
        notes.extend(
            plan.missing
                .iter()
                .filter(|hook| !Plan::is_expected_missing(**hook) || options.without.contains(hook))
                .filter(|hook| !unasked.contains(hook))
                .map(|hook| {
                    let left_out = options.without.contains(hook);
                    lacking(hook.name(), left_out, cost(*hook))
                }),
        );

        let offsets = Offsets {
            tick_ns: system::tick_ns(),
            ..types.offsets()
        };
        let offsets: Bytes<Offsets> = Bytes(offsets);
        let filter = Bytes(options.filter);
        let flags = [
            slots_in(options, &here, &offsets.0),
            u32::from(here.surely_has(symbols::COOKIE)),
            options.records as u32,
            u32::from(here.surely_has(symbols::LOCKED_WALK)),
            u32::from(options.rx),
            u32::from(lean),
            u32::from(options.tripwire),
            u32::from(plan.tells_when_reads_begin()),
        ];
        let level = if options.verbose {
            log::Level::Debug as u8
        } else {
            0
        };
        let slots = options.max_sockets.max(1);
        let comms = u32::try_from(options.comms.len()).unwrap_or(u32::MAX);
        let comms = comms.max(1);
        let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
        let page_shift = page.trailing_zeros();
        let ring = options.ring_bytes.max(page).next_power_of_two();
        let mut ebpf = EbpfLoader::new()
            .verifier_log_level(VerifierLogLevel::DEBUG | VerifierLogLevel::STATS)
            .override_global("OFFSETS", &offsets, true)
            .override_global("FILTER", &filter, true)
            .override_global("SLOTS_IN", &flags[0], true)
            .override_global("USE_COOKIE", &flags[1], true)
            .override_global("RECORDS", &flags[2], true)
            .override_global("LOCKED_WALK", &flags[3], true)
            .override_global("RX", &flags[4], true)
            .override_global("LEAN", &flags[5], true)
            .override_global("TRIPWIRE", &flags[6], true)
            .override_global("READS_BEGIN", &flags[7], true)
            .override_global("PAGE_SHIFT", &page_shift, true)
            .override_global("AYA_LOG_LEVEL", &level, true)
            .map_max_entries("ACCOUNTS", slots)
            .map_max_entries("MSK_MOVES", if options.rx { slots } else { 1 })
            .map_max_entries("FREE_SLOTS", slots)
            .map_max_entries("SLOT_HASH", slots)
            .map_max_entries("COMMS", comms)
            .map_max_entries("EVENTS", ring)
            .load(&match options.verbose {
                true => Programs::unpack(),
                false => Programs::unpack().without_lines(),
            })
            .map_err(|e| refused("cannot load the programs' maps", &e))?;

        let table = match ebpf.map("ACCOUNTS") {
            Some(Map::Array(map)) => Table::new(map, slots, options.map_in_parts)?,
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

        let btf = types.targets()?;
        let mut attached = Vec::new();
        let mut tripwire = options.tripwire.then(Tripwire::default);
        for (n, attachment) in plan.attachments.iter().enumerate() {
            tell(n, plan.attachments.len());
            let held = tripwire.as_mut().filter(|_| attachment.runs_often());
            let done = match &held {
                Some(_) => load(&mut ebpf, attachment, &btf),
                None => attach(&mut ebpf, attachment, &btf),
            };
            match done {
                Ok(()) => {
                    attached.push(*attachment);
                    if let Some(tripwire) = held {
                        tripwire.held.push(*attachment);
                    }
                }
                Err(e) if attachment.need == Need::Essential => return Err(essential(e)),
                Err(e) => notes.push(format!("{e}; {}", cost(attachment.hook))),
            }
        }
        if let Some(tripwire) = &mut tripwire {
            attach(&mut ebpf, &TRIPWIRE, &btf).map_err(essential)?;
            attached.push(TRIPWIRE);
            tripwire.attach_twice(&mut ebpf, &btf)?;
            if tripwire.once {
                notes.push(
                    "this kernel attaches a program once only (5.13 and later do it again): skmem's stay attached from \
                     the start, and cost what they do without --tripwire"
                        .to_owned(),
                );
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
                    function: FORK,
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
            tripwire,
            notes,
            logger,
            types: Some(btf),
            offsets: offsets.0,
        };
        if options.filter.flags & BY_PID != 0 {
            for pid in &options.pids {
                tracer.add_pid(*pid)?;
            }
        }
        if options.filter.flags & BY_COMM != 0 {
            tracer.admit(&options.comms)?;
        }
        Ok(tracer)
    }

    /// Tasks of these command names pass the filter.
    fn admit(&mut self, comms: &[[u8; 16]]) -> Result<()> {
        let map = self.ebpf.map_mut("COMMS");
        let map = map.ok_or_else(|| internal("COMMS"))?;
        let mut map = HashMap::<_, [u8; 16], u8>::try_from(map)
            .map_err(|e| refused("cannot use COMMS", &e))?;
        for comm in comms {
            map.insert(comm, &1, 0)
                .map_err(|e| refused("cannot fill COMMS", &e))?;
        }
        Ok(())
    }

    /// Starts tracing: all programs at once. With a tripwire, that waits for [`Tracer::arm`].
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enable(&mut self) -> Result<()> {
        // Not on a machine without loopback; there it is read from each socket's own first skb.
        let overhead = empty_skb().and_then(|bytes| bytes.try_into().ok());
        let overhead: u32 = overhead.unwrap_or(0);
        let enabled = u32::from(self.tripwire.is_none());
        self.set_shared(SHARED_OVERHEAD, overhead)?;
        self.set_shared(SHARED_ENABLED, enabled)
    }

    fn set_shared(&mut self, slot: u32, value: u32) -> Result<()> {
        let map = self.ebpf.map_mut("SHARED");
        let map = map.ok_or_else(|| internal("SHARED"))?;
        Array::<_, u32>::try_from(map)
            .and_then(|mut shared| shared.set(slot, &value, 0))
            .map_err(|e| refused("cannot tell the programs what to do", &e))
    }

    /// How often sockets have met the tripwire so far; at 2^32 it begins anew.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn trips(&self) -> Result<u32> {
        let map = self.ebpf.map("SHARED").ok_or_else(|| internal("SHARED"))?;
        Array::<_, u32>::try_from(map)
            .and_then(|shared| shared.get(&SHARED_TRIPS, 0))
            .map_err(|e| refused("cannot read how often sockets met the tripwire", &e))
    }

    /// Attaches what a tripwire has left out. From here on sockets that meet it get accounts; those
    /// that have met it get theirs in [`Tracer::walk`].
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn arm(&mut self) -> Result<()> {
        if let Some(tripwire) = &mut self.tripwire {
            tripwire.attach(&mut self.ebpf)?;
        }
        self.set_shared(SHARED_ENABLED, 1)
    }

    /// No socket gets an account any more. Then [`Tracer::walk`] takes those away that there are,
    /// and [`Tracer::detach`] the programs.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn disarm(&mut self) -> Result<()> {
        self.set_shared(SHARED_ENABLED, 0)
    }

    /// Detaches what [`Tracer::arm`] has attached.
    pub fn detach(&mut self) {
        if let Some(tripwire) = &mut self.tripwire {
            tripwire.detach();
        }
    }

    /// Walks all TCP sockets in these network namespaces (paths for `setns`).
    /// Those that are older than the trace and that the filter wants get
    /// accounts; the others' accounts are brought up to date. `inodes` are the
    /// sockets that the filter's processes hold. Says what could not be looked
    /// at.
    ///
    /// # Errors
    /// Where the kernel has no iterator over TCP sockets.
    pub fn walk(&mut self, namespaces: &[PathBuf], inodes: &[u32]) -> Result<Vec<String>> {
        existing::walk(&mut self.ebpf, self.types.as_ref(), namespaces, inodes)
    }

    /// Forgets the kernel's types, some 14 MiB: no program can be loaded from here on. Those of
    /// walks are loaded by the first one.
    pub fn forget_types(&mut self) {
        self.types = None;
    }

    /// What the receive windows of all TCP sockets in these network namespaces
    /// depend on, by cookie.
    ///
    /// # Errors
    /// Where the kernel has no iterator over TCP sockets.
    pub fn receivers(
        &mut self,
        namespaces: &[PathBuf],
    ) -> Result<collections::HashMap<u64, Receiver>> {
        let mut found = collections::HashMap::new();
        let program = facts::WINDOW;
        existing::walk_all(
            &mut self.ebpf,
            program,
            self.types.as_ref(),
            namespaces,
            |written| {
                found.extend(facts::read_receivers(&written));
            },
        )?;
        Ok(found)
    }

    /// Hands threads that slept in the send path before the trace to the next
    /// walk: inodes of their sockets and thread ids, one thread a socket.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn find_asleep(&mut self, sleepers: &[(u32, u32)]) -> Result<()> {
        let map = self
            .ebpf
            .map_mut("SLEEPERS")
            .ok_or_else(|| internal("SLEEPERS"))?;
        let failed = |e| refused("cannot tell which threads sleep", &e);
        let mut map = HashMap::<_, u32, u32>::try_from(map).map_err(failed)?;
        for (inode, tid) in sleepers {
            map.insert(inode, tid, 0).map_err(failed)?;
        }
        Ok(())
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

    /// Takes processes that have ended out of the filter: their numbers will be
    /// others', and children that are traced from their birth would fill it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn drop_ended_pids(&mut self) -> Result<()> {
        let failed = |e| refused("cannot take a process out of the filter", &e);
        let map = self.ebpf.map_mut("PIDS").ok_or_else(|| internal("PIDS"))?;
        let mut pids = HashMap::<_, u32, u8>::try_from(map).map_err(failed)?;
        // A walk that a new child's entry disturbs may miss some: there is a next time.
        let known: Vec<u32> = pids.keys().flatten().collect();
        let ended = |pid: &u32| !PathBuf::from(format!("/proc/{pid}")).exists();
        known
            .iter()
            .filter(|pid| ended(pid))
            .try_for_each(|pid| pids.remove(pid))
            .map_err(failed)
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

    /// Where this kernel keeps its fields.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.offsets
    }

    /// One line for each thing that this kernel lacks, with its cost.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).ok_or_else(|| internal(name))
}

/// Hooks that book nothing.
const OBSERVE: [Hook; 2] = [Hook::Sendmsg, Hook::ForcedSchedule];

/// Hooks of the receive side.
const RECEIVE: [Hook; 23] = [
    Hook::Accept,
    Hook::QueueRcv,
    Hook::DataQueue,
    Hook::Recvmsg,
    Hook::ReadSock,
    Hook::ReadDone,
    Hook::ReadZerocopy,
    Hook::ReadSkb,
    Hook::SockmapRecvmsg,
    Hook::Close,
    Hook::Disconnect,
    Hook::WaitData,
    Hook::ReleaseSock,
    Hook::CollapseOne,
    Hook::PruneOfo,
    Hook::SetRcvlowat,
    Hook::ErrorQueue,
    Hook::ErrorFree,
    Hook::MptcpMove,
    Hook::MptcpMerge,
    Hook::MptcpJoin,
    Hook::MptcpRead,
    Hook::MptcpRecvmsg,
];

/// Of these, those that the lean set needs on the send side.
const LENT: [Hook; 1] = [Hook::ReleaseSock];

/// Hooks of the lean set alone: all hooks have booked by then what these book.
const LEAN_ALONE: [Hook; 1] = [Hook::SndbufExpand];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aya_obj::{Map, Object};

    use super::Programs;

    /// Whatever the build leaves out of the programs, loading them does not miss it.
    #[test]
    fn the_programs_have_all_that_they_refer_to() {
        let mut object = Object::parse(&Programs::unpack()).unwrap();
        assert!(object.programs.len() > 40, "{}", object.programs.len());
        assert!(object.btf_ext.is_some() && object.btf.is_some());
        let sections: HashSet<usize> = object.functions.keys().map(|(index, _)| *index).collect();
        // Any number will do for what the kernel would give.
        let maps: Vec<(String, Map)> = object.maps.clone().into_iter().collect();
        let described = maps.iter().map(|(name, map)| (name.as_str(), 9, map));
        object.relocate_maps(described, &sections).unwrap();
        object.relocate_calls(&sections).unwrap();
    }
}
