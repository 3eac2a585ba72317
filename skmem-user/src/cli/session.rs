//! A trace under way: programs attached, records read, accounts at hand.

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use skmem_common::{account::Account, record::IDENT_CLOSED};

use crate::{
    collect::{decode::Record, reader::Reader},
    diag::holders,
    explain::{Setting, Verdict},
    kernel::{
        counters::Totals,
        system,
        tracer::{Options, Tracer},
    },
    model::replay::Replay,
};

/// How often closed sockets are collected.
const HARVEST: Duration = Duration::from_millis(500);

/// Closed sockets that are kept for the end; of more, those with the worst
/// excess.
const KEEP_CLOSED: usize = 1024;

/// A trace under way.
pub struct Session {
    tracer: Tracer,
    reader: Reader,
    replay: Replay,
    closed: Vec<(Box<Account>, Option<bool>)>,
    harvested: Instant,
    release: String,
    namespaces: Vec<PathBuf>,
}

impl Session {
    /// Attaches, telling on stderr when that takes longer than two seconds,
    /// and starts to trace.
    ///
    /// # Errors
    /// Where the kernel does not allow it.
    pub fn start(options: &Options) -> Result<Self> {
        let started = Instant::now();
        let mut tracer = Tracer::load(options)?;
        if started.elapsed() > Duration::from_secs(2) {
            eprintln!(
                "skmem: {} programs attached in {:.1} s",
                tracer.attached().len(),
                started.elapsed().as_secs_f64()
            );
        }
        if options.verbose {
            for a in tracer.attached() {
                let walked = tracer.verified_instructions(a.program).unwrap_or(0);
                eprintln!(
                    "skmem: {} on {} ({:?}), {walked} instructions verified",
                    a.program, a.function, a.kind
                );
            }
        }
        for note in tracer.notes() {
            eprintln!("skmem: {note}");
        }
        let reader = Reader::new(tracer.take_ring()?).context("cannot poll the ring buffer")?;
        tracer.enable()?;
        Ok(Self {
            tracer,
            reader,
            replay: Replay::default(),
            closed: Vec::new(),
            harvested: Instant::now(),
            release: system::release(),
            namespaces: Vec::new(),
        })
    }

    /// Also traces sockets that are older than the trace, in these network
    /// namespaces: those that hold something and match, or without a filter
    /// those over their limit.
    pub fn adopt(&mut self, namespaces: Vec<PathBuf>, inodes: &[u32]) {
        self.namespaces = namespaces;
        self.walk(inodes);
    }

    /// Brings all accounts up to date.
    fn walk(&mut self, inodes: &[u32]) {
        if self.namespaces.is_empty() {
            return;
        }
        match self.tracer.walk(&self.namespaces, inodes) {
            Ok(notes) => notes.iter().for_each(|note| eprintln!("skmem: {note}")),
            Err(e) => eprintln!("skmem: {e}; sockets are traced from their next call on"),
        }
    }

    /// Waits a little for records, takes them in, and hands them on.
    ///
    /// # Errors
    /// Where the ring cannot be polled or the kernel refuses a slot.
    pub async fn step(&mut self, mut each: impl FnMut(&Record, &Replay)) -> Result<()> {
        let replay = &mut self.replay;
        self.reader
            .read(|record| {
                replay.apply(record);
                each(record, replay);
            })
            .await
            .context("cannot read the ring buffer")?;
        self.tracer.flush_log();
        if self.harvested.elapsed() > HARVEST {
            self.harvested = Instant::now();
            let gone = self.gone();
            if !gone.is_empty() {
                // All of their records are in the ring by now.
                self.drain(&mut each);
                self.harvest(gone)?;
            }
        }
        Ok(())
    }

    /// The end of the trace: brings the accounts up to date, and takes in what
    /// still lies in the ring.
    pub fn finish(&mut self, each: impl FnMut(&Record, &Replay)) {
        self.walk(&[]);
        self.drain(each);
    }

    /// Takes in what still lies in the ring.
    fn drain(&mut self, mut each: impl FnMut(&Record, &Replay)) {
        let replay = &mut self.replay;
        while self.reader.drain(|record| {
            replay.apply(record);
            each(record, replay);
        }) > 0
        {}
    }

