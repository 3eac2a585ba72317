//! Records into the ring buffer.
//!
//! The default wake-up of a ring costs several times the record, and changes
//! what is traced; so readers are woken once per [`WAKE_BYTES`], and read on a
//! timer besides. A record that finds the ring full is counted, per hook and
//! per socket; the account itself is in the kernel and loses nothing.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns,
    generated::bpf_get_current_comm,
};
use skmem_common::{
    account::Account,
    hook::{HOOKS, Hook},
    receive::ReceiveView,
    receive_cause::ReceiveCause,
    record::{
        Before, Event, FLAG_BOOKED, FLAG_LOCKLESS, FLAG_TASK, Header, OP_BOOK, OPS, Op, Open,
        RECEIVE_OPS, Receive, SHORT_EVENT, SHORT_OPS, Task, VERSION, View,
    },
};

use crate::{
    calls,
    maps::{self, EVENTS},
    socket::{KernelPtr, Sock, TcpSock, Watched},
};

const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;

/// Bytes in the ring before its reader is woken, per CPU.
const WAKE_BYTES: u64 = 64 << 10;

/// What a hook adds to a record.
///
/// In this order no 16 bytes in a row are 0 in most of them: LLVM would fill
/// those in with `memset`, a loop over bytes that costs as much as a record's
/// place in the ring.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Call {
    /// `Event::truesize`.
    pub truesize: u32,
    /// `Event::kind`.
    pub kind: u32,
    /// The function.
    pub hook: Hook,
    /// `FLAG_…`, less `FLAG_TASK`.
    pub flags: u8,
    /// The call may be made in softirq, where the current task is anyone.
    pub softirq: bool,
    /// What it has done was booked at `Account::last_ns`.
    pub timed: bool,
    /// `Event::arg`.
    pub arg: i32,
    /// `Event::ret`.
    pub ret: i32,
}

impl Call {
    /// A call of `hook` with nothing to tell but that it was.
    #[inline(always)]
    pub fn of(hook: Hook) -> Self {
        Self {
            truesize: 0,
            kind: 0,
            hook,
            flags: 0,
            softirq: false,
            timed: false,
            arg: 0,
            ret: 0,
        }
    }
}

/// Sends a record of `call`, with the operations that await one, and keeps the
/// socket's fields as the account's last. What the call has done must be booked,
/// so that the account has the fields that a hook glances at.
///
/// A subprogram with all it needs by reference: the stack is 512 bytes for all
/// callers together. It returns a number that is used, because the verifier
/// refuses a subprogram that happens to leave a pointer to the stack where a
/// result would be.
#[inline(always)]
pub fn event(account: &mut Account, call: &Call, before: &Before, socket: impl Watched) {
    let seen = account.last_seen();
    account.last.wmem_queued = seen.wmem_queued;
    account.last.sndbuf = seen.sndbuf;
    account.last.write_seq = seen.write_seq;
    account.last.snd_una = seen.snd_una;
    socket.send(account, call, before);
}

/// The same for a hook that books nothing.
#[inline(always)]
pub fn unbooked_event(account: &mut Account, call: &Call, before: &Before, socket: impl Watched) {
    socket.glance_into(&mut account.last);
    socket.send(account, call, before);
}

#[inline(never)]
pub fn send_event(
    account: &mut Account,
    call: &Call,
    before: &Before,
    sk: Sock,
    tp: KernelPtr,
) -> u32 {
    send(account, call, before, TcpSock { sk, tp })
}

