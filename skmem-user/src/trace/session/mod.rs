//! Programs attached, records read, accounts at hand.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use skmem_common::{layout::Records, record::Task};

use super::{
    attach::{self, Attaching},
    holders::Holders,
    pace::Pace,
    ring::Reader,
    select::{self, Older},
    sleepers::Sleepers,
    waiters::Waiters,
};
use crate::{
    explain::window::Window,
    kernel::{
        counters, system,
        tracer::{Options, Tracer},
    },
    model::{
        end::{KEEP_CLOSED, SavedAccount, TopAccounts},
        record::Record,
        replay::Replay,
    },
    selection::Selection,
};

mod closed;
mod known;
mod pods;
mod taken;
mod tripwire;

pub use known::HeldUp;
pub(super) use known::limit;
use taken::Taken;

/// How often closed sockets are collected at most.
const COLLECT_EVERY: Duration = Duration::from_millis(500);

/// Closed sockets are collected at once where they hold more than this part of all slots, one in
/// eight: connections may come and go faster than [`COLLECT_EVERY`] allows.
const COLLECT_AT_FRACTION: u32 = 8;

/// Sockets by whether replaying their records gives the kernel's account, to the byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// It does.
    pub agree: u64,
    /// It does not.
    pub differ: u64,
    /// Records were lost or not read, or some of it is older than the trace.
    pub unknown: u64,
}

impl Compared {
    fn count(&mut self, agrees: Option<bool>) {
        *match agrees {
            Some(true) => &mut self.agree,
            Some(false) => &mut self.differ,
            None => &mut self.unknown,
        } += 1;
    }
}

/// A trace under way.
pub struct Session {
    pub(super) tracer: Tracer,
    reader: Reader,
    replay: Replay,
    /// Records tell all of an account, so replay can be compared with it.
    faithful: bool,
    closed: TopAccounts,
    /// When each socket, by its number, was first found destroyed without a record of the end of
    /// its queues.
    closing_since: HashMap<u64, Instant>,
    /// Closed sockets that a recorder has not taken yet; None: nobody records.
    just_closed: Option<Vec<SavedAccount>>,
    /// When closed sockets are collected.
    collects: Pace,
    /// Sockets that were closed since, as far as records tell.
    ended: u32,
    /// Connections that a skmem measures this kernel by, by their numbers: they
    /// are shown nowhere.
    measuring: HashSet<u64>,
    /// What records tell is not kept, but for who sleeps.
    sleepers_only: bool,
    /// What came of replaying the records of closed sockets.
    compared: Compared,
    /// Children are traced, too.
    follow: bool,
    release: String,
    /// Most records that can lie in the ring.
    room: usize,
    pub(super) namespaces: Vec<PathBuf>,
    pub(super) holders: Holders,
    sleepers: Sleepers,
    /// With `--rx`: what receive buffers hold, by cookie.
    windows: Option<HashMap<u64, Window>>,
    waiters: Waiters,
    left_out: u64,
    /// Root directory of the machine, where the names of pods are.
    host_root: PathBuf,
    /// How often sockets had met the tripwire when that was last asked.
    trips: u32,
    notes: Vec<String>,
}

impl Session {
    /// Attaches and starts to trace the selected sockets, those included that are older than the
    /// trace; `attaching` hears four times a second how far that is. What this kernel lacks:
    /// [`Tracer::notes`]; what could not be done: [`Self::take_notes`].
    ///
    /// # Errors
    /// Where the kernel does not allow it.
    pub async fn start(
        selection: &Selection,
        options: &Options,
        attaching: impl FnMut(Attaching),
    ) -> Result<Self> {
        let mut session = Self::attach(options, attaching).await?;
        session.adopt(select::older(selection));
        Ok(session)
    }

    /// The same without older sockets: for callers that choose those themselves, see
    /// [`Self::adopt`].
    ///
    /// # Errors
    /// Where the kernel does not allow it.
    pub async fn attach(options: &Options, attaching: impl FnMut(Attaching)) -> Result<Self> {
        let mut tracer = attach::attached(options, attaching).await?;
        let reader = Reader::new(tracer.take_ring()?).context("cannot poll the ring buffer")?;
        tracer.enable()?;
        Ok(Self {
            tracer,
            reader,
            replay: Replay::default(),
            faithful: options.records != Records::Transitions,
            closed: TopAccounts::new(KEEP_CLOSED),
            closing_since: HashMap::new(),
            just_closed: None,
            collects: Pace::new(COLLECT_EVERY),
            ended: 0,
            measuring: HashSet::new(),
            sleepers_only: false,
            compared: Compared::default(),
            follow: options.follow,
            release: system::release(),
            room: options.ring_bytes.next_power_of_two() as usize / size_of::<Task>(),
            namespaces: Vec::new(),
            holders: Holders::default(),
            sleepers: Sleepers::default(),
            windows: options.rx.then(HashMap::new),
            waiters: Waiters::default(),
            left_out: 0,
            host_root: PathBuf::from("/"),
            trips: 0,
            notes: Vec::new(),
        })
    }

    /// [`Self::start`] with the usual options.
    ///
    /// # Errors
    /// Where the kernel does not allow it.
    pub async fn of(selection: &Selection) -> Result<Self> {
        Self::start(selection, &select::options(selection), |_| {}).await
    }

