//! The tracer that trials share, and the records that it read.

use std::{
    cell::RefCell,
    collections::{HashSet, VecDeque},
    fmt::Display,
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use libtest_mimic::Failed;
use skmem::{
    diag::{netns, owners::Owners},
    kernel::{
        counters::Totals,
        plan::Set,
        tracer::{Options, Tracer},
    },
    model::{record::Record, replay::Replay},
    render::{self, Style},
    trace::ring::Reader,
};
use skmem_common::{
    account::Account,
    cause::Cause,
    filter::{BY_PID, Filter},
    hook::{HOOKS, Hook},
    record::{Event, IDENT_CLOSED, OP_BOOK, OP_LIMIT, Op},
};

use crate::check::Check;

/// Events kept to show what led to something wrong.
const KEPT: usize = 60_000;
/// How many of a socket's events to show.
const SHOWN: usize = 20;

thread_local! {
    /// Trials run in one thread.
    static SHARED: RefCell<Option<Bench>> = const { RefCell::new(None) };
    /// Why it cannot be loaded: tried once, reported for each trial.
    static REFUSED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work` with the shared tracer, which is loaded when it is first wanted.
pub fn shared<T>(work: impl FnOnce(&mut Bench) -> Result<T, Failed>) -> Result<T, Failed> {
    SHARED.with_borrow_mut(|shared| {
        if let Some(why) = REFUSED.with_borrow(Clone::clone) {
            return Err(why.into());
        }
        if shared.is_none() {
            match Bench::start(Bench::options()).and_then(|bench| {
                bench.with_twin(
                    "lean set",
                    &Options {
                        set: Set::Lean,
                        ..Bench::options()
                    },
                )
            }) {
                Ok(bench) => *shared = Some(bench),
                Err(error) => {
                    let why = format!("no tracer: {error:#}");
                    REFUSED.set(Some(why.clone()));
                    return Err(why.into());
                }
            }
        }
        work(shared.as_mut().expect("it was put there just now"))
    })
}

/// The last of the trials that share the tracer: every record is accounted for, and the tracer
/// goes.
pub fn end() -> Result<(), Failed> {
    let Some(mut bench) = SHARED.take() else {
        return Ok(());
    };
    let mut check = Check::default();
    bench.every_record_is_accounted_for(&mut check);
    check.equal(
        "records that cannot be read",
        bench.reader.bad().map(|e| e.to_string()),
        None,
    );
    let bad = bench.twin.as_ref().and_then(|twin| twin.reader.bad());
    check.equal(
        "records of the lean set that cannot be read",
        bad.map(|e| e.to_string()),
        None,
    );
    check.done()
}

/// A loaded tracer, and all that was read from it.
pub struct Bench {
    pub tracer: Tracer,
    reader: Reader,
    pub collected: Collected,
    /// Sockets of earlier cases that the kernel still has: their slots are theirs.
    lingering: HashSet<u64>,
    /// A tracer beside it, of the same sockets.
    twin: Option<Box<Twin>>,
    // Last, for the readers leave its runtime.
    runtime: tokio::runtime::Runtime,
}

/// A second tracer, by another set of hooks.
struct Twin {
    tracer: Tracer,
    reader: Reader,
    collected: Collected,
    lingering: HashSet<u64>,
    /// Accounts of the last reading.
    kept: Vec<Box<Account>>,
}

/// What was recorded.
#[derive(Default)]
pub struct Collected {
    pub replay: Replay,
    seen: RecordsByHook,
    recent: VecDeque<Event>,
    /// Records that moved a limit.
    pub limits: Vec<Event>,
    /// The story of bytes that nothing named.
    pub suspects: Vec<String>,
}

/// Records by hook.
struct RecordsByHook([u64; HOOKS]);

impl Default for RecordsByHook {
    fn default() -> Self {
        Self([0; HOOKS])
    }
}

impl Bench {
    /// How trials trace: the processes that a scenario says, with room for the largest.
    pub fn options() -> Options {
        Options {
            filter: Filter {
                flags: BY_PID,
                ..Filter::default()
            },
            follow: true,
            ring_bytes: 32 << 20,
            max_sockets: 4096,
            ..Options::default()
        }
    }

    pub fn start(options: Options) -> Result<Self> {
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut tracer = Tracer::load(&options)?;
        let ring = tracer.take_ring()?;
        let reader = {
            let _inside = runtime.enter();
            Reader::new(ring).context("cannot poll the ring buffer")?
        };
        tracer.enable()?;
        eprintln!(
            "tests: {} programs attached in {:.1} s",
            tracer.attached().len(),
            started.elapsed().as_secs_f64()
        );
        for note in tracer.notes() {
            eprintln!("tests: {note}");
        }
        Ok(Self {
            tracer,
            reader,
            collected: Collected::default(),
            lingering: HashSet::new(),
            twin: None,
            runtime,
        })
    }

    /// Starts a second tracer of the same sockets, by another set of hooks.
    pub fn with_twin(mut self, name: &str, options: &Options) -> Result<Self> {
        let started = Instant::now();
        let mut tracer = Tracer::load(options)?;
        let ring = tracer.take_ring()?;
        let reader = {
            let _inside = self.runtime.enter();
            Reader::new(ring).context("cannot poll the ring buffer")?
        };
        tracer.enable()?;
        eprintln!(
            "tests: {name}: {} programs attached in {:.1} s",
            tracer.attached().len(),
            started.elapsed().as_secs_f64()
        );
        self.twin = Some(Box::new(Twin {
            tracer,
            reader,
            collected: Collected::default(),
            lingering: HashSet::new(),
            kept: Vec::new(),
        }));
        Ok(self)
    }

    /// Lets the filter admit another process.
    pub fn add_pid(&mut self, pid: u32) -> Result<()> {
        self.tracer.add_pid(pid)?;
        if let Some(twin) = &mut self.twin {
            twin.tracer.add_pid(pid)?;
        }
        Ok(())
    }

    /// What the second tracer says of the sockets; nothing where there is none.
    pub fn twin_accounts(&mut self) -> Vec<Box<Account>> {
        self.drain();
        self.keep_twin();
        self.twin_at_rest()
    }

    /// Keeps what it says of the sockets now.
    pub fn keep_twin(&mut self) {
        if let Some(twin) = &mut self.twin {
            twin.kept = twin.accounts();
        }
    }

    /// Whether all records of what was kept are read, and none that is younger.
    pub fn has_read_twin(&self) -> bool {
        let twin = self.twin.as_ref();
        twin.is_none_or(|twin| twin.collected.has_read(&twin.kept))
    }

    /// Whether nothing has moved these accounts since they were read.
    pub fn are_as_before(&self, accounts: &[Box<Account>]) -> bool {
        let now = self.accounts();
        accounts.iter().all(|account| {
            let same = now.iter().find(|a| a.ident.id == account.ident.id);
            same.is_some_and(|a| a.version == account.version)
        })
    }

    /// What was kept.
    pub fn twin_at_rest(&mut self) -> Vec<Box<Account>> {
        let kept = self
            .twin
            .as_mut()
            .map(|twin| std::mem::take(&mut twin.kept));
        kept.unwrap_or_default()
    }

    /// What its records say; None where there is none.
    pub fn twin_collected(&self) -> Option<&Collected> {
        Some(&self.twin.as_ref()?.collected)
    }

    /// Runs of either tracer's programs that the kernel has skipped.
    pub fn skipped_runs(&self) -> u64 {
        let twin = self.twin.as_ref().map_or(0, |t| t.tracer.skipped_runs());
        self.tracer.skipped_runs() + twin
    }

    /// Reads records while `work` goes on.
    pub fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let Self {
            reader,
            collected,
            twin,
            runtime,
            ..
        } = self;
        runtime.block_on(async {
            let mut work = pin!(work);
            loop {
                tokio::select! {
                    done = &mut work => return done,
                    read = reader.read(|record| collected.take(record)) => {
                        read.expect("the ring buffer can be polled");
                    }
                    read = Twin::read(twin.as_deref_mut()) => {
                        read.expect("the ring buffer can be polled");
                    }
                }
            }
        })
    }

    /// Reads no records while `work` goes on, which is short: they stay in the ring.
    pub fn without_reading<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Reads what lies in the ring.
    pub fn drain(&mut self) {
        let collected = &mut self.collected;
        while self.reader.drain(|record| collected.take(record)) > 0 {}
        if let Some(twin) = &mut self.twin {
            let collected = &mut twin.collected;
            while twin.reader.drain(|record| collected.take(record)) > 0 {}
        }
    }

    /// Reads records for a while.
    pub fn wait(&mut self, time: Duration) {
        self.during(async { tokio::time::sleep(time).await });
        self.drain();
    }

    /// Brings the accounts up to date in the network namespaces that these processes live in or
    /// hold.
    pub fn walk(&mut self, pids: &[u32]) -> Result<()> {
        let namespaces = netns::of(pids, &Owners::among(pids.to_vec()));
        let mut notes = self.tracer.walk(&namespaces, &[])?;
        if let Some(twin) = &mut self.twin {
            notes.extend(twin.tracer.walk(&namespaces, &[])?);
        }
        anyhow::ensure!(notes.is_empty(), "{}", notes.join("; "));
        self.drain();
        Ok(())
    }

    /// All accounts of this case.
    pub fn accounts(&self) -> Vec<Box<Account>> {
        self.tracer
            .table()
            .accounts()
            .filter(|account| !self.lingering.contains(&account.ident.id))
            .collect()
    }

    /// Records read so far.
    pub fn seen(&self) -> u64 {
        self.reader.seen()
    }

    pub fn totals(&self) -> Totals {
        self.tracer.totals().expect("the counters can be read")
    }

    /// seen + lost == produced, for each hook. At rest only.
    pub fn every_record_is_accounted_for(&mut self, check: &mut Check) {
        self.drain();
        let totals = self.totals();
        for hook in Hook::ALL {
            let n = *hook as usize;
            check.equal(
                format_args!("records of {}: seen + lost, and produced", hook.name()),
                self.collected.seen.0[n] + totals.lost[n],
                totals.produced[n],
            );
        }
        check.equal(
            "records seen and lost, and produced, of all hooks",
            self.reader.seen() + totals.all_lost(),
            totals.all_produced(),
        );
    }

    /// Gives back the slots of a case's accounts and forgets its records.
    pub fn forget(&mut self, accounts: &[Box<Account>]) -> Result<(), Failed> {
        for account in accounts {
            if account.ident.flags & IDENT_CLOSED == 0 {
                self.lingering.insert(account.ident.id);
                continue;
            }
            self.collected.replay.forget(account.ident.id);
            self.tracer.free_slot(account.slot).map_err(failed)?;
        }
        self.collected.clear();
        self.twin.as_mut().map_or(Ok(()), |twin| twin.forget())
    }
}

impl Twin {
    /// Waits for records; for ever, where there is no tracer to make any.
    async fn read(twin: Option<&mut Self>) -> std::io::Result<()> {
        match twin {
            Some(Self {
                reader, collected, ..
            }) => reader.read(|record| collected.take(record)).await,
            None => std::future::pending().await,
        }
    }

    fn accounts(&self) -> Vec<Box<Account>> {
        let all = self.tracer.table().accounts();
        all.filter(|account| !self.lingering.contains(&account.ident.id))
            .collect()
    }

    fn forget(&mut self) -> Result<(), Failed> {
        for account in self.accounts() {
            if account.ident.flags & IDENT_CLOSED == 0 {
                self.lingering.insert(account.ident.id);
                continue;
            }
            self.collected.replay.forget(account.ident.id);
            self.tracer.free_slot(account.slot).map_err(failed)?;
        }
        self.collected.clear();
        Ok(())
    }
}

impl Collected {
    /// Whether all records of these accounts are read, and none that is younger.
    pub fn has_read(&self, accounts: &[Box<Account>]) -> bool {
        let read = |a: &Account| a.lost != 0 || self.replay.agrees(a).is_some();
        accounts.iter().all(|account| read(account))
    }

    fn clear(&mut self) {
        self.recent.clear();
        self.limits.clear();
        self.suspects.clear();
    }

    fn take(&mut self, record: &Record) {
        self.replay.apply(record);
        let hook = match record {
            Record::Event(event) => {
                self.event(event);
                event.header.hook
            }
            Record::Open(_) => Hook::Open as u8,
            Record::Task(_) => Hook::Task as u8,
            Record::Receive(receive) => receive.header.hook,
        };
        self.seen.0[usize::from(hook) % HOOKS] += 1;
    }

    fn event(&mut self, event: &Event) {
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(*event);
        let ops = &event.ops[..usize::from(event.header.ops).min(event.ops.len())];
        if ops.iter().any(|op| op.kind == OP_LIMIT) {
            self.limits.push(*event);
        }
        let unnamed = |op: &Op| op.kind == OP_BOOK && op.cause == Cause::Unattributed as u8;
        if ops.iter().any(unnamed) && self.suspects.len() < 3 {
            let story = self.story(event.socket);
            self.suspects.push(story);
        }
    }

    /// A socket's last events, a line each.
    pub fn story(&self, socket: u64) -> String {
        let who = self.replay.socket(socket).and_then(|s| s.ident);
        let of: Vec<&Event> = self
            .recent
            .iter()
            .rev()
            .filter(|e| e.socket == socket)
            .take(SHOWN)
            .collect();
        let style = Style {
            zero_ns: of.last().map_or(0, |e| e.time_ns),
            ..Style::PLAIN
        };
        let mut text = String::new();
        for event in of.iter().rev() {
            let line = render::event_line(event, who.as_ref(), &style);
            text.push_str("    | ");
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// Any error as a trial's failure, its causes with it.
pub fn failed(error: impl Into<anyhow::Error>) -> Failed {
    failed_of(format_args!("{:#}", error.into()))
}

fn failed_of(text: impl Display) -> Failed {
    text.to_string().into()
}