/// The body of that, for each kind of socket.
#[inline(always)]
pub fn send(account: &mut Account, call: &Call, before: &Before, socket: impl Watched) -> u32 {
    if !call.timed {
        account.last_ns = calls::now();
    }
    let now = account.last_ns;
    socket.rest_into(&mut account.last);
    if !maps::every_call() && !account.transition(call.hook, call.kind) {
        account.op_count = 0;
        return 0;
    }
    let ids = if call.softirq {
        0
    } else {
        bpf_get_current_pid_tgid()
    };
    if ids != 0 && account.last_tid != ids as u32 {
        account.last_tid = ids as u32;
        core::hint::black_box(task(account, now, ids));
    }
    account.event_no = account.event_no.wrapping_add(1);
    let Some(counters) = maps::counters() else {
        return 0;
    };
    let slot = counter(call.hook);
    counters.produced[slot] += 1;
    let ops = account.op_count as usize;
    account.op_count = 0;
    if ops <= SHORT_OPS {
        let Some(mut room) = EVENTS.reserve_bytes(SHORT_EVENT, 0) else {
            counters.lost[slot] += 1;
            account.lost += 1;
            return 0;
        };
        let to = room.as_mut_ptr().cast::<Event>();
        // SAFETY: SHORT_EVENT bytes were reserved, 8-byte aligned; `fill`
        // writes all of them but no operation past SHORT_OPS.
        unsafe {
            fill(
                to,
                account,
                call,
                before,
                &account.last,
                ids,
                now,
                SHORT_EVENT,
                ops,
            );
            (&raw mut (*to).ops[0]).write(account.ops[0]);
            (&raw mut (*to).ops[1]).write(account.ops[1]);
        }
        room.submit(wake(&mut counters.pending, SHORT_EVENT));
    } else {
        let Some(mut room) = EVENTS.reserve_bytes(size_of::<Event>(), 0) else {
            counters.lost[slot] += 1;
            account.lost += 1;
            return 0;
        };
        let to = room.as_mut_ptr().cast::<Event>();
        // SAFETY: a whole Event was reserved, 8-byte aligned.
        unsafe {
            fill(
                to,
                account,
                call,
                before,
                &account.last,
                ids,
                now,
                size_of::<Event>(),
                ops,
            );
            let mut n = 0;
            while n < OPS {
                (&raw mut (*to).ops[n]).write(account.ops[n]);
                n += 1;
            }
        }
        room.submit(wake(&mut counters.pending, size_of::<Event>()));
    }
    0
}

/// Sends a record that carries no operations: of a call without the socket
/// lock. It must not touch what the account holds under the lock.
#[inline(always)]
pub fn observation(account: &Account, call: &Call, socket: TcpSock) {
    core::hint::black_box(send_observation(account, call, socket.sk, socket.tp));
}

#[inline(never)]
fn send_observation(account: &Account, call: &Call, sk: Sock, tp: KernelPtr) -> u32 {
    if !maps::every_call() {
        return 0;
    }
    let Some(counters) = maps::counters() else {
        return 0;
    };
    let slot = counter(call.hook);
    counters.produced[slot] += 1;
    let Some(mut room) = EVENTS.reserve_bytes(SHORT_EVENT, 0) else {
        counters.lost[slot] += 1;
        return 0;
    };
    let mut view = View::default();
    sk.view_into(tp, &mut view);
    let before = Before::default();
    let to = room.as_mut_ptr().cast::<Event>();
    let ids = bpf_get_current_pid_tgid();
    // SAFETY: the helper takes nothing.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: SHORT_EVENT bytes were reserved, 8-byte aligned.
    unsafe {
        fill(to, account, call, &before, &view, ids, now, SHORT_EVENT, 0);
        (&raw mut (*to).ops[0]).write(Op::default());
        (&raw mut (*to).ops[1]).write(Op::default());
    }
    room.submit(wake(&mut counters.pending, SHORT_EVENT));
    0
}

/// Writes all of an event but its operations.
///
/// # Safety
/// `to` must be valid for writes of [`SHORT_EVENT`] bytes.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "inlined into its two callers")]
unsafe fn fill(
    to: *mut Event,
    account: &Account,
    call: &Call,
    before: &Before,
    view: &View,
    ids: u64,
    now: u64,
    len: usize,
    ops: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        (&raw mut (*to).header).write(header(
            call.hook,
            len,
            call.flags | if ids != 0 { FLAG_TASK } else { 0 },
            ops as u8,
        ));
        (&raw mut (*to).time_ns).write(now);
        (&raw mut (*to).socket).write(account.ident.id);
        (&raw mut (*to).event_no).write(account.event_no);
        (&raw mut (*to).slot).write(account.slot);
        (&raw mut (*to).pid).write((ids >> 32) as u32);
        (&raw mut (*to).tid).write(ids as u32);
        (&raw mut (*to).before).write(*before);
        (&raw mut (*to).view).write(*view);
        (&raw mut (*to).truesize).write(call.truesize);
        (&raw mut (*to).arg).write(call.arg);
        (&raw mut (*to).ret).write(call.ret);
        (&raw mut (*to).kind).write(call.kind);
    }
}

