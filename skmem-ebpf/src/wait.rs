//! Senders that are held up. The socket lock is given up inside these calls,
//! so other threads and the backlog work on the socket meanwhile: the sleeping
//! thread's open send call is kept with the thread.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, generated},
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::{Account, Frame, WAIT_BEGINS, WAIT_LIMIT, WAIT_LOWAT, WAIT_MEMORY, WAIT_OTHER},
    hook::Hook,
    layout::ABSENT,
    record::FLAG_ENTRY,
};

use crate::{
    accounts, calls,
    maps::{self, REFUSED, SHORT, SLEEPERS, SLEEPS, SLEPT_BEFORE, WAITING, Waiting},
    mptcp::Msk,
    outlet,
    output::{self, Call},
    socket::{KernelPtr, Sock, TcpSock, Watched, offset},
};

const BPF_NOEXIST: u64 = 1;

/// No open call goes with a thread whose call began before the trace.
const NO_CALL: Frame = {
    // SAFETY: all of Frame is integers, for which 0 is a value.
    unsafe { core::mem::zeroed() }
};

/// `sk_stream_wait_memory(sk, timeo_p)`
#[fentry]
pub fn wait_memory_entry(ctx: FEntryContext) -> i32 {
    begin(&ctx, Hook::WaitMemory);
    0
}

/// `sk_stream_wait_memory(sk, timeo_p)`
#[fexit]
pub fn wait_memory_exit(ctx: FExitContext) -> i32 {
    end(Sock::new(ctx.arg(0)), Hook::WaitMemory, ctx.arg(2));
    0
}

/// `sk_stream_wait_connect(sk, timeo_p)`
#[fentry]
pub fn wait_connect_entry(ctx: FEntryContext) -> i32 {
    begin(&ctx, Hook::WaitConnect);
    0
}

/// `sk_stream_wait_connect(sk, timeo_p)`
#[fexit]
pub fn wait_connect_exit(ctx: FExitContext) -> i32 {
    end(Sock::new(ctx.arg(0)), Hook::WaitConnect, ctx.arg(2));
    0
}

/// `*timeo_p`, in jiffies; 0 where the caller must not sleep. The verifier of
/// 5.10 lets no program load an argument that points to a number, so it is
/// copied out of the context like any other kernel memory.
#[inline(always)]
fn timeout(ctx: &FEntryContext) -> i64 {
    let argument = ctx.as_ptr().wrapping_byte_add(8);
    copied(copied(argument as u64) as u64)
}

/// The number at an address of the kernel; 0 where there is none.
#[inline(always)]
fn copied(address: u64) -> i64 {
    let mut number = 0_i64;
    // SAFETY: the helper checks the address, and clears what it cannot copy.
    unsafe {
        generated::bpf_probe_read_kernel(
            (&raw mut number).cast(),
            size_of::<i64>() as u32,
            address as *const c_void,
        )
    };
    number
}

#[inline(always)]
fn begin(ctx: &FEntryContext, hook: Hook) {
    let sk = Sock::new(ctx.arg(0));
    if maps::tripwire() && hook as u8 == Hook::WaitMemory as u8 {
        trip(sk);
    }
    let Some(account) = accounts::find(sk) else {
        return;
    };
    if let Some(msk) = Msk::new(sk) {
        begin_on(ctx, account, msk, hook);
    } else if let Some(socket) = sk.as_tcp() {
        begin_on(ctx, account, socket, hook);
    }
}

/// A sender is held up: its socket has an account from now on.
#[inline(always)]
fn trip(sk: Sock) {
    if let Some((account, socket)) = accounts::trip(sk) {
        calls::note_worst(account, socket);
    }
}

#[inline(always)]
fn begin_on(ctx: &FEntryContext, account: &mut Account, socket: impl Waits, hook: Hook) {
    calls::change!(account, |a| {
        // Booked before anything is asked that has several answers: the
        // verifier would follow each of them through the booking.
        let mem_refused = a.mem_refused != 0;
        let frame = a.wait_begin(&socket, calls::now);
        calls::note_worst(a, socket);
        socket.check_pages(a);
        let since_ns = calls::now();
        let reason = reason(a, socket, mem_refused);
        let tid = bpf_get_current_pid_tgid() as u32;
        // Where the compiler kept constants of the cases on the stack, 5.10 ran
        // the last of them only, and no sleep was seen.
        let how = core::hint::black_box(if timeout(ctx) != 0 {
            SLEEPS
        } else if frame.before.write_seq == a.write_seq {
            REFUSED
        } else {
            SHORT
        });
        if hook as u8 == Hook::WaitMemory as u8 {
            woken_unseen(a, tid);
            if let Some(count) = a.blocked.reasons.get_mut(reason as usize) {
                *count += 1;
            }
            outlet::held(a, socket, reason);
            if how == SLEEPS {
                fell_asleep(a, reason, since_ns);
            } else {
                if a.blocked.refused_ns == 0 {
                    a.blocked.refused_ns = since_ns;
                }
                if how == REFUSED {
                    a.blocked.refusals += 1;
                } else {
                    a.blocked.short_writes += 1;
                }
            }
        }
        let waiting = Waiting {
            frame,
            since_ns,
            reason,
            how,
            slot: a.slot,
            reserved: 0,
        };
        let _ = WAITING.insert(&tid, &waiting, 0);
        // A sleep may be long: its start makes a record at once.
        if how == SLEEPS {
            let mut call = Call::of(hook);
            call.arg = reason as i32;
            call.kind = WAIT_BEGINS;
            // One time for the account and the record, so that both come to the
            // same sum.
            call.timed = true;
            a.last_ns = since_ns;
            output::event(a, &call, &frame.before, socket);
        } else {
            calls::flush(a, socket, hook, false);
        }
    });
}