    /// Traces for `time`, to the end of the trace: [`Session::verdicts`] are of then.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub async fn run_for(&mut self, time: Duration) -> Result<()> {
        let mut end = std::pin::pin!(tokio::time::sleep(time));
        loop {
            tokio::select! {
                () = &mut end => break,
                step = self.step(|_, _| {}) => step?,
            }
        }
        self.finish(|_, _| {});
        Ok(())
    }

    /// Also traces sockets that are older than the trace, in these network
    /// namespaces: those that hold something and match, or without a filter
    /// those over their limit and those whose senders wait. Threads that sleep
    /// in a send call on one of them are counted in.
    pub fn adopt(&mut self, older: Older) {
        self.namespaces = older.namespaces;
        self.walk(&older.inodes);
        // The program is loaded while that is allowed.
        self.look_at_windows();
        self.left_out = self.totals().map_or(0, |totals| totals.left_out);
        let found = self.sleepers.find(&mut self.tracer, &self.namespaces);
        self.notes.extend(
            found
                .err()
                .map(|e| format!("{e}; threads that slept before are seen when they wake")),
        );
    }

    /// From here on nothing is kept of what records tell, but who sleeps: replayed accounts of all
    /// sockets take more memory than all else, and are only for a comparison with the kernel's.
    pub fn keep_sleepers_only(&mut self) {
        self.sleepers_only = true;
    }

    /// Takes the names of pods from below this directory, where the machine's root directory is
    /// another than `/`: as in a container.
    pub fn use_host_root(&mut self, dir: &Path) {
        dir.clone_into(&mut self.host_root);
    }

    /// What could not be done, in sentences, since this was last asked.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// `uname -r`.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// How many older sockets that hold something within their limit were left
    /// out because there is no filter, in a sentence; None: none.
    #[must_use]
    pub fn left_out_note(&self) -> Option<String> {
        let sockets = match self.left_out {
            0 => return None,
            1 => "1 socket is".to_owned(),
            n => format!("{n} sockets are"),
        };
        Some(format!(
            "{sockets} older than the trace and within the limit: not traced; a filter takes them \
             in, e.g. --cgroup /sys/fs/cgroup"
        ))
    }

    /// Brings all accounts up to date.
    fn walk(&mut self, inodes: &[u32]) {
        // The path of a process that has ended no longer leads into its namespace; its sockets
        // ended with it, unless a child inherited them.
        self.namespaces
            .retain(|path| !matches!(path.try_exists(), Ok(false)));
        if self.namespaces.is_empty() {
            return;
        }
        let notes = match self.tracer.walk(&self.namespaces, inodes) {
            Ok(notes) => notes,
            Err(e) => vec![format!("{e}; sockets are traced from their next call on")],
        };
        for note in notes {
            // There may be many walks.
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Waits a little for records, takes them in, and hands them on.
    ///
    /// # Errors
    /// Where the ring cannot be polled or the kernel refuses a slot.
    pub async fn step(&mut self, mut each: impl FnMut(&Record, &Replay)) -> Result<()> {
        let mut taken = Taken {
            replay: &mut self.replay,
            ended: &mut self.ended,
            measuring: &mut self.measuring,
            sleepers_only: self.sleepers_only,
        };
        self.reader
            .read(|record| taken.take(record, &mut each))
            .await
            .context("cannot read the ring buffer")?;
        self.tracer.flush_log();
        let due = self.collects.is_due();
        if due {
            let begun = Instant::now();
            if self.waiters.are_due(self.tracer.table()) {
                self.walk(&[]);
                self.waiters.walked(begun);
            }
            if self.follow {
                self.tracer.drop_ended_pids()?;
            }
        }
        if due || self.ended > self.tracer.table().slots() / COLLECT_AT_FRACTION {
            self.ended = 0;
            let begun = Instant::now();
            let slots = self.destroyed_slots();
            // One that many ends asked for does not put off what is done besides.
            if due {
                self.collects.looked(begun);
            }
            if !slots.is_empty() {
                // All of their records are in the ring by now.
                self.drain(&mut each);
                self.collect_closed(slots)?;
            }
        }
        Ok(())
    }

    /// The end of the trace: brings the accounts up to date, and takes in what
    /// still lies in the ring.
    pub fn finish(&mut self, each: impl FnMut(&Record, &Replay)) {
        self.walk(&[]);
        self.look_at_windows();
        self.drain(each);
    }

    /// With `--rx`: reads what fills the receive buffers.
    fn look_at_windows(&mut self) {
        if self.windows.is_none() || self.namespaces.is_empty() {
            return;
        }
        match self.tracer.receivers(&self.namespaces) {
            Ok(found) => {
                let known = found
                    .into_iter()
                    .filter_map(|(cookie, receiver)| Some((cookie, Window::of(&receiver)?)));
                self.windows = Some(known.collect());
            }
            Err(e) => self
                .notes
                .push(format!("what fills each receive buffer: {e}")),
        }
    }

    /// Takes in what lies in the ring now.
    fn drain(&mut self, mut each: impl FnMut(&Record, &Replay)) {
        let mut taken = Taken {
            replay: &mut self.replay,
            ended: &mut self.ended,
            measuring: &mut self.measuring,
            sleepers_only: self.sleepers_only,
        };
        // Not until it is empty: on a busy machine it never may be.
        let mut left = self.room;
        while left > 0 {
            let n = self.reader.drain(|record| taken.take(record, &mut each));
            if n == 0 {
                break;
            }
            left = left.saturating_sub(n);
        }
    }

    /// How many sockets there are, open and closed.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.open().count() + self.closed.count as usize
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
    pub fn totals(&self) -> Result<counters::Totals> {
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
}