    /// Whether a traced sender has been asleep for at least `long`.
    #[must_use]
    pub fn blocked_for(&self, long: Duration) -> bool {
        let now = system::monotonic_ns();
        let long = u64::try_from(long.as_nanos()).unwrap_or(u64::MAX);
        self.tracer
            .table()
            .accounts()
            .any(|a| a.blocked.since_ns != 0 && now.saturating_sub(a.blocked.since_ns) >= long)
    }

    /// The verdicts on all sockets, worst first; `all` also those that never
    /// went over their limit.
    #[must_use]
    pub fn verdicts(&self, all: bool, at_end: bool) -> Vec<Verdict> {
        let mut open: Vec<_> = self.tracer.table().accounts().collect();
        name_holders(&mut open);
        let skipped = self.tracer.skipped_runs();
        let wmem_max = sysctl("net/core/wmem_max");
        let lowat = sysctl("net/ipv4/tcp_notsent_lowat");
        let judge = |account: &Account, stream_agrees: Option<bool>| {
            Verdict::of(
                account,
                &Setting {
                    kernel: &self.release,
                    now_ns: system::monotonic_ns(),
                    at_end,
                    skipped_runs: skipped,
                    wmem_max,
                    notsent_lowat_sysctl: lowat,
                    stream_agrees,
                },
            )
        };
        let mut accounts: Vec<(&Account, Option<bool>)> = open
            .iter()
            .map(|a| (&**a, self.replay.agrees(a)))
            .chain(self.closed.iter().map(|(a, agrees)| (&**a, *agrees)))
            .filter(|(a, _)| all || a.ledger.worst_excess > 0)
            .collect();
        accounts.sort_by_key(|(a, _)| std::cmp::Reverse(a.ledger.worst_excess));
        accounts
            .into_iter()
            .map(|(a, agrees)| judge(a, agrees))
            .collect()
    }

    /// How many sockets there are, open and closed.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.tracer.table().accounts().count() + self.closed.len()
    }

    /// Records taken in.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.reader.seen()
    }

    /// The kernel's counters.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn totals(&self) -> Result<Totals> {
        Ok(self.tracer.totals()?)
    }

    /// Program runs that the kernel skipped.
    #[must_use]
    pub fn skipped_runs(&self) -> u64 {
        self.tracer.skipped_runs()
    }

    /// What is attached.
    #[must_use]
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// The accounts of sockets that were destroyed.
    fn gone(&self) -> Vec<Box<Account>> {
        self.tracer
            .table()
            .accounts()
            .filter(|a| a.ident.flags & IDENT_CLOSED != 0)
            .collect()
    }

    /// Keeps those accounts, and gives their slots back.
    fn harvest(&mut self, gone: Vec<Box<Account>>) -> Result<()> {
        for account in gone {
            self.tracer.free_slot(account.slot)?;
            let agrees = self.replay.agrees(&account);
            self.replay.forget(account.ident.id);
            self.closed.push((account, agrees));
        }
        if self.closed.len() > KEEP_CLOSED {
            self.closed
                .sort_by_key(|(a, _)| std::cmp::Reverse(a.ledger.worst_excess));
            self.closed.truncate(KEEP_CLOSED);
        }
        Ok(())
    }
}

/// Fills in whose the sockets are that nobody has used since they were
/// adopted.
fn name_holders(accounts: &mut [Box<Account>]) {
    let unknown: HashSet<u32> = accounts
        .iter()
        .filter(|a| a.ident.pid == 0 && a.ident.inode != 0)
        .map(|a| a.ident.inode)
        .collect();
    if unknown.is_empty() {
        return;
    }
    let holders = holders::of(&unknown);
    for account in accounts {
        if account.ident.pid == 0
            && let Some(holder) = holders.get(&account.ident.inode)
        {
            account.ident.pid = holder.pid;
            let name = &holder.comm.as_bytes()[..holder.comm.len().min(15)];
            account.ident.comm[..name.len()].copy_from_slice(name);
        }
    }
}

/// A sysctl that is one number.
fn sysctl(name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    text.trim().parse().ok()
}

/// Whether an error is that of a pipe whose reader has gone away.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}