/// What is asked of a socket whose sender is held up.
pub trait Waits: Watched {
    /// `snd_nxt`
    fn snd_nxt(self) -> u32;
    /// `TCP_NOTSENT_LOWAT`, in bytes; 0: the sysctl rules.
    fn lowat(self) -> u32;
    /// See [`calls::check_pages`].
    fn check_pages(self, account: &mut Account);
}

impl Waits for TcpSock {
    #[inline(always)]
    fn snd_nxt(self) -> u32 {
        // SAFETY: offsets and types are those of the kernel's BTF.
        unsafe { self.tp.load(offset!(snd_nxt)) }
    }

    #[inline(always)]
    fn lowat(self) -> u32 {
        if offset!(notsent_lowat) == ABSENT {
            return 0;
        }
        // SAFETY: as above.
        unsafe { self.tp.load(offset!(notsent_lowat)) }
    }

    #[inline(always)]
    fn check_pages(self, account: &mut Account) {
        calls::check_pages(account, self);
    }
}

impl Waits for Msk {
    #[inline(always)]
    fn snd_nxt(self) -> u32 {
        Self::snd_nxt(self)
    }

    #[inline(always)]
    fn lowat(self) -> u32 {
        self.notsent_lowat()
    }

    #[inline(always)]
    fn check_pages(self, _: &mut Account) {}
}

/// `net.ipv4.tcp_notsent_lowat` of the socket's namespace, in bytes; 0: not known, or of no
/// account: before 6.10 nothing of MPTCP looked at it.
#[inline(always)]
fn sysctl_lowat<S: Waits>(socket: S) -> u32 {
    if offset!(sysctl_notsent_lowat) == ABSENT || S::MPTCP && offset!(msk_notsent_lowat) == ABSENT {
        return 0;
    }
    // SAFETY: offsets and types are those of the kernel's BTF.
    unsafe {
        let net: *const u8 = socket.sock().load(offset!(net));
        KernelPtr(net).load(offset!(sysctl_notsent_lowat))
    }
}

#[inline(always)]
fn fell_asleep(account: &mut Account, reason: u32, now: u64) {
    if account.blocked.asleep == 0 {
        account.blocked.since_ns = now;
        account.blocked.since_reason = reason;
    }
    account.blocked.asleep += 1;
}

#[inline(always)]
fn woke_up(account: &mut Account, how: u32) {
    if account.blocked.asleep != 0 {
        account.blocked.asleep -= 1;
    }
    if how == SLEPT_BEFORE && account.blocked.older != 0 {
        account.blocked.older -= 1;
    }
    if account.blocked.asleep == 0 {
        account.blocked.since_ns = 0;
    }
}

/// A thread that is here cannot be asleep: the end of the sleep that is known of
/// it was not seen.
#[inline(always)]
fn woken_unseen(account: &mut Account, tid: u32) {
    // SAFETY: only this thread writes the entry.
    if let Some(stale) = unsafe { WAITING.get(&tid) }
        && stale.slot == account.slot
        && (stale.how == SLEEPS || stale.how == SLEPT_BEFORE)
    {
        woke_up(account, stale.how);
    }
}

/// A thread that sleeps since before the trace.
pub struct Sleeper {
    /// Its thread id; 0: there is none.
    pub tid: u32,
    /// `WAIT_…`.
    pub reason: u32,
    /// From when on it is known to sleep, in ns of `CLOCK_MONOTONIC`.
    pub since_ns: u64,
}

