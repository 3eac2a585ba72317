//! Where the metrics come from: `sock_diag`, and with rights the accounts that programs keep.

use std::{collections, fs, path::Path, sync::Arc};

use anyhow::{Result, bail};
use hashbrown::{HashMap, HashSet};
use rustix::time::{ClockId, clock_gettime};
use skmem_common::record::{IDENT_COOKIE, Ident};
use tokio::sync::oneshot;

use super::{
    super::{
        ends::{Ends, ends, ends_of},
        live,
        tracing_args::{SMALL_RING, TracingArgs},
    },
    flight::{BlackBox, FlightArgs},
    tripwire::Tripwire,
};
use crate::{
    diag::{cgroups, owners::command_name},
    explain::Verdict,
    kernel::{
        plan::Set,
        rights::{self, Rights},
        system,
    },
    model::places::cgroup_id,
    render::{self, Style},
    selection::Selection,
    serve::{
        book::Book,
        drawn,
        families::{self, FIXED, Machine, Process, families},
        flight::Files,
        owner_labels::{Names, OwnerLabels},
        pages::{Form, Page},
        published::Published,
    },
    snapshot::{
        Row,
        capture::{Captured, Looker, Options},
        row::Owner,
    },
    trace::{Session, about, accounts_alone, older, take_all},
};

/// What looking needs that tracing does not: others' descriptors, other network namespaces, what
/// sock_diag shows to CAP_NET_ADMIN only.
fn looking() -> Rights {
    Rights::SYS_PTRACE | Rights::DAC_READ_SEARCH | Rights::SYS_ADMIN | Rights::NET_ADMIN
}

/// Paths of cgroups that are remembered; with more, all are looked up again.
const MOST_CGROUPS: usize = 20_000;

/// What is traced, and what becomes of it.
pub(super) struct How<'a> {
    pub which: &'a TracingArgs,
    /// The black box, and its files where there is to be one.
    pub flight: (&'a FlightArgs, Option<Files>),
    pub tripwire: Option<Tripwire>,
    /// Root directory of the machine.
    pub host_root: &'a Path,
    pub verbose: bool,
}

/// Sockets, and what put their bytes there.
pub(super) struct Source {
    looker: Looker,
    asked: Options,
    selection: Selection,
    causes: Result<Session, String>,
    /// With `--flight`.
    flight: Option<BlackBox>,
    /// With `--tripwire`.
    tripwire: Option<Tripwire>,
    names: Names,
    book: Book,
    most_series: usize,
    failed: u64,
    started: f64,
    /// Paths of cgroups by id; None: there is no such cgroup any more.
    cgroups: HashMap<u64, Option<String>>,
    /// Whose the sockets of the last look are, by cookie.
    sockets: HashMap<u64, Arc<OwnerLabels>>,
    /// Commands of the processes that held sockets in the last look.
    commands: HashMap<u32, Box<str>>,
    /// The tracer's own numbers of sockets whose cookie it does not know, by cookie.
    ids: HashMap<u64, u64>,
}

impl Source {
    /// Attaches, where that is allowed, and gives up all rights that looking does not need; `also`
    /// are kept.
    ///
    /// # Errors
    /// Where a filter names what does not exist; where a black box is wanted, and nothing can be
    /// recorded.
    pub async fn start(
        how: How<'_>,
        names: Names,
        most_series: usize,
        also: Rights,
    ) -> Result<Self> {
        let How {
            which,
            flight: (args, files),
            mut tripwire,
            host_root,
            verbose,
        } = how;
        let (selection, mut tracing) = which.options()?;
        match files.is_some() {
            true => take_all(&mut tracing),
            false => {
                accounts_alone(&mut tracing);
                tracing.ring_bytes = which.ring.unwrap_or(SMALL_RING);
            }
        }
        tracing.set = which.hooks.unwrap_or(Set::Lean);
        tracing.verbose = verbose;
        tracing.tripwire = tripwire.is_some();
        let mut flight = None;
        let causes = match rights::may_trace() {
            false => Err("causes need root, or CAP_BPF and CAP_PERFMON".to_owned()),
            true => match live::attach(&tracing).await {
                Ok(mut session) => {
                    session.use_host_root(host_root);
                    session.keep_closed();
                    session.keep_sleepers_only();
                    match &mut tripwire {
                        Some(tripwire) => tripwire.start(&mut session, &selection)?,
                        None => live::adopt(&mut session, older(&selection)),
                    }
                    session.drop_rights(looking() | also)?;
                    if let Some(files) = files.clone() {
                        let meta = about::meta(&session, &tracing, which.which.sockets.named());
                        flight = Some(BlackBox::start(&mut session, meta, args, files)?);
                    }
                    Ok(session)
                }
                Err(error) => Err(format!("{error:#}")),
            },
        };
        if let (Err(why), Some(_)) = (&causes, &files) {
            bail!("--flight records calls, and none can be recorded: {why}");
        }
        if causes.is_err() {
            rights::keep_only(looking() | also)?;
        }
        let all_netns = rights::held().is_ok_and(|held| held.contains(Rights::SYS_ADMIN));
        Ok(Self {
            looker: Looker::default(),
            asked: Options {
                all_netns,
                owners: true,
                brief: true,
                ..Options::default()
            },
            selection,
            causes,
            flight,
            tripwire,
            names,
            book: Book::new(most_series, FIXED),
            most_series,
            failed: 0,
            started: system::wall_ns() as f64 / 1e9,
            cgroups: HashMap::new(),
            sockets: HashMap::new(),
            commands: HashMap::new(),
            ids: HashMap::new(),
        })
    }

