//! The result of a recording: the accounts in its last block, or without one,
//! what replay of its records gives.

use std::io::Read;

use super::{Damage, FormatError, Item, Recording, Role};
use crate::{
    explain::Source,
    model::{
        end::{End, SavedAccount, Totals},
        replay::Replay,
    },
};

/// Most sockets that are followed at the same time.
const MOST_SOCKETS: u32 = 64 << 10;

/// What is missing from the account of a recording without an end.
pub const NO_END: &str = "the recording has no end (skmem was killed, the disk was full, or the file \
    was cut): this follows from its records alone, and what came after the last of them is missing";

/// What is missing from an account of a recording that is damaged before its
/// end.
pub const DAMAGED: &str =
    "the recording is damaged: this follows from the records before that alone";

/// The result of a recording.
#[derive(Debug)]
pub struct Outcome {
    /// The accounts, and what was counted.
    pub end: End,
    /// None: the accounts are the kernel's; else what is missing from them.
    pub missing: Option<&'static str>,
    /// The accounts of open sockets are replayed, for the end is earlier than the recording's.
    pub early: bool,
    /// Sockets that found no room in memory.
    pub omitted: u64,
}

impl Outcome {
    /// For [`End::verdicts`].
    #[must_use]
    pub fn source(&self) -> Source<'static> {
        match self.missing {
            None if !self.early => Source::Kernel,
            missing => Source::Records { missing },
        }
    }
}

/// A recording's sockets at some time.
#[derive(Debug)]
pub struct Playback {
    replay: Replay,
    /// Time of the last thing taken in, in ns of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
}

impl Playback {
    /// Nothing yet; `max_sockets` is what the recording's [`super::Meta`] says.
    #[must_use]
    pub fn new(max_sockets: u32) -> Self {
        Self {
            replay: Replay::bounded(max_sockets.clamp(1, MOST_SOCKETS) as usize),
            now_ns: 0,
        }
    }

    /// Takes in the recording's next item.
    pub fn take(&mut self, item: &Item) {
        match item {
            Item::Record(record) => {
                self.now_ns = self.now_ns.max(record.time_ns());
                self.replay.apply(record);
            }
            Item::Accounts(accounts) => {
                self.now_ns = self.now_ns.max(accounts.now_ns);
                for kept in &accounts.accounts {
                    match accounts.role {
                        Role::Checkpoint | Role::Final => self.replay.checkpoint(&kept.account),
                        Role::Closed => self.replay.forget(kept.account.ident.id),
                    }
                }
            }
        }
    }

    /// The sockets' ledgers.
    #[must_use]
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// The accounts of all sockets, in order of their numbers.
    #[must_use]
    pub fn accounts(&self) -> Vec<SavedAccount> {
        let mut kept: Vec<SavedAccount> = self
            .replay
            .sockets()
            .map(|(id, socket)| SavedAccount {
                account: socket.account(id),
                stream_agrees: None,
                sleepers: socket.sleepers(),
            })
            .collect();
        kept.sort_by_key(|k| k.account.ident.id);
        kept
    }
}

/// Reads a recording to its end. `open` opens it, and is asked again where the
/// kernel's accounts turn out to be missing, and the records are needed.
///
/// # Errors
/// Those of `open`.
pub fn outcome<R: Read, E>(
    mut open: impl FnMut() -> Result<Recording<R>, E>,
) -> Result<(Outcome, Recording<R>), E> {
    let mut recording = open()?;
    recording.accounts_only();
    while recording.next_item().is_some() {}
    if let Some(end) = recording.end() {
        let omitted = recording.open_at_end().omitted();
        let outcome = Outcome {
            end,
            missing: None,
            early: recording.ends_early(),
            omitted,
        };
        return Ok((outcome, recording));
    }
    let mut recording = open()?;
    let mut player = Playback::new(recording.meta().max_sockets);
    while let Some(item) = recording.next_item() {
        player.take(&item);
    }
    let meta = recording.meta();
    let open_sockets = player.accounts();
    let outcome = Outcome {
        end: End {
            totals: Totals {
                now_ns: player.now_ns,
                wall_ns: meta.clock.wall_ns(player.now_ns),
                records: recording.read(),
                sockets: open_sockets.len() as u64
                    + player.replay.omitted()
                    + recording.closed().count,
                wmem_max: meta.wmem_max,
                notsent_lowat: meta.notsent_lowat,
                ..Totals::default()
            },
            open: open_sockets,
            closed: recording.closed().list(),
        },
        missing: Some(match recording.damage() {
            // Killed within a write.
            None
            | Some(Damage {
                why: FormatError::Short,
                ..
            }) => NO_END,
            Some(_) => DAMAGED,
        }),
        early: false,
        omitted: player.replay.omitted(),
    };
    Ok((outcome, recording))
}
