//! The receive side, for `--rx`: what arrives, and what the application takes.

use aya_ebpf::{
    macros::{btf_tracepoint, fexit},
    programs::{BtfTracePointContext, FExitContext},
};
use skmem_common::{account::Account, hook::Hook};

use crate::{
    accounts, calls, output,
    socket::{Sock, TcpSock, truesize},
};

/// `tcp_queue_rcv(sk, skb, fragstolen)`: data joins the receive queue.
#[fexit]
pub fn queue_rcv_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some((account, socket)) = calls::traced(sk) else {
        return 0;
    };
    let size = truesize(ctx.arg(1));
    calls::change!(account, |a| {
        look(a, socket);
        a.receiving.arrived(calls::now());
        output::receive(a, Hook::QueueRcv, size, true);
    });
    0
}

/// `tcp_rcv_space_adjust(sk)`: fires whenever the application has taken data,
/// by whatever call, under the lock.
#[btf_tracepoint]
pub fn space_adjust(ctx: BtfTracePointContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some((account, socket)) = accounts::find_or_open(sk) else {
        return 0;
    };
    calls::change!(account, |a| {
        look(a, socket);
        a.receiving.taken(calls::now());
        output::receive(a, Hook::Read, 0, false);
    });
    0
}

/// `inet_csk_accept(sk, arg)`, 6.10 on: opens the account of a connection that
/// was accepted.
#[fexit]
pub fn accept_exit(ctx: FExitContext) -> i32 {
    accepted(Sock::new(ctx.arg(2)))
}

/// `inet_csk_accept(sk, flags, err, kern)`, up to 6.9
#[fexit]
pub fn accept_old_exit(ctx: FExitContext) -> i32 {
    accepted(Sock::new(ctx.arg(4)))
}

#[inline(always)]
fn accepted(sk: Sock) -> i32 {
    if sk.0.0.is_null() {
        return 0;
    }
    if let Some((account, socket)) = accounts::find_or_open(sk) {
        // Nobody holds the lock: a hook on another CPU may be at the account, and a
        // version that both count at once might never be even again. What is
        // written here are single numbers, which the next hook writes anew.
        look(account, socket);
        // Data may have arrived before the connection was accepted.
        if account.receiving.now.recv_q() != 0 {
            account.receiving.arrived(calls::now());
        }
    }
    0
}

#[inline(always)]
fn look(account: &mut Account, socket: TcpSock) {
    account.receiving.window_moved(socket.sk.window(socket.tp));
    socket
        .sk
        .receive_into(socket.tp, &mut account.receiving.now);
}
