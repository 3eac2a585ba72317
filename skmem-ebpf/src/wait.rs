//! Senders that are held up. The socket lock is given up inside these calls,
//! so other threads and the backlog work on the socket meanwhile: the sleeping
//! thread's open send call is kept with the thread.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel},
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::{Account, WAIT_LIMIT, WAIT_LOWAT, WAIT_MEMORY},
    hook::Hook,
    layout::ABSENT,
    record::FLAG_ENTRY,
};

use crate::{
    accounts, calls,
    maps::{WAITING, Waiting},
    mptcp::Msk,
    output::{self, Call},
    socket::{Locked, Sock, Watched, offset},
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
    let argument = ctx.as_ptr().wrapping_byte_add(8).cast::<u64>();
    // SAFETY: the helper checks the address.
    let Ok(timeo_p) = (unsafe { bpf_probe_read_kernel(argument) }) else {
        return 0;
    };
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(timeo_p as *const i64) }.unwrap_or(0)
}

#[inline(always)]
fn begin(ctx: &FEntryContext, hook: Hook) {
    let sk = Sock::new(ctx.arg(0));
    let Some(account) = accounts::find(sk) else {
        return;
    };
    if let Some(msk) = Msk::new(sk) {
        begin_on(ctx, account, msk, hook);
    } else if let Some(socket) = sk.locked() {
        begin_on(ctx, account, socket, hook);
    }
}

#[inline(always)]
fn begin_on(ctx: &FEntryContext, account: &mut Account, socket: impl Waits, hook: Hook) {
    calls::change!(account, |a| {
        // Booked before anything is asked that has several answers: the
        // verifier would follow each of them through the booking.
        let frame = a.wait_begin(&socket, calls::now);
        calls::note_worst(a, socket);
        socket.check_pages(a);
        let timeout = timeout(ctx);
        let since_ns = calls::now();
        let reason = reason(socket);
        if hook as u8 == Hook::WaitMemory as u8 {
            if let Some(count) = a.blocked.reasons.get_mut(reason as usize) {
                *count += 1;
            }
            if timeout == 0 {
                a.blocked.refusals += 1;
            } else {
                if a.blocked.asleep == 0 {
                    a.blocked.since_ns = since_ns;
                }
                a.blocked.asleep += 1;
            }
        }
        let waiting = Waiting {
            frame,
            since_ns,
            reason,
            nonblocking: u32::from(timeout == 0),
        };
        let tid = bpf_get_current_pid_tgid() as u32;
        let _ = WAITING.insert(&tid, &waiting, 0);
        // A sleep may be long: its start is told at once.
        if timeout != 0 {
            let mut call = Call::of(hook);
            call.arg = reason as i32;
            call.kind = 1;
            output::event(a, &call, &frame.before, socket);
        }
    });
}

/// What is asked of a socket whose sender is held up.
trait Waits: Watched {
    /// `snd_nxt`
    fn snd_nxt(self) -> u32;
    /// `TCP_NOTSENT_LOWAT`, in bytes; 0: the netns's sysctl rules.
    fn lowat(self) -> u32;
    /// See [`calls::check_pages`].
    fn check_pages(self, account: &mut Account);
}

impl Waits for Locked {
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

/// Why the sender is held up: `WAIT_…`.
#[inline(always)]
fn reason(socket: impl Waits) -> u32 {
    let (w, sndbuf, write_seq, _) = socket.glance();
    let (snd_nxt, lowat) = (socket.snd_nxt(), socket.lowat());
    if w >= sndbuf {
        WAIT_LIMIT
    } else if lowat != 0 && write_seq.wrapping_sub(snd_nxt) >= lowat {
        WAIT_LOWAT
    } else {
        WAIT_MEMORY
    }
}

#[inline(always)]
fn end(sk: Sock, hook: Hook, ret: i32) {
    let Some(account) = accounts::find(sk) else {
        return;
    };
    if let Some(msk) = Msk::new(sk) {
        end_on(account, msk, hook, ret);
    } else if let Some(socket) = sk.locked() {
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
    let now = calls::now();
    calls::change!(account, |a| {
        a.wait_end(waiting.frame, &socket, calls::now);
        if hook as u8 == Hook::WaitMemory as u8 && waiting.nonblocking == 0 {
            let slept = now.wrapping_sub(waiting.since_ns);
            a.blocked.waits += 1;
            a.blocked.total_ns += slept;
            if slept > a.blocked.longest_ns {
                a.blocked.longest_ns = slept;
            }
            if a.blocked.asleep != 0 {
                a.blocked.asleep -= 1;
            }
            if a.blocked.asleep == 0 {
                a.blocked.since_ns = 0;
            }
        }
        let mut call = Call::of(hook);
        call.flags = FLAG_ENTRY;
        call.arg = waiting.reason as i32;
        call.ret = ret;
        let mut before = a.last_seen();
        before.forward_alloc = socket.forward_alloc();
        output::event(a, &call, &before, socket);
    });
}
