//! Programs attached, records read, accounts at hand.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use skmem_common::{
    account::Account,
    cause::{Cause, Tier},
    hook::Hook,
    layout::Records,
    record::{IDENT_CLOSED, IDENT_MPTCP, IDENT_MPTCP_SOCKET, Task},
};

use super::{
    attach::{self, Attaching},
    holders::Holders,
    ring::Reader,
    select::{self, Older},
    sleepers::Sleepers,
    waiters::Waiters,
};
use crate::{
    diag::{self, cgroups, netns},
    explain::{Source, Verdict, held_up_since, window::Window},
    kernel::{
        counters, system,
        table::ONE_GO,
        tracer::{Options, Tracer},
    },
    model::{
        end::{End, HookTotal, KEEP_CLOSED, Kept, Totals, Worst},
        places::{Places, cgroup_id},
        record::Record,
        replay::Replay,
    },
    selection::Selection,
};

/// How often closed sockets are collected.
const HARVEST: Duration = Duration::from_millis(500);

/// Where such a part of the table was closed since, they are collected at once:
/// connections may come and go faster than their slots can wait.
const HARVEST_PART: u32 = 8;

/// A trace under way.
pub struct Session {
    pub(super) tracer: Tracer,
    reader: Reader,
    replay: Replay,
    /// Records tell all of an account, so replay can be compared with it.
    faithful: bool,
    closed: Worst,
    /// Since when sockets are known to be destroyed whose queues' end was not
    /// seen, by their numbers.
    dying: HashMap<u64, Instant>,
    /// Closed sockets that a recorder has not taken yet; None: nobody records.
    just_closed: Option<Vec<Kept>>,
    harvested: Instant,
    /// Sockets that were closed since, as far as records tell.
    ended: u32,
    /// Connections that a skmem measures this kernel by, by their numbers: they
    /// are shown nowhere.
    measuring: HashSet<u64>,
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
    notes: Vec<String>,
}

impl Session {
    /// Attaches and starts to trace; `attaching` hears four times a second how
    /// far that is. What this kernel lacks: [`Tracer::notes`].
    ///
    /// # Errors
    /// Where the kernel does not allow it.
    pub async fn start(options: &Options, attaching: impl FnMut(Attaching)) -> Result<Self> {
        let mut tracer = attach::attached(options, attaching).await?;
        let reader = Reader::new(tracer.take_ring()?).context("cannot poll the ring buffer")?;
        tracer.enable()?;
        Ok(Self {
            tracer,
            reader,
            replay: Replay::default(),
            faithful: options.records != Records::Transitions,
            closed: Worst::new(KEEP_CLOSED),
            dying: HashMap::new(),
            just_closed: None,
            harvested: Instant::now(),
            ended: 0,
            measuring: HashSet::new(),
            follow: options.follow,
            release: system::release(),
            room: options.ring_bytes.next_power_of_two() as usize / size_of::<Task>(),
            namespaces: Vec::new(),
            holders: Holders::default(),
            sleepers: Sleepers::default(),
            windows: options.rx.then(HashMap::new),
            waiters: Waiters::default(),
            left_out: 0,
            notes: Vec::new(),
        })
    }

    /// Starts to trace the selected sockets, those included that are older than the trace.
    ///
    /// # Errors
    /// Where the kernel does not allow it.
    pub async fn of(selection: &Selection) -> Result<Self> {
        let mut session = Self::start(&select::options(selection), |_| {}).await?;
        session.adopt(select::older(selection));
        Ok(session)
    }

