//! The functions that change `sk_wmem_queued` outside the send path: ACKs,
//! transmission, retransmission, the first and the last skb. All of the same
//! form: book at the entry, book at the exit.

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::{FRAME_SENT, FRAME_UNSENT},
    hook::Hook,
    record::IDENT_MPTCP,
};

use crate::{
    accounts, calls, lean, maps,
    mptcp::Msk,
    outlet,
    output::Call,
    socket::{Sock, Watched as _},
};

/// `enum tcp_queue` of include/net/tcp.h (4.15 to 7.2)
const TCP_FRAG_IN_RTX_QUEUE: u32 = 1;

macro_rules! calls {
    ($($(#[$doc:meta])* $entry:ident, $exit:ident: $hook:ident, sk = $arg:literal;)*) => {$(
        $(#[$doc])*
        #[fentry]
        pub fn $entry(ctx: FEntryContext) -> i32 {
            calls::enter(Sock::new(ctx.arg($arg)), Hook::$hook, true);
            0
        }

        $(#[$doc])*
        #[fexit]
        pub fn $exit(ctx: FExitContext) -> i32 {
            let Some((account, socket)) = calls::traced(Sock::new(ctx.arg($arg))) else {
                return 0;
            };
            let mut call = Call::of(Hook::$hook);
            call.softirq = true;
            calls::leave(account, socket, call, false);
            0
        }
    )*};
}

calls! {
    /// `tcp_ack(sk, skb, flag)`
    ack_entry, ack_exit: Ack, sk = 0;
    /// `tcp_write_xmit(sk, mss_now, nonagle, push_one, gfp)`
    write_xmit_entry, write_xmit_exit: WriteXmit, sk = 0;
    /// `__tcp_retransmit_skb(sk, skb, segs)`
    retransmit_entry, retransmit_exit: Retransmit, sk = 0;
    /// `tcp_retransmit_skb(sk, skb, segs)`, into which 6.1's compiler inlined
    /// the one above
    retransmit_outer_entry, retransmit_outer_exit: Retransmit, sk = 0;
    /// `tcp_send_fin(sk)`
    send_fin_entry, send_fin_exit: SendFin, sk = 0;
    /// `tcp_send_synack(sk)`
    send_synack_entry, send_synack_exit: SendSynack, sk = 0;
    /// `tcp_trim_head(sk, skb, len)`
    trim_head_entry, trim_head_exit: TrimHead, sk = 0;
    /// `tcp_remove_empty_skb(sk)`
    remove_empty_entry, remove_empty_exit: RemoveEmpty, sk = 0;
}

macro_rules! around {
    ($($(#[$doc:meta])* $entry:ident, $exit:ident: $hook:ident, sk = $arg:literal;)*) => {$(
        $(#[$doc])*
        #[fentry]
        pub fn $entry(ctx: FEntryContext) -> i32 {
            let sk = Sock::new(ctx.arg($arg));
            if maps::lean() {
                lean::around(sk, Hook::$hook, true);
            } else {
                calls::enter(sk, Hook::$hook, true);
            }
            0
        }

        $(#[$doc])*
        #[fexit]
        pub fn $exit(ctx: FExitContext) -> i32 {
            let sk = Sock::new(ctx.arg($arg));
            if maps::lean() {
                lean::around(sk, Hook::$hook, false);
                return 0;
            }
            let Some((account, socket)) = calls::traced(sk) else {
                return 0;
            };
            let mut call = Call::of(Hook::$hook);
            call.softirq = true;
            calls::leave(account, socket, call, false);
            0
        }
    )*};
}

around! {
    /// `tcp_send_loss_probe(sk)`
    loss_probe_entry, loss_probe_exit: LossProbe, sk = 0;
    /// `tcp_write_wakeup(sk, mib)`
    write_wakeup_entry, write_wakeup_exit: WriteWakeup, sk = 0;
    /// `tcp_reset(sk, skb)`
    reset_entry, reset_exit: Reset, sk = 0;
}

/// `tcp_fragment(sk, queue, skb, len, mss_now, gfp)`
#[fentry]
pub fn fragment_entry(ctx: FEntryContext) -> i32 {
    let Some((account, socket)) = calls::traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let queue: u32 = ctx.arg(1);
    let flags = match (maps::lean(), queue) {
        (false, _) => 0,
        (true, TCP_FRAG_IN_RTX_QUEUE) => FRAME_SENT,
        (true, _) => FRAME_UNSENT,
    };
    calls::enter_with(account, socket, Hook::Fragment, flags, 0, true);
    0
}

/// `tcp_fragment(sk, queue, skb, len, mss_now, gfp)`
#[fexit]
pub fn fragment_exit(ctx: FExitContext) -> i32 {
    let Some((account, socket)) = calls::traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let mut call = Call::of(Hook::Fragment);
    call.softirq = true;
    calls::leave(account, socket, call, false);
    0
}

/// `mptcp_sendmsg_frag(sk, ssk, dfrag, info)`: books on the subflow.
#[fentry]
pub fn mptcp_frag_entry(ctx: FEntryContext) -> i32 {
    let ssk = Sock::new(ctx.arg(1));
    // Where its MPTCP socket is traced, a subflow is, too.
    let above = Msk::new(Sock::new(ctx.arg(0))).and_then(|msk| accounts::find(msk.sock()));
    let (account, socket) = match above {
        Some(above) => {
            let Some(socket) = ssk.as_tcp() else { return 0 };
            let Some(account) = accounts::open_subflow(socket, above) else {
                return 0;
            };
            (account, socket)
        }
        None => match calls::traced(ssk) {
            Some(traced) => traced,
            None => return 0,
        },
    };
    account.ident.flags |= IDENT_MPTCP;
    calls::enter_with(account, socket, Hook::MptcpFrag, 0, 0, true);
    0
}

/// `mptcp_sendmsg_frag(sk, ssk, dfrag, info)`
#[fexit]
pub fn mptcp_frag_exit(ctx: FExitContext) -> i32 {
    let Some((account, socket)) = calls::traced(Sock::new(ctx.arg(1))) else {
        return 0;
    };
    let mut call = Call::of(Hook::MptcpFrag);
    call.softirq = true;
    call.ret = ctx.arg(4);
    calls::leave(account, socket, call, false);
    0
}

/// `tcp_connect(sk)`: opens the account of a socket that connects.
#[fentry]
pub fn connect_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    if let Some((account, socket)) = accounts::find_or_open(sk) {
        accounts::complete(sk, account);
        calls::enter_with(account, socket, Hook::Connect, 0, 0, false);
    }
    0
}

/// `tcp_connect(sk)`
#[fexit]
pub fn connect_exit(ctx: FExitContext) -> i32 {
    let Some((account, socket)) = calls::traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let mut call = Call::of(Hook::Connect);
    call.ret = ctx.arg(1);
    calls::leave(account, socket, call, true);
    0
}

/// `tcp_write_queue_purge(sk)`
#[fentry]
pub fn purge_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some((account, socket)) = calls::traced(sk) else {
        return 0;
    };
    // The run that says so first may have been skipped.
    if sk.is_destroyed() {
        account.closing = 1;
    }
    // tcp_connect purges, too, and knows nothing of the peer then.
    if account.closing != 0 {
        calls::change!(account, |a| outlet::last(a, socket));
    }
    calls::enter_with(account, socket, Hook::Purge, 0, 0, true);
    0
}

/// `tcp_write_queue_purge(sk)`: the last that happens to a socket's queues
/// when it is destroyed.
#[fexit]
pub fn purge_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some((account, socket)) = calls::traced(sk) else {
        return 0;
    };
    if sk.is_destroyed() {
        account.closing = 1;
    }
    let closing = account.closing != 0;
    let mut call = Call::of(Hook::Purge);
    call.softirq = true;
    calls::leave(account, socket, call, closing);
    if closing {
        accounts::forget(sk, account);
    }
    0
}
