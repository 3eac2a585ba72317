//! The account proper: sums per cause that always add up.
//!
//! Every change of `sk_wmem_queued` enters through [`Ledger::book`], every
//! change of `sk_sndbuf` through [`Ledger::limit`], every skb that passed the
//! send path's one test through [`Ledger::admit`]. So at any time, as
//! integers:
//!
//! ```text
//! w           == sum of total[..].bytes
//! w - sndbuf  == (admission.w - admission.sndbuf)
//!              + (admission.sndbuf - sndbuf)
//!              + sum of since[..].bytes
//! ```
//!
//! whatever was lost, skipped or misnamed in between.

use crate::{
    cause::{CAUSES, Cause, LimitCause, Tier},
    record::View,
};

/// Limit moves kept in the account; more are counted.
pub const MOVES: usize = 8;

/// Everything ever booked under one cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Total {
    /// Bytes of `sk_wmem_queued`; frees are negative.
    pub bytes: i64,
    /// The part of `bytes` that was inferred from the fields.
    pub inferred: i64,
    /// How many times.
    pub count: u64,
}

/// What was booked under one cause since the last admission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Since {
    /// When the first of it was booked, in ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
    /// Bytes of `sk_wmem_queued`; frees are negative.
    pub bytes: i32,
    /// The part of `bytes` that was inferred from the fields.
    pub inferred: i32,
    /// How many times.
    pub count: u32,
    /// Always 0.
    pub reserved: u32,
}

/// The last time that a new skb passed `sk_stream_memory_free`; before the
/// first one, the moment at which skmem saw the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Admission {
    /// ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// `sk_wmem_queued` before the skb was queued, in bytes.
    pub w: i32,
    /// `sk_sndbuf` that it was tested against, in bytes.
    pub sndbuf: i32,
    /// How many there have been; 0: none, these are the fields when skmem first saw the socket.
    pub count: u64,
}

/// One change of `sk_sndbuf`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LimitMove {
    /// ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// `sk_sndbuf` before, in bytes.
    pub from: i32,
    /// `sk_sndbuf` after, in bytes.
    pub to: i32,
    /// A [`LimitCause`].
    pub cause: u8,
    /// A [`Tier`].
    pub tier: u8,
    /// Always 0.
    pub reserved: [u8; 6],
}

/// The account at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Balance {
    /// `sk_wmem_queued`, in bytes.
    pub w: i32,
    /// `sk_sndbuf`, in bytes.
    pub sndbuf: i32,
    /// Bit n: `since[n]` holds something; a clear bit means zero, whatever
    /// the slot says (so that an admission need not wipe the slots).
    pub since_mask: u32,
    /// Always 0.
    pub reserved: u32,
    /// The last admission.
    pub admission: Admission,
    /// Sums since skmem first saw the socket.
    pub total: [Total; CAUSES],
    /// Sums since the last admission.
    pub since: [Since; CAUSES],
}

/// One socket's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ledger {
    /// As of the last booking.
    pub now: Balance,
    /// As of the worst excess over the limit, unless `at_peak`.
    pub worst: Balance,
    /// The other fields at the worst excess.
    pub worst_view: View,
    /// When that was, in ns of `CLOCK_MONOTONIC`; 0: never over the limit.
    pub worst_ns: u64,
    /// The worst `w - sndbuf` so far, in bytes; 0: never over the limit. That
    /// of `worst` may be less: see [`Ledger::admit`].
    pub worst_excess: i32,
    /// 1: the worst excess is now, and `worst` is not filled in yet. It is
    /// copied when the excess first falls, not at each step up.
    pub at_peak: u32,
    /// The most recent limit moves, slot `n % MOVES` for the n-th.
    pub moves: [LimitMove; MOVES],
    /// How many limit moves there were.
    pub move_count: u32,
    /// 1: `worst_view` is to be filled in by the caller, who knows the fields.
    pub view_wanted: u32,
    /// An instant that is further over the limit than this, in bytes, becomes
    /// the worst.
    pub bar: i32,
    /// Always 0.
    pub reserved: u32,
}