    /// Why there are no causes; None: there are.
    pub fn without_causes(&self) -> Option<&str> {
        self.causes.as_ref().err().map(String::as_str)
    }

    /// Looks, and counts.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub fn look(&mut self) -> Result<Published> {
        let looked = self
            .looker
            .look(self.asked)
            .inspect_err(|_| self.failed += 1);
        let mut captured = looked?;
        if !self.selection.is_all() {
            captured.rows.retain(|row| self.selection.holds(row));
        }
        self.names.refresh();
        if self.cgroups.len() > MOST_CGROUPS {
            self.cgroups.clear();
        }
        self.book.begin();
        self.rows(&captured.rows);
        let tracing = self.accounts(&captured)?;
        let machine = Machine {
            kernel: captured.kernel.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            account: Some(captured.account.clone()),
            tracing,
            took_ns: captured.took_ns,
            realtime_ns: captured.realtime_ns,
            most_series: self.most_series as u64,
            failed: self.failed,
            flight: self.flight.as_ref().map(BlackBox::counted),
            tripwire: self.tripwire.as_ref().map(Tripwire::counted),
            process: process(self.started),
        };
        Ok(Published::new(families(&self.book, &machine), captured))
    }

    fn rows(&mut self, rows: &[Row]) {
        self.sockets.clear();
        self.commands.clear();
        for row in rows {
            let who = self.names.of_row(row);
            self.book.row(row, &who);
            // Not each look knows who holds it; its account knows who used it first.
            if !matches!(row.owner, Owner::NotAsked | Owner::NotFound) {
                self.sockets.insert(row.cookie, who);
            }
            for holder in &row.holders {
                let command = self.commands.entry(holder.pid);
                command.or_insert_with(|| holder.comm.clone());
            }
        }
    }

    fn accounts(&mut self, captured: &Captured) -> Result<Option<families::Tracing>> {
        let causes = std::mem::replace(&mut self.causes, Err(String::new()));
        let tracing = match &causes {
            Ok(session) => Some(self.accounts_of(session, &captured.rows)?),
            Err(_) => {
                self.book.end(|_| false);
                None
            }
        };
        self.causes = causes;
        Ok(tracing)
    }

    fn accounts_of(&mut self, session: &Session, rows: &[Row]) -> Result<families::Tracing> {
        let now = system::monotonic_ns();
        self.ids.clear();
        let mut by_ends: Option<HashMap<Ends, u64>> = None;
        let mut open = HashSet::new();
        // Slots and cookies of sockets in cgroups that are not known yet: their names are looked up
        // for all at once. There may be many: their accounts are not kept until then.
        let mut strangers: Vec<(u32, u64)> = Vec::new();
        let mut unknown = collections::HashSet::new();
        session.each_account(|account| {
            let ident = &account.ident;
            open.insert(ident.id);
            let mut cookie = ident.id;
            if ident.flags & IDENT_COOKIE == 0 {
                let by_ends = by_ends
                    .get_or_insert_with(|| rows.iter().map(|r| (ends(r), r.cookie)).collect());
                if let Some(found) = ends_of(ident).and_then(|ends| by_ends.get(&ends)) {
                    cookie = *found;
                    self.ids.insert(cookie, ident.id);
                }
            }
            if self.is_stranger(ident, cookie) {
                strangers.push((account.slot, cookie));
                unknown.insert(cgroup_id(ident));
                return;
            }
            let who = self.who(ident, cookie);
            self.book.account(account, &who, now);
        });
        self.learn_cgroups(&unknown);
        for (slot, cookie) in strangers {
            // One that has ended meanwhile is booked when it is collected.
            if let Some(account) = session.account_in(slot) {
                let who = self.who(&account.ident, cookie);
                self.book.account(&account, &who, now);
            }
        }
        self.book.end(|id| open.contains(&id));
        let totals = session.totals()?;
        Ok(families::Tracing {
            lost: totals.all_lost(),
            skipped: session.skipped_runs(),
            no_slot: totals.no_slot,
            accounts: open.len() as u64,
            slots: session.tracer().table().slots().into(),
        })
    }

    /// Whether nothing is known yet of whose a socket is.
    fn is_stranger(&self, ident: &Ident, cookie: u64) -> bool {
        let cgroup = cgroup_id(ident);
        !self.sockets.contains_key(&cookie) && cgroup != 0 && !self.cgroups.contains_key(&cgroup)
    }

    /// Whose a socket is: as in the last look, else by what its account knows.
    fn who(&mut self, ident: &Ident, cookie: u64) -> Arc<OwnerLabels> {
        if let Some(who) = self.sockets.get(&cookie) {
            return Arc::clone(who);
        }
        let path = self.cgroups.get(&cgroup_id(ident)).cloned().flatten();
        // The account knows the name of the thread that used it first; a process is known by
        // another where its threads have names of their own.
        let command = match ident.pid {
            0 => Box::from("(unknown)"),
            pid => self
                .commands
                .entry(pid)
                .or_insert_with(|| match &*command_name(pid) {
                    "" => render::comm(&ident.comm).into(),
                    name => name.into(),
                })
                .clone(),
        };
        self.names.of(path.as_deref(), &command)
    }

    /// Looks up the paths of these cgroups.
    fn learn_cgroups(&mut self, new: &collections::HashSet<u64>) {
        let mut paths = cgroups::paths(new);
        self.cgroups
            .extend(new.iter().map(|id| (*id, paths.remove(id))));
    }

    /// Takes in what the programs tell, and what ended; waits for ever where there are none.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub async fn step(&mut self) -> Result<()> {
        let Ok(session) = &mut self.causes else {
            return std::future::pending().await;
        };
        let closed = match &mut self.flight {
            Some(flight) => flight.step(session).await?,
            None => {
                session.step(|_, _| {}).await?;
                session.take_closed()
            }
        };
        if let Some(tripwire) = &mut self.tripwire {
            tripwire.watch(session, &self.selection)?;
        }
        if closed.is_empty() {
            return Ok(());
        }
        let now = system::monotonic_ns();
        let ids = closed.iter().map(|kept| cgroup_id(&kept.account.ident));
        let unknown = ids.filter(|id| *id != 0 && !self.cgroups.contains_key(id));
        self.learn_cgroups(&unknown.collect());
        for kept in closed {
            let ident = kept.account.ident;
            let who = self.who(&ident, ident.id);
            self.book.ended(&kept.account, &who, now);
            self.sockets.remove(&ident.id);
        }
        Ok(())
    }

    /// Replies with what `skmem explain` says of a socket, with `now` what `--at-end` makes it say.
    pub fn explain(
        &mut self,
        cookie: u64,
        form: Form,
        now: bool,
        reply: oneshot::Sender<Result<String, Page>>,
    ) {
        if self.may_be_unnamed(cookie) {
            // Which account it has, the next look would say. What else that finds is not lost.
            let _ = self.look();
        }
        let answer = match (self.verdict(cookie, now), form) {
            (Err(page), _) => Err(page),
            (Ok(verdict), Form::Text) => Ok(render::text(&verdict, &Style::PLAIN)),
            (Ok(verdict), Form::Json) => {
                render::json(&verdict).map_err(|e| Page::error(500, &e.to_string()))
            }
            (Ok(verdict), Form::Html) => match (&self.causes, &mut self.flight) {
                (Ok(session), Some(flight)) => return flight.draw(session, verdict, reply),
                _ => Ok(drawn::text(&verdict, drawn::NO_FLIGHT)),
            },
        };
        // Who asked may have gone.
        let _ = reply.send(answer);
    }

    /// Whether a socket may have an account under a number of the tracer's own, which no look has
    /// seen yet.
    fn may_be_unnamed(&self, cookie: u64) -> bool {
        let Ok(session) = &self.causes else {
            return false;
        };
        let (mut known, mut unnamed) = (self.ids.contains_key(&cookie), false);
        session.each_account(|account| {
            let named = account.ident.flags & IDENT_COOKIE != 0;
            known |= named && account.ident.id == cookie;
            unnamed |= !named;
        });
        unnamed && !known
    }

    fn verdict(&self, cookie: u64, now: bool) -> Result<Verdict, Page> {
        let causes = self.causes.as_ref();
        let session = causes.map_err(|why| Page::error(404, why))?;
        let id = self.ids.get(&cookie).copied().unwrap_or(cookie);
        session.verdict_at(id, now).ok_or_else(|| {
            let text = format!(
                "no open socket with the cookie {cookie} has an account: /sockets.json lists sockets"
            );
            Page::error(404, &text)
        })
    }

    /// What the session and the black box had to say since this was last asked.
    pub fn take_notes(&mut self) -> Vec<String> {
        let mut notes = match &mut self.causes {
            Ok(session) => session.take_notes(),
            Err(_) => Vec::new(),
        };
        if let Some(flight) = &mut self.flight {
            notes.extend(flight.take_notes());
        }
        notes
    }

    /// Waits until what the black box was asked for is written; what there is to say of it.
    ///
    /// # Errors
    /// Where the kernel refuses its counters.
    pub fn end(self) -> Result<Vec<String>> {
        match (&self.causes, self.flight) {
            (Ok(session), Some(flight)) => {
                Ok(flight.end(session.end_of("asked", &collections::HashSet::new())?))
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// What skmem itself takes.
fn process(started: f64) -> Process {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    let fds = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Process {
        cpu_ns: (cpu.tv_sec as u64) * 1_000_000_000 + cpu.tv_nsec as u64,
        resident: pages.unwrap_or(0) * rustix::param::page_size() as u64,
        // That of the directory itself.
        fds: (fds as u64).saturating_sub(1),
        started,
    }
}