/// Sends the receive side, as the account has it now, and what was booked.
#[inline(always)]
pub fn receive(account: &mut Account, hook: Hook, truesize: u32) {
    core::hint::black_box(send_receive(account, hook, truesize));
}

#[inline(never)]
fn send_receive(account: &mut Account, hook: Hook, truesize: u32) -> u32 {
    if !maps::every_call() {
        return 0;
    }
    let ops = account.receiving.ledger.op_count;
    account.receiving.ledger.op_count = 0;
    // In softirq the current task is anyone.
    let by_task = matches!(
        hook,
        Hook::Recvmsg
            | Hook::ReadSock
            | Hook::ReadDone
            | Hook::ReadZerocopy
            | Hook::Close
            | Hook::Disconnect
            | Hook::WaitData
            | Hook::SetRcvlowat
            | Hook::SockmapRecvmsg
            | Hook::MptcpRead
    );
    let ids = if by_task {
        bpf_get_current_pid_tgid()
    } else {
        0
    };
    let now = account.receiving.clocks_ns;
    if ids != 0 && account.last_tid != ids as u32 {
        account.last_tid = ids as u32;
        core::hint::black_box(task(account, now, ids));
    }
    account.event_no = account.event_no.wrapping_add(1);
    let Some(counters) = maps::counters() else {
        return 0;
    };
    let slot = counter(hook);
    counters.produced[slot] += 1;
    let Some(mut room) = EVENTS.reserve_bytes(size_of::<Receive>(), 0) else {
        counters.lost[slot] += 1;
        account.lost += 1;
        return 0;
    };
    let to = room.as_mut_ptr().cast::<Receive>();
    let flags = FLAG_BOOKED | if ids != 0 { FLAG_TASK } else { 0 };
    // SAFETY: a whole Receive was reserved, 8-byte aligned; all of it is
    // written.
    unsafe {
        (&raw mut (*to).header).write(header(hook, size_of::<Receive>(), flags, ops as u8));
        (&raw mut (*to).time_ns).write(now);
        (&raw mut (*to).socket).write(account.ident.id);
        (&raw mut (*to).event_no).write(account.event_no);
        (&raw mut (*to).slot).write(account.slot);
        (&raw mut (*to).pid).write((ids >> 32) as u32);
        (&raw mut (*to).tid).write(ids as u32);
        (&raw mut (*to).truesize).write(truesize);
        (&raw mut (*to).waiting).write(account.receiving.waiting);
        (&raw mut (*to).view).write(account.receiving.now);
        (&raw mut (*to).ops).write(account.receiving.ledger.ops);
    }
    room.submit(wake(&mut counters.pending, size_of::<Receive>()));
    0
}

/// Sends that a message of `truesize` bytes joined the error queue or left it: without the socket's
/// lock, so that nothing of the account is touched.
#[inline(always)]
pub fn error(account: &Account, hook: Hook, truesize: u32, socket: TcpSock) {
    core::hint::black_box(send_error(account, hook, truesize, socket.sk));
}

#[inline(never)]
fn send_error(account: &Account, hook: Hook, truesize: u32, sk: Sock) -> u32 {
    if !maps::every_call() {
        return 0;
    }
    let Some(counters) = maps::counters() else {
        return 0;
    };
    let slot = counter(hook);
    counters.produced[slot] += 1;
    let Some(mut room) = EVENTS.reserve_bytes(size_of::<Receive>(), 0) else {
        counters.lost[slot] += 1;
        return 0;
    };
    let mut view = ReceiveView::default();
    if let Some(socket) = sk.as_tcp() {
        sk.receive_into(socket.tp, &mut view);
        view.window = sk.window(socket.tp);
    }
    // The truesize of one skb.
    let size = truesize as i32;
    let (cause, value) = match hook {
        Hook::ErrorQueue => (ReceiveCause::ErrorQueued, size),
        _ => (ReceiveCause::ErrorTaken, size.wrapping_neg()),
    };
    let to = room.as_mut_ptr().cast::<Receive>();
    let flags = FLAG_BOOKED | FLAG_LOCKLESS;
    // SAFETY: a whole Receive was reserved, 8-byte aligned; all of it is written.
    unsafe {
        (&raw mut (*to).header).write(header(hook, size_of::<Receive>(), flags, 1));
        (&raw mut (*to).time_ns).write(bpf_ktime_get_ns());
        (&raw mut (*to).socket).write(account.ident.id);
        (&raw mut (*to).event_no).write(account.event_no);
        (&raw mut (*to).slot).write(account.slot);
        (&raw mut (*to).pid).write(0);
        (&raw mut (*to).tid).write(0);
        (&raw mut (*to).truesize).write(truesize);
        (&raw mut (*to).waiting).write(account.receiving.waiting);
        (&raw mut (*to).view).write(view);
        (&raw mut (*to).ops[0]).write(Op {
            kind: OP_BOOK,
            cause: cause as u8,
            tier: 0,
            reserved: 0,
            value,
        });
        let mut n = 1;
        while n < RECEIVE_OPS {
            (&raw mut (*to).ops[n]).write(Op::default());
            n += 1;
        }
    }
    room.submit(wake(&mut counters.pending, size_of::<Receive>()));
    0
}

