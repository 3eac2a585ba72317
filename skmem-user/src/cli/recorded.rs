//! A recording as `plot` and `export` look at it: read twice, once to know
//! which sockets there are, once for what is asked.

use std::{collections::HashMap, fs::File, io::BufReader};

use anyhow::{Context as _, Result, anyhow, bail};
use skmem_common::{account::Account, record::IDENT_CLOSED};

use super::{
    Usage,
    excerpt::Excerpt,
    socket_name::{self, SocketFacts, SocketName},
};
use crate::{
    explain::{Source, Verdict},
    model::{
        end::{End, SavedAccount, Totals},
        replay::Replay,
        survey::{self, Survey},
    },
    recording::{Accounts, Item, Meta, Recording, Role, choice::began},
    render::export::Opening,
};

/// A recording that was read once.
pub struct Recorded {
    source: Excerpt,
    pub meta: Meta,
    pub survey: Survey,
    pub end: Option<End>,
    /// The accounts in `end` of open sockets are replayed.
    early: bool,
    /// Of sockets that are older than this file: what their accounts held when
    /// it began.
    opening: HashMap<u64, Opening>,
    /// Places of accounts in `end`: open ones first.
    accounts: HashMap<u64, usize>,
    /// What of it is missing.
    pub shortcoming: Option<String>,
}

impl Recorded {
    /// Reads it.
    ///
    /// # Errors
    /// Where the file is not a recording, or holds no event.
    pub fn read(source: Excerpt) -> Result<Self> {
        let recorded = Self::looked_at(source)?;
        if let Some(text) = &recorded.shortcoming {
            super::tell(&format!("{} {text}", recorded.source.path().display()));
        }
        recorded.or_nothing()
    }

    /// One socket of it, as a part of the recording.
    ///
    /// # Errors
    /// Where the file cannot be read again.
    pub fn only(&self, id: u64) -> Result<Self> {
        Self::looked_at(self.source.only(id)?)?.or_nothing()
    }

    fn looked_at(source: Excerpt) -> Result<Self> {
        let mut survey = Survey::default();
        let mut recording = open(&source)?;
        for (tid, comm) in recording.meta().selected.iter().flat_map(|s| &s.threads) {
            survey.name(*tid, comm);
        }
        let mut opening = HashMap::new();
        recording.skim();
        while let Some(item) = recording.next_item() {
            match item {
                Item::Record(record) => survey.feed(&record),
                Item::Accounts(accounts) => {
                    if survey.span().is_none() && accounts.role == Role::Checkpoint {
                        take_opening(&mut opening, &accounts);
                    }
                    accounts.accounts.iter().for_each(|k| {
                        survey.account(&k.account.ident, k.account.ledger.worst_excess);
                    });
                }
            }
        }
        let shortcoming = recording.shortcoming();
        let end = recording.end();
        let accounts = end.iter().flat_map(kept);
        let accounts = accounts.enumerate().map(|(n, k)| (k.account.ident.id, n));
        Ok(Self {
            source,
            meta: recording.meta().clone(),
            accounts: accounts.collect(),
            early: recording.ends_early(),
            end,
            opening,
            survey,
            shortcoming,
        })
    }

    /// Itself, where it holds an event.
    fn or_nothing(self) -> Result<Self> {
        if self.survey.span().is_none() {
            let name = self.source.path().display();
            match self.shortcoming {
                Some(_) => bail!("{name} holds no event"),
                None if self.is_part() => bail!(
                    "{name} holds no event of that: no call touched those sockets in that time (`skmem report` explains \
                     their accounts)"
                ),
                None => bail!(
                    "{name} holds no event: nothing that its filters matched happened while it was made"
                ),
            }
        }
        Ok(self)
    }

    /// Reads it again: all of its records, and the accounts between them.
    ///
    /// # Errors
    /// Where it cannot be opened, or `each` fails.
    pub fn again(&self, mut each: impl FnMut(Item) -> Result<()>) -> Result<()> {
        let mut recording = self.open()?;
        while let Some(item) = recording.next_item() {
            each(item)?;
        }
        // What was skimmed over the first time.
        if self.shortcoming.is_none()
            && let Some(text) = recording.shortcoming()
        {
            super::tell(&format!("{} {text}", self.source.path().display()));
        }
        Ok(())
    }

