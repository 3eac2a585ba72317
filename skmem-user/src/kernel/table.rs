//! The table of accounts, mapped into this process: reading an account does not disturb the
//! programs that keep it, and costs no system call but where the table is large.

use std::{
    mem::MaybeUninit,
    os::fd::AsFd,
    ptr,
    sync::atomic::{Ordering, fence},
    time::{Duration, Instant},
};

use aya::maps::{MapData, Queue};
use skmem_common::{
    account::{Account, Blocked},
    record::IDENT_CLOSED,
    version::whole,
};

use super::{KernelError, Result, mapped::Mapped};

/// Accounts that there is room for where nobody says how many. A table of more is mapped part by
/// part: then each look at all of it takes a thousand instructions a page.
pub const SLOTS: u32 = 4096;

/// Time within which a hook finishes a change of an account, even where its CPU was taken away in
/// between.
pub const STABLE_READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The accounts of all traced sockets, by slot.
#[derive(Debug)]
pub struct Table {
    memory: Mapped,
    slots: u32,
}

/// What an account says of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// Where the account is.
    pub slot: u32,
    /// `sk_wmem_queued`, in bytes.
    pub queued: i32,
    /// How it is held up.
    pub blocked: Blocked,
}

/// A socket that is destroyed, or about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Where its account is.
    pub slot: u32,
    /// Its number.
    pub id: u64,
    /// Its queues' end was seen: nothing changes the account any more.
    pub closed: bool,
}

const STRIDE: usize = size_of::<Account>().next_multiple_of(8);

impl Table {
    /// Maps the table of `slots` accounts that `map` holds; `in_parts`: however small it is.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn new(map: &MapData, slots: u32, in_parts: bool) -> Result<Self> {
        let memory = map
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|map| {
                let whole = if in_parts { 0 } else { SLOTS };
                let [bytes, whole] = [slots, whole].map(|slots| STRIDE * slots as usize);
                Mapped::new(map, bytes, whole)
            })
            .map_err(|e| KernelError::Refused {
                what: "cannot map the table of accounts".into(),
                reason: e.to_string(),
            })?;
        Ok(Self { memory, slots })
    }

    /// How many sockets fit.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// The account in `slot`; None where the slot is free or does not exist, or
    /// where a hook was changing it for all of [`STABLE_READ_TIMEOUT`].
    #[must_use]
    pub fn read(&self, slot: u32) -> Option<Box<Account>> {
        let at = self.at(slot)?;
        let mut copy = Box::new(MaybeUninit::<Account>::uninit());
        let started = Instant::now();
        for attempt in 1_u32.. {
            let whole = whole(
                // SAFETY: `at` points to a whole account in the mapping.
                || unsafe { (&raw const (*at).version).read_volatile() },
                || fence(Ordering::Acquire),
                // SAFETY: as above; the account is plain numbers, so a torn
                // copy is a value, and is thrown away.
                || unsafe { ptr::copy_nonoverlapping(at, copy.as_mut_ptr(), 1) },
            );
            if whole.is_some() {
                break;
            }
            // Hooks change an account for microseconds at a time; but one that
            // was preempted needs the CPU to finish.
            if attempt.is_multiple_of(16) {
                if started.elapsed() > STABLE_READ_TIMEOUT {
                    return None;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        // SAFETY: written above: the loop was left behind a whole copy.
        let account = unsafe { copy.assume_init() };
        (account.ident.id != 0).then_some(account)
    }

    /// All accounts in use, with their slots.
    pub fn accounts(&self) -> impl Iterator<Item = Box<Account>> + '_ {
        (0..self.slots)
            .filter(|slot| self.in_use(*slot))
            .filter_map(|slot| self.read(slot))
    }

    /// What each account says of its sender; what a hook is changing may be torn. None of the
    /// accounts is copied: this is asked often.
    pub fn senders(&self) -> impl Iterator<Item = Sender> + '_ {
        (0..self.slots)
            .filter(|slot| self.in_use(*slot))
            .filter_map(|slot| {
                let at = self.at(slot)?;
                // SAFETY: `at` points to a whole account in the mapping; its numbers are plain.
                let (queued, blocked) = unsafe {
                    (
                        (&raw const (*at).ledger.now.w).read_volatile(),
                        (&raw const (*at).blocked).read_volatile(),
                    )
                };
                Some(Sender {
                    slot,
                    queued,
                    blocked,
                })
            })
    }

    /// The sockets that are destroyed, or about to be. None of their accounts
    /// is copied: this is asked often.
    pub fn ending(&self) -> impl Iterator<Item = Ending> + '_ {
        (0..self.slots).filter_map(|slot| {
            let at = self.at(slot)?;
            // SAFETY: `at` points to a whole account in the mapping.
            let (id, flags, closing) = unsafe {
                (
                    (&raw const (*at).ident.id).read_volatile(),
                    (&raw const (*at).ident.flags).read_volatile(),
                    (&raw const (*at).closing).read_volatile(),
                )
            };
            let closed = flags & IDENT_CLOSED != 0;
            (id != 0 && (closed || closing != 0)).then_some(Ending { slot, id, closed })
        })
    }

    /// Wipes the account of a socket that is gone and gives its slot back.
    ///
    /// # Errors
    /// Where the kernel refuses the slot.
    pub fn free(&self, slot: u32, free: &mut Queue<MapData, u32>) -> Result<()> {
        if let Some(at) = self.at(slot) {
            // SAFETY: the socket is gone and its slot not yet given back, so
            // no program writes here.
            unsafe { ptr::write_bytes(at, 0, 1) };
            free.push(&slot, 0).map_err(|e| KernelError::Refused {
                what: "cannot give a slot back".into(),
                reason: e.to_string(),
            })?;
        }
        Ok(())
    }

    fn in_use(&self, slot: u32) -> bool {
        // SAFETY: `at` points to a whole account in the mapping.
        self.at(slot)
            .is_some_and(|at| unsafe { (&raw const (*at).ident.id).read_volatile() } != 0)
    }

    /// Where an account is, until this is asked for another one.
    fn at(&self, slot: u32) -> Option<*mut Account> {
        let from = STRIDE * slot as usize;
        let at = (slot < self.slots).then(|| self.memory.at(from, STRIDE))??;
        // The mapping begins with a page, and `STRIDE` is a multiple of the alignment.
        Some(at.cast())
    }
}