    /// Traces for so long, up to the end of the trace: [`Session::verdicts`] are of then.
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
        // Nobody gets in by a process that has ended; its sockets ended with it, unless a child has
        // them.
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
        };
        self.reader
            .read(|record| taken.take(record, &mut each))
            .await
            .context("cannot read the ring buffer")?;
        self.tracer.flush_log();
        let due = self.harvested.elapsed() > HARVEST;
        if due {
            self.harvested = Instant::now();
            if self.waiters.are_due(self.tracer.table()) {
                let begun = Instant::now();
                self.walk(&[]);
                self.waiters.walked(begun.elapsed());
            }
            if self.follow {
                self.tracer.drop_ended_pids()?;
            }
        }
        if due || self.ended > self.tracer.table().slots() / HARVEST_PART {
            self.ended = 0;
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

    /// Whether a traced sender has been held up for at least `long`: asleep, or
    /// turned away while `poll()` would not report room.
    #[must_use]
    pub fn blocked_for(&self, long: Duration) -> bool {
        self.any_held_up(long, |_| 0)
    }

    /// Whether a wait that is on, or one that `also` tells of, is as long.
    fn any_held_up(&self, long: Duration, also: impl Fn(&Account) -> u64) -> bool {
        let now = system::monotonic_ns();
        let long = u64::try_from(long.as_nanos()).unwrap_or(u64::MAX);
        let mut accounts = self.tracer.table().accounts();
        accounts.any(|mut a| {
            let waited = held_up_since(&a).map_or(0, |since| now.saturating_sub(since));
            if waited.max(also(&a)) < long {
                return false;
            }
            if a.blocked.older == 0 {
                return true;
            }
            // Rare, and /proc is asked: whether it sleeps still.
            self.sleepers.correct(&mut a);
            let waited = held_up_since(&a).map_or(0, |since| now.saturating_sub(since));
            waited.max(also(&a)) >= long
        })
    }

    /// Whether a traced sender has ever been asleep, or is held up now, for at
    /// least `long`.
    #[must_use]
    pub fn was_blocked_for(&self, long: Duration) -> bool {
        self.any_held_up(long, |a| a.blocked.longest_ns)
    }

    /// The verdicts on all sockets, worst first; `all` also those that never
    /// went over their limit.
    #[must_use]
    pub fn verdicts(&self, all: bool, at_end: bool) -> Vec<Verdict> {
        self.judge(&self.gather(), all, at_end)
    }

    /// The verdicts on what was known at `end`.
    #[must_use]
    pub fn judge(&self, end: &End, all: bool, at_end: bool) -> Vec<Verdict> {
        let mut verdicts = end.verdicts(&self.release, all, at_end, Source::Kernel);
        let known = self.windows.as_ref();
        for verdict in &mut verdicts {
            let cookie = verdict.socket.cookie;
            let window = known.and_then(|known| known.get(&cookie?).copied());
            if let Some(receive) = &mut verdict.receive {
                receive.buffer = window;
            }
        }
        verdicts
    }

    /// The verdict on one open socket; None: it is not traced.
    #[must_use]
    pub fn verdict_on(&self, id: u64) -> Option<Verdict> {
        // What is said of an MPTCP socket is told by its subflows, too.
        let mut family: Vec<_> = self.open().collect();
        link_subflows(&mut family);
        family.retain(|account| account.ident.id == id || account.mptcp == id);
        let end = self.gather_of(family, Vec::new());
        let verdicts = self.judge(&end, true, false);
        verdicts.into_iter().find(|verdict| verdict.socket.id == id)
    }

    /// What `of` makes of each open socket's account as it is now.
    pub fn each_account<T>(&self, mut of: impl FnMut(&Account) -> T) -> Vec<T> {
        self.open()
            .map(|mut account| {
                self.sleepers.correct(&mut account);
                of(&account)
            })
            .collect()
    }

    /// All that is known now, but for the hooks' counters.
    fn gather(&self) -> End {
        self.gather_of(self.open().collect(), self.closed.list())
    }

    /// The same of these sockets alone.
    fn gather_of(&self, mut open: Vec<Box<Account>>, closed: Vec<Kept>) -> End {
        self.holders.name(&mut open);
        link_subflows(&mut open);
        for account in &mut open {
            self.sleepers.correct(account);
        }
        let open = open.into_iter().map(|mut account| {
            let stream_agrees = self.agrees(&account);
            if account.closing != 0 {
                bury(&mut account);
            }
            Kept {
                sleepers: self.sleepers(&account),
                account,
                stream_agrees,
            }
        });
        let open: Vec<Kept> = open.collect();
        let places = places(open.iter().chain(&closed));
        End {
            totals: Totals {
                now_ns: system::monotonic_ns(),
                wall_ns: system::wall_ns(),
                skipped_runs: self.tracer.skipped_runs(),
                sockets: open.len() as u64 + self.closed.count,
                wmem_max: limit(diag::wmem_max()),
                notsent_lowat: limit(diag::notsent_lowat()),
                places,
                ..Totals::default()
            },
            open,
            closed,
        }
    }

    /// All that is known now, for the end of a recording.
    ///
    /// # Errors
    /// Where the kernel refuses its counters.
    pub fn end(&self, reason: &str) -> Result<End> {
        let counted = self.totals()?;
        let mut end = self.gather();
        reason.clone_into(&mut end.totals.reason);
        end.totals.no_slot = counted.no_slot;
        end.totals.hooks = Hook::ALL
            .iter()
            .map(|hook| HookTotal {
                hook: hook.name().to_owned(),
                produced: counted.produced[*hook as usize],
                lost: counted.lost[*hook as usize],
            })
            .filter(|h| h.produced != 0)
            .collect();
        Ok(end)
    }

    /// The accounts of open sockets as they are now.
    #[must_use]
    pub fn accounts(&self) -> Vec<Kept> {
        self.open()
            .map(|account| Kept {
                sleepers: self.sleepers(&account),
                account,
                stream_agrees: None,
            })
            .collect()
    }

    /// The accounts of open sockets, but those that a skmem measures by.
    fn open(&self) -> impl Iterator<Item = Box<Account>> + '_ {
        let accounts = self.tracer.table().accounts();
        accounts.filter(|account| !account.ident.measures())
    }

    /// Who slept on the socket by the records that were handed on.
    fn sleepers(&self, account: &Account) -> Vec<(u32, u64)> {
        let socket = self.replay.socket(account.ident.id);
        socket
            .map(super::super::model::replay::Socket::sleepers)
            .unwrap_or_default()
    }

    /// Closed sockets from here on are kept for [`Session::take_closed`].
    pub fn keep_closed(&mut self) {
        self.just_closed = Some(Vec::new());
    }

    /// The sockets that were closed since this was last asked. All of their
    /// records were handed on before.
    pub fn take_closed(&mut self) -> Vec<Kept> {
        self.just_closed.replace(Vec::new()).unwrap_or_default()
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

    /// See [`Replay::agrees`].
    fn agrees(&self, account: &Account) -> Option<bool> {
        self.faithful.then(|| self.replay.agrees(account)).flatten()
    }

    /// The slots of sockets that were destroyed.
    fn gone(&mut self) -> Vec<u32> {
        let now = Instant::now();
        let mut dying = HashMap::new();
        let gone = self.tracer.table().ending().filter(|socket| {
            if socket.closed {
                return true;
            }
            let since = self.dying.get(&socket.id).copied().unwrap_or(now);
            dying.insert(socket.id, since);
            now - since > ONE_GO
        });
        let gone = gone.map(|socket| socket.slot).collect();
        self.dying = dying;
        gone
    }

    /// Keeps their accounts, and gives the slots back. One at a time: a machine
    /// that let skmem wait may have many.
    fn harvest(&mut self, gone: Vec<u32>) -> Result<()> {
        for slot in gone {
            let Some(mut account) = self.tracer.table().read(slot) else {
                continue;
            };
            self.tracer.free_slot(slot)?;
            if account.ident.measures() {
                self.measuring.remove(&account.ident.id);
                continue;
            }
            let agrees = self.agrees(&account);
            bury(&mut account);
            self.replay.forget(account.ident.id);
            let kept = Kept {
                account,
                stream_agrees: agrees,
                sleepers: Vec::new(),
            };
            if let Some(list) = &mut self.just_closed {
                list.push(kept.clone());
            }
            self.closed.push(kept);
        }
        Ok(())
    }
}

