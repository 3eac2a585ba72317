//! Where looks come from: `sock_diag`, and as root the accounts that programs keep.

use std::{collections::HashSet, time::Duration};

use anyhow::{Result, bail};
use hashbrown::HashMap;
use skmem_common::{layout::Records, record::IDENT_COOKIE};

use super::super::ends::{ends, ends_of};
use super::{
    kept::Kept,
    live::{self, Detaching},
};
use crate::{
    explain::Verdict,
    kernel::{
        plan::Set,
        rights::{self, Rights},
        system,
    },
    selection::Selection,
    snapshot::{
        Row,
        capture::{Looker, Options},
    },
    top::{Booked, Books, Causes, Chosen, MachineSample, Message},
    trace::{Session, about},
};

/// What looking needs that tracing does not: others' descriptors, other network namespaces, and
/// what sock_diag shows to CAP_NET_ADMIN only.
fn looking() -> Rights {
    Rights::SYS_PTRACE | Rights::DAC_READ_SEARCH | Rights::SYS_ADMIN | Rights::NET_ADMIN
}

/// Sockets, and what put their bytes there.
pub(super) struct Source {
    looker: Looker,
    asked: Options,
    selection: Selection,
    causes: Result<Session, String>,
    /// With `--flight`.
    kept: Option<Kept>,
    /// The tracer's own numbers of sockets whose cookie it does not know (before 5.12), by cookie.
    ids: HashMap<u64, u64>,
}

impl Source {
    /// Attaches, where that is wanted and allowed.
    ///
    /// # Errors
    /// Where a filter names what does not exist; where `--flight` asks for records, and there can
    /// be none.
    pub async fn start(options: &super::Options, verbose: bool) -> Result<Self> {
        let (which, flight) = (&options.tracing, options.flight);
        let (selection, mut tracing) = which.options()?;
        let mut rights = looking();
        match flight {
            // The accounts are all that is wanted.
            None => tracing.records = Records::Transitions,
            // Exports may lie where root may not write without.
            Some(_) => rights |= Rights::DAC_OVERRIDE,
        }
        tracing.verbose = verbose;
        tracing.set = which.hooks.unwrap_or(Set::Lean);
        let mut kept = None;
        let causes = match options.no_causes {
            true => Err("--no-causes".to_owned()),
            false if !rights::may_trace() => {
                Err("that needs root, or CAP_BPF and CAP_PERFMON (sudo skmem top)".to_owned())
            }
            false => match live::start(&selection, &tracing).await {
                Ok(mut session) => {
                    session.use_host_root(&options.host_root.dir);
                    session.drop_rights(rights)?;
                    if let Some(keep) = flight {
                        let meta = about::meta(&session, &tracing, which.which.sockets.named());
                        kept = Some(Kept::start(&mut session, meta, keep)?);
                    }
                    Ok(session)
                }
                Err(error) => Err(format!("{error:#}")),
            },
        };
        if let (Err(why), Some(_)) = (&causes, flight) {
            bail!("--flight records calls, and none can be recorded: {why}");
        }
        Ok(Self {
            looker: Looker::default(),
            asked: Options {
                all_netns: rustix::process::geteuid().is_root(),
                owners: true,
                paths: true,
                brief: true,
                ..Options::default()
            },
            selection,
            causes,
            kept,
            ids: HashMap::new(),
        })
    }

    /// Looks.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub fn sample(&mut self) -> Result<MachineSample> {
        let mut captured = self.looker.look(self.asked)?;
        if !self.selection.is_all() {
            captured.rows.retain(|row| self.selection.holds(row));
        }
        let causes = match &self.causes {
            Ok(session) => {
                let (mut books, ids) = books(session, &captured.rows)?;
                books.kept = self.kept.as_ref().map(Kept::bytes);
                self.ids = ids;
                Causes::Kept(books)
            }
            Err(why) => Causes::Unknown(why.clone()),
        };
        Ok(MachineSample {
            at_ns: system::monotonic_ns(),
            captured,
            causes,
        })
    }

    /// What the account of a socket says now, as `skmem explain` has it.
    pub fn verdict(&self, cookie: u64) -> Option<Verdict> {
        self.causes.as_ref().ok()?.verdict_on(self.id(cookie))
    }

    /// The tracer's number of a socket.
    fn id(&self, cookie: u64) -> u64 {
        self.ids.get(&cookie).copied().unwrap_or(cookie)
    }

    /// Takes in what the programs tell; waits for ever where there are none. What there is to say
    /// of an export, where there is something.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub async fn step(&mut self) -> Result<Option<Message>> {
        match (&mut self.causes, &mut self.kept) {
            (Ok(session), Some(kept)) => kept.step(session).await,
            (Ok(session), None) => session.step(|_, _| {}).await.map(|()| None),
            (Err(_), _) => std::future::pending().await,
        }
    }

    /// Has the calls of some sockets written into a recording; [`Source::step`] says how that went.
    ///
    /// # Errors
    /// Where the kernel refuses its counters.
    pub fn export(&mut self, chosen: Chosen, keep: Duration) -> Result<()> {
        let sockets: HashSet<u64> = chosen.cookies.iter().map(|c| self.id(*c)).collect();
        match (&self.causes, &mut self.kept) {
            (Ok(session), Some(kept)) => kept.write(session, chosen, sockets, keep),
            _ => Ok(()),
        }
    }

    /// Waits until what was exported is written, says on stderr what there is to say of that, and
    /// of the session, and begins to detach the programs.
    ///
    /// # Errors
    /// Where the kernel refuses its counters.
    pub fn end(self) -> Result<Option<Detaching>> {
        let Ok(mut session) = self.causes else {
            return Ok(None);
        };
        live::say(&mut session);
        if let Some(kept) = self.kept {
            for said in kept.end(session.end("asked")?) {
                eprintln!("skmem: {}", said.text);
            }
        }
        Ok(Some(live::detach(session)))
    }
}

/// The accounts by cookie, and the numbers of those whose accounts know none.
fn books(session: &Session, rows: &[Row]) -> Result<(Books, HashMap<u64, u64>)> {
    let now = system::monotonic_ns();
    let totals = session.totals()?;
    let accounts = session.each_account(|account| (account.ident, Booked::of(account, now)));
    let (known, others): (Vec<_>, Vec<_>) = accounts
        .into_iter()
        .partition(|(ident, _)| ident.flags & IDENT_COOKIE != 0);
    let mut sockets: HashMap<u64, Booked> = known
        .into_iter()
        .map(|(ident, booked)| (ident.id, booked))
        .collect();
    let mut ids = HashMap::new();
    if !others.is_empty() {
        let by_ends: HashMap<_, u64> = rows.iter().map(|row| (ends(row), row.cookie)).collect();
        for (ident, booked) in others {
            if let Some(cookie) = ends_of(&ident).and_then(|ends| by_ends.get(&ends)) {
                ids.insert(*cookie, ident.id);
                sockets.insert(*cookie, booked);
            }
        }
    }
    let books = Books {
        sockets,
        lost: totals.all_lost(),
        skipped: session.skipped_runs(),
        no_slot: totals.no_slot,
        kept: None,
    };
    Ok((books, ids))
}
