//! The life of sockets, and of the processes that a traced command starts.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use skmem_common::{
    account::{Account, WAIT_BEGINS, WAIT_OTHER},
    hook::Hook,
    layout::ABSENT,
    record::{FLAG_LOCKLESS, IDENT_INHERITED},
};

use crate::{
    accounts, calls,
    maps::{self, ASKED, PIDS, RequestedSndbuf},
    outlet,
    output::{self, Call},
    receive,
    socket::{KernelPtr, SOCK_SNDBUF_LOCK, Sock, TCP_CLOSE, TcpSock, Watched, offset},
    wait,
};

/// `TCP_ESTABLISHED` and `TCP_SYN_RECV` of the kernel's `tcp_states.h`.
const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_RECV: i32 = 3;

/// `inet_sock_set_state(sk, oldstate, newstate)`
#[btf_tracepoint]
pub fn set_state(ctx: BtfTracePointContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let (old, new): (i32, i32) = (ctx.arg(1), ctx.arg(2));
    if old == TCP_SYN_RECV && new == TCP_ESTABLISHED && sk.userlocks() & SOCK_SNDBUF_LOCK != 0 {
        // Accepted, and locked before any setsockopt of its own.
        let asked = RequestedSndbuf {
            value: 0,
            flags: IDENT_INHERITED,
        };
        let _ = ASKED.insert(&sk.address(), &asked, 0);
    }
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    // It is destroyed next, and the runs that say so may be skipped.
    if new == i32::from(TCP_CLOSE) && sk.is_dead() {
        account.closing = 1;
    }
    let Some(socket) = sk.as_tcp() else { return 0 };
    let mut call = Call::of(Hook::SetState);
    call.flags = FLAG_LOCKLESS;
    call.kind = old as u32;
    call.arg = new;
    output::observation(account, &call, socket);
    0
}

/// `tcp_destroy_sock(sk)`: fires before the queues are purged.
#[btf_tracepoint]
pub fn destroy(ctx: BtfTracePointContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let _ = ASKED.remove(&sk.address());
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    account.closing = 1;
    let Some(socket) = sk.as_tcp() else { return 0 };
    let mut call = Call::of(Hook::Destroy);
    call.flags = FLAG_LOCKLESS;
    output::observation(account, &call, socket);
    0
}

/// `sched_process_fork(parent, child)`: children of a traced process are
/// traced.
#[btf_tracepoint]
pub fn fork(ctx: BtfTracePointContext) -> i32 {
    if offset!(task_tgid) == ABSENT {
        return 0;
    }
    // SAFETY: the offset and type are those of the kernel's BTF.
    let (parent, child): (u32, u32) = unsafe {
        (
            KernelPtr(ctx.arg(0)).load(offset!(task_tgid)),
            KernelPtr(ctx.arg(1)).load(offset!(task_tgid)),
        )
    };
    // SAFETY: the entry is only tested for.
    if parent != child && unsafe { PIDS.get(&parent) }.is_some() {
        let _ = PIDS.insert(&child, &1, 0);
    }
    0
}

/// What a walk without the socket's lock can bring up to date: fields that no
/// booking goes by. A hook that is at work, or was meanwhile, has newer ones.
#[inline(always)]
fn freshen(account: &mut Account, socket: TcpSock) {
    // Only x86-64 traces such kernels, which keeps the order of loads.
    // SAFETY: a hook on another CPU may write it.
    let version = || unsafe { (&raw const account.version).read_volatile() };
    let before = version();
    let mut seen = account.last;
    socket.glance_into(&mut seen);
    socket.rest_into(&mut seen);
    if before & 1 == 0 && before == version() {
        account.last = seen;
    }
}

/// `bpf_iter__tcp`: called for each TCP socket of a network namespace, to find
/// those that are older than the trace, and to bring the accounts of the others
/// up to date: a limit that was lowered since, or a hook that was skipped,
/// shows at the next hook only. aya has no macro for iterators.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub extern "C" fn existing(ctx: *mut core::ffi::c_void) -> i32 {
    let context = BtfTracePointContext::new(ctx);
    // struct bpf_iter__tcp { meta, sk_common, uid }
    let sk: *const u8 = context.arg(1);
    if sk.is_null() {
        return 0;
    }
    // Sockets in TIME-WAIT and requests are not full sockets.
    let Some(tp) = Sock::new(sk).tcp() else {
        return 0;
    };
    let socket = TcpSock { sk: Sock(tp), tp };
    // Who sleeps above a subflow waits for its MPTCP socket.
    let subflow = socket.sk.is_mptcp(tp);
    let Some(account) = accounts::find(socket.sk) else {
        if !accounts::is_over() {
            accounts::open_existing(socket);
        }
        return 0;
    };
    let nospace = Watched::nospace(socket);
    if !maps::locked_walk() {
        if accounts::is_over() {
            accounts::release(socket.sk, account);
            return 0;
        }
        account.blocked.walked(nospace, calls::now());
        outlet::last(account, socket);
        freshen(account, socket);
        if !subflow {
            wait::find_sleeper(account, socket);
        }
        return 0;
    }
    let mut call = Call::of(Hook::Walk);
    call.softirq = true;
    calls::change!(account, |a| {
        a.blocked.walked(nospace, calls::now());
        outlet::last(a, socket);
        let before = a.last_seen();
        a.settle_outside(&socket, calls::now);
        calls::check_pages(a, socket);
        calls::note_worst(a, socket);
        if maps::rx() {
            receive::walked(a, socket);
        }
        if a.op_count != 0 {
            output::event(a, &call, &before, socket);
        } else {
            // What no hook of the send side refreshes: receiving moves it, too.
            socket.sk.refresh(socket.tp, &mut a.last);
        }
        if accounts::is_over() {
            accounts::release(socket.sk, a);
            return 0;
        }
        if subflow {
            return 0;
        }
        let found = wait::find_sleeper(a, socket);
        if found.tid != 0 {
            let mut call = Call::of(Hook::WaitMemory);
            call.softirq = true;
            call.kind = WAIT_BEGINS | WAIT_OTHER;
            call.arg = found.reason as i32;
            call.ret = found.tid as i32;
            a.last_ns = found.since_ns;
            call.timed = true;
            let before = a.last_seen();
            output::event(a, &call, &before, socket);
        }
    });
    0
}