/// Says of subflows that are older than the trace which MPTCP socket they belong
/// to: the one whose `struct socket` they have (`mptcp_sock_graft`).
fn link_subflows(accounts: &mut [Box<Account>]) {
    let is_above = |account: &Account| account.ident.flags & IDENT_MPTCP_SOCKET != 0;
    let above: HashMap<u32, u64> = accounts
        .iter()
        .filter(|account| is_above(account) && account.ident.inode != 0)
        .map(|account| (account.ident.inode, account.ident.id))
        .collect();
    let beneath = |account: &Account| {
        account.mptcp == 0 && account.ident.flags & IDENT_MPTCP != 0 && !is_above(account)
    };
    for account in accounts.iter_mut().filter(|account| beneath(account)) {
        account.mptcp = above.get(&account.ident.inode).copied().unwrap_or(0);
    }
}

/// The names of the cgroups and namespaces of these sockets.
fn places<'a>(accounts: impl Iterator<Item = &'a Kept>) -> Places {
    let ids: HashSet<u64> = accounts
        .map(|kept| cgroup_id(&kept.account.ident))
        .filter(|id| *id != 0)
        .collect();
    Places {
        cgroups: cgroups::paths(&ids).into_iter().collect(),
        namespaces: netns::names(),
    }
}

/// What a record changes.
struct Taken<'a> {
    replay: &'a mut Replay,
    ended: &'a mut u32,
    measuring: &'a mut HashSet<u64>,
}

impl Taken<'_> {
    /// Takes in a record, counts the ends of sockets, and hands it on.
    fn take(&mut self, record: &Record, each: &mut impl FnMut(&Record, &Replay)) {
        *self.ended += u32::from(is_end(record));
        if self.is_of_measuring(record) {
            return;
        }
        self.replay.apply(record);
        each(record, self.replay);
    }

    /// Whether it is about a connection that a skmem measures by.
    fn is_of_measuring(&mut self, record: &Record) -> bool {
        if let Record::Open(open) = record
            && open.ident.measures()
        {
            self.measuring.insert(open.ident.id);
            return true;
        }
        !self.measuring.is_empty() && self.measuring.contains(&record.socket())
    }
}

/// Whether a record tells that a socket's queues have ended, which is the last
/// of a socket.
fn is_end(record: &Record) -> bool {
    matches!(record, Record::Event(e) if e.header.hook == Hook::Purge as u8)
}

/// Closes the account of a socket that was destroyed, if the run that would
/// have done it was skipped: nothing is queued any more.
fn bury(account: &mut Account) {
    if account.ident.flags & IDENT_CLOSED != 0 {
        return;
    }
    account.ident.flags |= IDENT_CLOSED;
    let (ledger, now) = (&mut account.ledger, account.last_ns);
    let left = ledger.now.w;
    if left != 0 {
        ledger.book(Cause::Purge as u8, Tier::Inferred as u8, -left, now);
        account.last.wmem_queued = 0;
    }
}

/// A sysctl's number, where it can be read.
pub(super) fn limit(read: diag::Result<u64>) -> Option<u32> {
    u32::try_from(read.ok()?).ok()
}