impl Balance {
    /// `w - sndbuf`: over the limit where positive.
    #[must_use]
    pub const fn excess(&self) -> i32 {
        self.w.wrapping_sub(self.sndbuf)
    }

    /// What was booked under `cause` since the last admission, if anything.
    #[must_use]
    pub fn since(&self, cause: Cause) -> Option<&Since> {
        let n = cause as usize & (CAUSES - 1);
        (self.since_mask & (1 << n) != 0).then(|| &self.since[n])
    }

    /// Everything booked under `cause`.
    #[must_use]
    pub fn total(&self, cause: Cause) -> &Total {
        &self.total[cause as usize & (CAUSES - 1)]
    }
}

impl Ledger {
    /// Starts the account of a socket that is first seen now; `self` must be all zeroes.
    #[inline(always)]
    pub fn start(&mut self, w: i32, sndbuf: i32, now: u64) {
        self.now.sndbuf = sndbuf;
        self.now.admission = Admission {
            at_ns: now,
            w,
            sndbuf,
            count: 0,
        };
        self.now.w = w;
        if w != 0 {
            let cell = &mut self.now.total[Cause::PreExisting as usize];
            cell.bytes = i64::from(w);
            cell.count = 1;
        }
        self.raise(now);
    }

    /// Books `bytes` of `sk_wmem_queued` under the [`Cause`] with number
    /// `cause`, named in the [`Tier`] with number `tier`.
    ///
    /// A subprogram of its own in the kernel, and so returns a number (how often
    /// that cause was booked): the verifier refuses one that happens to leave a
    /// pointer to the stack where a result would be.
    #[inline(never)]
    pub fn book(&mut self, cause: u8, tier: u8, bytes: i32, now: u64) -> u64 {
        if bytes < 0 && self.at_peak != 0 {
            core::hint::black_box(self.keep_worst());
        }
        // The compiler may know that causes fit and drop the mask; the
        // verifier does not know, and wants it.
        let n = core::hint::black_box(cause as usize) & (CAUSES - 1);
        // The number of a tier is whether it is inferred; a branch would double
        // what the verifier walks.
        let inferred = bytes.wrapping_mul(i32::from(tier & 1));
        let total = &mut self.now.total[n];
        total.bytes += i64::from(bytes);
        total.inferred += i64::from(inferred);
        total.count += 1;
        let count = total.count;
        let bit = 1u32 << n;
        let since = &mut self.now.since[n];
        if self.now.since_mask & bit == 0 {
            self.now.since_mask |= bit;
            *since = Since {
                first_ns: now,
                bytes,
                inferred,
                count: 1,
                reserved: 0,
            };
        } else {
            since.bytes = since.bytes.wrapping_add(bytes);
            since.inferred = since.inferred.wrapping_add(inferred);
            since.count = since.count.wrapping_add(1);
        }
        self.now.w = self.now.w.wrapping_add(bytes);
        if bytes > 0 {
            self.raise(now);
        }
        count
    }

    /// Books what was seen, without the worst instant: for a change of several parts, after which
    /// [`Ledger::settle`] is called, once the first of them has asked [`Ledger::may_fall`] where
    /// it is negative.
    #[inline(always)]
    pub(crate) fn add(&mut self, cause: u8, bytes: i32, now: impl Fn() -> u64) {
        let n = core::hint::black_box(cause as usize) & (CAUSES - 1);
        let total = &mut self.now.total[n];
        total.bytes += i64::from(bytes);
        total.count += 1;
        let bit = 1u32 << n;
        let since = &mut self.now.since[n];
        if self.now.since_mask & bit == 0 {
            self.now.since_mask |= bit;
            *since = Since {
                first_ns: now(),
                bytes,
                inferred: 0,
                count: 1,
                reserved: 0,
            };
        } else {
            since.bytes = since.bytes.wrapping_add(bytes);
            since.count = since.count.wrapping_add(1);
        }
    }

    /// Keeps the worst instant, before a part that is negative.
    #[inline(always)]
    pub(crate) fn may_fall(&mut self) {
        if self.at_peak != 0 {
            core::hint::black_box(self.keep_worst());
        }
    }