/// Sends who the socket is.
#[inline(always)]
pub fn opened(account: &mut Account) {
    core::hint::black_box(send_open(account));
}

#[inline(never)]
fn send_open(account: &mut Account) -> u32 {
    account.last_tid = account.ident.tid;
    account.event_no = account.event_no.wrapping_add(1);
    let Some(counters) = maps::counters() else {
        return 0;
    };
    counters.produced[Hook::Open as usize] += 1;
    let Some(mut room) = EVENTS.reserve_bytes(size_of::<Open>(), 0) else {
        counters.lost[Hook::Open as usize] += 1;
        account.lost += 1;
        return 0;
    };
    let to = room.as_mut_ptr().cast::<Open>();
    // SAFETY: a whole Open was reserved, 8-byte aligned; all of it is written.
    unsafe {
        (&raw mut (*to).header).write(header(Hook::Open, size_of::<Open>(), FLAG_TASK, 0));
        (&raw mut (*to).time_ns).write(account.ident.seen_ns);
        (&raw mut (*to).event_no).write(account.event_no);
        (&raw mut (*to).slot).write(account.slot);
        (&raw mut (*to).ident).write(account.ident);
        (&raw mut (*to).view).write(account.last);
    }
    room.submit(wake(&mut counters.pending, size_of::<Open>()));
    0
}

/// Sends which thread uses the socket now.
#[inline(never)]
fn task(account: &mut Account, now: u64, ids: u64) -> u32 {
    account.event_no = account.event_no.wrapping_add(1);
    let Some(counters) = maps::counters() else {
        return 0;
    };
    counters.produced[Hook::Task as usize] += 1;
    let Some(mut room) = EVENTS.reserve_bytes(size_of::<Task>(), 0) else {
        counters.lost[Hook::Task as usize] += 1;
        account.lost += 1;
        return 0;
    };
    let to = room.as_mut_ptr().cast::<Task>();
    // SAFETY: a whole Task was reserved, 8-byte aligned; all of it is written,
    // the name by the helper.
    unsafe {
        (&raw mut (*to).header).write(header(Hook::Task, size_of::<Task>(), FLAG_TASK, 0));
        (&raw mut (*to).time_ns).write(now);
        (&raw mut (*to).socket).write(account.ident.id);
        (&raw mut (*to).event_no).write(account.event_no);
        (&raw mut (*to).slot).write(account.slot);
        (&raw mut (*to).pid).write((ids >> 32) as u32);
        (&raw mut (*to).tid).write(ids as u32);
        bpf_get_current_comm((&raw mut (*to).comm).cast(), 16);
    }
    room.submit(wake(&mut counters.pending, size_of::<Task>()));
    0
}

/// The counter of a hook. The compiler knows that hooks fit and would drop the
/// mask; the verifier does not, and wants it.
#[inline(always)]
fn counter(hook: Hook) -> usize {
    core::hint::black_box(hook as usize) & (HOOKS - 1)
}

#[inline(always)]
fn header(hook: Hook, len: usize, flags: u8, ops: u8) -> Header {
    Header {
        len: len as u16,
        version: VERSION,
        hook: hook as u8,
        // SAFETY: the helper takes nothing.
        cpu: unsafe { bpf_get_smp_processor_id() } as u16,
        flags,
        ops,
    }
}

#[inline(always)]
fn wake(pending: &mut u64, len: usize) -> u64 {
    *pending += len as u64;
    if *pending < WAKE_BYTES {
        return BPF_RB_NO_WAKEUP;
    }
    *pending = 0;
    BPF_RB_FORCE_WAKEUP
}