/// Looks whether user space has found a thread that slept on this socket before
/// skmem saw it, and counts it in, once.
#[inline(always)]
pub fn find_sleeper(account: &mut Account, socket: impl Waits) -> Sleeper {
    let mut found = Sleeper {
        tid: 0,
        reason: WAIT_LIMIT,
        since_ns: 0,
    };
    let inode = socket.sock().inode();
    // SAFETY: the entry is a u32, copied at once.
    let Some(tid) = (unsafe { SLEEPERS.get(&inode) }).copied() else {
        return found;
    };
    let _ = SLEEPERS.remove(&inode);
    let now = calls::now();
    let reason = asleep_for(account, socket);
    let waiting = Waiting {
        frame: NO_CALL,
        since_ns: now,
        reason,
        how: SLEPT_BEFORE,
        slot: account.slot,
        reserved: 0,
    };
    // One that has woken up and fallen asleep again is known already.
    if WAITING.insert(&tid, &waiting, BPF_NOEXIST).is_err() {
        return found;
    }
    if let Some(count) = account.blocked.reasons.get_mut(reason as usize) {
        *count += 1;
    }
    fell_asleep(account, reason, now);
    account.blocked.older += 1;
    found.tid = tid;
    found.reason = reason;
    found.since_ns = now;
    found
}

/// Why the sender is held up: `WAIT_…`. `mem_refused`: its call was refused memory.
///
/// Between its test and the wait, a send call pushes what is queued (`tcp_push`), so fewer bytes
/// may be unsent than when it was held up. `mptcp_sendmsg` does so, too, and what is acknowledged
/// meanwhile is freed.
#[inline(always)]
fn reason<S: Waits>(account: &mut Account, socket: S, mem_refused: bool) -> u32 {
    let (w, sndbuf, write_seq, _) = socket.key_fields();
    let lowat = lowat(account, socket);
    let unsent = write_seq.wrapping_sub(socket.snd_nxt());
    if w >= sndbuf {
        WAIT_LIMIT
    } else if lowat != 0 && unsent >= lowat {
        WAIT_LOWAT
    } else if S::MPTCP && account.scheduled.refused == 0 {
        WAIT_LIMIT
    } else if !S::MPTCP && lowat != 0 && lowat != u32::MAX && !mem_refused {
        WAIT_LOWAT
    } else {
        WAIT_MEMORY
    }
}

/// Why a sender sleeps that fell asleep before: which of the tests that wake it does not pass
/// (`sk_stream_is_writeable`: less free than half of what is queued; `tcp_stream_memory_free` with
/// `wake`: half of the lowat is unsent).
#[inline(always)]
fn asleep_for<S: Waits>(account: &mut Account, socket: S) -> u32 {
    let (w, sndbuf, write_seq, _) = socket.key_fields();
    let lowat = lowat(account, socket);
    let unsent = write_seq.wrapping_sub(socket.snd_nxt());
    if sndbuf.wrapping_sub(w) < w >> 1 {
        WAIT_LIMIT
    } else if lowat != 0 && unsent >= lowat >> 1 {
        WAIT_LOWAT
    } else {
        WAIT_MEMORY
    }
}

/// How many unsent bytes hold a sender up; 0: not known. Notes what the sysctl says.
#[inline(always)]
fn lowat<S: Waits>(account: &mut Account, socket: S) -> u32 {
    let sysctl = sysctl_lowat(socket);
    account.blocked.sysctl_lowat = sysctl;
    match socket.lowat() {
        0 => sysctl,
        own => own,
    }
}

#[inline(always)]
fn end(sk: Sock, hook: Hook, ret: i32) {
    let Some(account) = accounts::find(sk) else {
        return;
    };
    if let Some(msk) = Msk::new(sk) {
        end_on(account, msk, hook, ret);
    } else if let Some(socket) = sk.as_tcp() {
        end_on(account, socket, hook, ret);
    }
}

#[inline(always)]
fn end_on(account: &mut Account, socket: impl Waits, hook: Hook, ret: i32) {
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: only this thread writes the entry.
    let Some(waiting) = (unsafe { WAITING.get(&tid) }).copied() else {
        return;
    };
    let _ = WAITING.remove(&tid);
    calls::change!(account, |a| {
        a.wait_end(waiting.frame, &socket, calls::now);
        let now = calls::now();
        let mut call = Call::of(hook);
        if hook as u8 == Hook::WaitMemory as u8 {
            if waiting.how == SLEEPS || waiting.how == SLEPT_BEFORE {
                let slept = now.wrapping_sub(waiting.since_ns);
                a.blocked.slept(waiting.reason, slept);
                woke_up(a, waiting.how);
            } else if waiting.how == SHORT {
                call.kind = WAIT_OTHER;
            }
        }
        call.timed = true;
        a.last_ns = now;
        call.flags = FLAG_ENTRY;
        call.arg = waiting.reason as i32;
        call.ret = ret;
        let mut before = a.last_seen();
        before.forward_alloc = socket.forward_alloc();
        output::event(a, &call, &before, socket);
    });
}