    /// Opens it once more.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(&self) -> Result<Recording<BufReader<File>>> {
        open(&self.source)
    }

    /// What of which file is read.
    #[must_use]
    pub fn source(&self) -> &Excerpt {
        &self.source
    }

    /// Whether it is a part of a recording.
    #[must_use]
    pub fn is_part(&self) -> bool {
        !self.meta.selected.is_empty()
    }

    /// First and last instant, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        let (from, to) = self.survey.span().unwrap_or_default();
        let end = self.end.as_ref().map_or(to, |e| e.totals.now_ns);
        (
            began(self.meta.clock, self.meta.flight_ns, from),
            to.max(end),
        )
    }

    /// What the socket's account held when the file began: nothing of one that is
    /// younger.
    #[must_use]
    pub fn opening(&self, id: u64) -> Opening {
        self.opening.get(&id).copied().unwrap_or_default()
    }

    /// The socket that `wanted` names, or the one with the worst excess.
    ///
    /// # Errors
    /// Where there is none, or more than one.
    pub fn choose(&self, wanted: Option<&str>) -> Result<u64> {
        let all = self.survey.worst_first();
        let Some(wanted) = wanted else {
            let worst = all.first().context("the recording is of no socket")?;
            return Ok(worst.0);
        };
        let known: Vec<SocketFacts> = all
            .iter()
            .map(|(id, socket)| SocketFacts::of_ident(*id, socket.ident.as_ref()))
            .collect();
        let wanted: SocketName = wanted.parse().map_err(|e: String| Usage(anyhow!(e)))?;
        let place = socket_name::one(
            Some(&wanted),
            &known,
            &self.source.path().display().to_string(),
        )?;
        Ok(known[place].id)
    }

    /// The verdict on a socket: on the kernel's own account where the
    /// recording holds it, else on what its records say.
    ///
    /// # Errors
    /// Where the recording cannot be read again.
    pub fn verdict(&self, id: u64) -> Result<Verdict> {
        if let Some((end, kept)) = self.kept(id) {
            return Ok(self.judged(end, kept));
        }
        let mut replay = Replay::bounded(1);
        self.again(|item| {
            match item {
                Item::Record(record) if survey::id(&record) == id => replay.apply(&record),
                Item::Record(_) => {}
                Item::Accounts(accounts) => accounts
                    .accounts
                    .iter()
                    .filter(|k| k.account.ident.id == id)
                    .for_each(|k| replay.checkpoint(&k.account)),
            }
            Ok(())
        })?;
        let socket = replay
            .socket(id)
            .context("the recording has no such socket")?;
        Ok(self.replayed(id, &socket.account(id)))
    }

    /// The kernel's last account of a socket, where the recording holds it.
    #[must_use]
    pub fn kept(&self, id: u64) -> Option<(&End, &SavedAccount)> {
        let (end, n) = (self.end.as_ref()?, *self.accounts.get(&id)?);
        let closed = n.wrapping_sub(end.open.len());
        Some((end, end.open.get(n).or_else(|| end.closed.get(closed))?))
    }

    /// Sockets of which it holds the kernel's last account.
    pub fn kept_ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.accounts.keys().copied()
    }

    /// The verdict on such an account.
    #[must_use]
    pub fn judged(&self, end: &End, kept: &SavedAccount) -> Verdict {
        let closed = kept.account.ident.flags & IDENT_CLOSED != 0;
        let source = match self.early && !closed {
            true => Source::Records { missing: None },
            false => Source::Kernel,
        };
        end.totals.verdict(kept, &self.meta.kernel, false, source)
    }

    /// The verdict on an account that was replayed from records.
    #[must_use]
    pub fn replayed(&self, id: u64, account: &Account) -> Verdict {
        let begins = self.survey.socket(id).is_some_and(|s| {
            s.ident
                .is_some_and(|i| i.seen_ns >= self.survey.span().unwrap_or_default().0)
        });
        let missing = (!begins).then_some("the recording begins after the socket was first seen");
        let kept = SavedAccount {
            account: Box::new(*account),
            stream_agrees: None,
            sleepers: Vec::new(),
        };
        let totals = self.end.as_ref().map_or_else(
            || Totals {
                now_ns: self.span().1,
                wall_ns: self.meta.clock.wall_ns(self.span().1),
                ..Totals::default()
            },
            |end| end.totals.clone(),
        );
        totals.verdict(&kept, &self.meta.kernel, false, Source::Records { missing })
    }
}

/// Sockets with an opening account that are kept: a file may claim any number.
const MOST_OPENINGS: usize = 1 << 20;

fn take_opening(opening: &mut HashMap<u64, Opening>, accounts: &Accounts) {
    for kept in &accounts.accounts {
        if opening.len() < MOST_OPENINGS {
            let of = Opening::of(&kept.account.blocked, accounts.now_ns);
            opening.entry(kept.account.ident.id).or_insert(of);
        }
    }
}

/// All accounts of an end, in the order of [`Recorded::kept`]'s places.
fn kept(end: &End) -> impl Iterator<Item = &SavedAccount> {
    end.open.iter().chain(&end.closed)
}

fn open(source: &Excerpt) -> Result<Recording<BufReader<File>>> {
    let opened = source.open();
    opened.with_context(|| format!("{}", source.path().display()))
}

#[cfg(test)]
pub(super) mod tests;