    /// `sk_wmem_queued` after all parts.
    #[inline(always)]
    pub(crate) fn settle(&mut self, w: i32, now: u64) {
        self.now.w = w;
        self.raise(now);
    }

    /// Books a new value of `sk_sndbuf`. Returns a number as [`Ledger::book`]
    /// does: how many moves there were.
    #[inline(never)]
    pub fn limit(&mut self, cause: LimitCause, tier: Tier, to: i32, now: u64) -> u32 {
        if to > self.now.sndbuf && self.at_peak != 0 {
            core::hint::black_box(self.keep_worst());
        }
        // Not as a whole: its reserved bytes are 0 for good.
        let place = &mut self.moves[self.move_count as usize & (MOVES - 1)];
        place.at_ns = now;
        place.from = self.now.sndbuf;
        place.to = to;
        place.cause = cause as u8;
        place.tier = tier as u8;
        self.move_count = self.move_count.wrapping_add(1);
        self.now.sndbuf = to;
        self.raise(now);
        self.move_count
    }

    /// A new skb passed the test against `sndbuf` and joined the queue.
    ///
    /// From the first one on, all that makes up the excess is known. What was
    /// there before is not; so an instant after it that is more than half as far
    /// over the limit becomes the worst one, because it can be explained.
    #[inline(always)]
    pub fn admit(&mut self, sndbuf: i32, now: u64) {
        if self.at_peak != 0 {
            core::hint::black_box(self.keep_worst());
        }
        if self.now.admission.count == 0 && self.held_before() {
            self.bar = self.worst_excess >> 1;
        }
        self.now.since_mask = 0;
        self.now.admission.at_ns = now;
        self.now.admission.w = self.now.w;
        self.now.admission.sndbuf = sndbuf;
        self.now.admission.count += 1;
    }

    /// The account at its worst excess, or as it is where the socket never
    /// went over its limit.
    #[must_use]
    pub fn at_worst(&self) -> &Balance {
        if self.at_peak != 0 || self.worst_ns == 0 {
            &self.now
        } else {
            &self.worst
        }
    }

    /// Sets `bar` to what the rest of the ledger says of it.
    pub fn restore_bar(&mut self) {
        let worst = self.at_worst();
        let unexplained = self.held_before() && worst.admission.count == 0;
        self.bar = if self.worst_ns == 0 {
            0
        } else if unexplained && self.now.admission.count != 0 {
            self.worst_excess >> 1
        } else {
            worst.excess()
        };
    }

    /// Whether bytes were queued when skmem first saw the socket.
    #[inline(always)]
    fn held_before(&self) -> bool {
        self.now.total[Cause::PreExisting as usize].count != 0
    }

    #[inline(always)]
    fn raise(&mut self, now: u64) {
        let excess = self.now.excess();
        if excess > self.bar {
            self.bar = excess;
            if excess > self.worst_excess {
                self.worst_excess = excess;
            }
            self.worst_ns = now;
            self.at_peak = 1;
            self.view_wanted = 1;
        }
    }

    /// Returns a number as [`Ledger::book`] does: the excess.
    #[inline(never)]
    fn keep_worst(&mut self) -> i32 {
        self.at_peak = 0;
        copy(&self.now, &mut self.worst);
        self.worst_excess
    }
}

/// Copies a balance.
#[cfg(not(target_arch = "bpf"))]
fn copy(from: &Balance, to: &mut Balance) {
    *to = *from;
}

/// Copies a balance with one helper call: 1.5 KiB word by word would be
/// walked by the verifier at each place that books.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn copy(from: &Balance, to: &mut Balance) {
    type ProbeReadKernel = unsafe extern "C" fn(*mut Balance, u32, *const Balance) -> i64;
    /// `BPF_FUNC_probe_read_kernel`
    const PROBE_READ_KERNEL: usize = 113;
    // SAFETY: a call to a helper is a call to its number; it takes these
    // arguments, and both pointers are good for a whole balance.
    unsafe {
        let probe_read_kernel: ProbeReadKernel = core::mem::transmute(PROBE_READ_KERNEL);
        probe_read_kernel(to, size_of::<Balance>() as u32, from);
    }
}
