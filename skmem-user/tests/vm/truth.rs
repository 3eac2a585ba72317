//! The account against what the kernel reports of the same socket by ways that skmem has no part
//! in.

use std::net::IpAddr;

use skmem::diag::{KernelReading, TcpInfo, TcpState};
use skmem_common::{
    account::Account,
    cause::Cause,
    record::{IDENT_CLOSED, IDENT_COOKIE},
};

use crate::{
    case,
    check::Check,
    formulas::{self, page},
    sums,
};

/// Whether two readings are of the same state: nothing moved between them.
pub fn at_rest(before: &[KernelReading], after: &[KernelReading]) -> bool {
    before.len() == after.len()
        && before.iter().zip(after).all(|(b, a)| {
            // Option memory is not the queue's: what tracers keep of a socket is charged to it.
            let mut mem = b.mem;
            mem.optmem = a.mem.optmem;
            // A write that was acknowledged at once leaves the queue as it was. TCP_INFO is read
            // after the queue: where an ACK comes between the two, and a write fills the queue up
            // again, only what was sent tells the readings apart.
            let moved = |t: &KernelReading| {
                let tcp = t.tcp.as_ref();
                tcp.map(|tcp| (tcp.bytes_acked, tcp.bytes_sent, tcp.snd_wnd))
            };
            b.endpoint == a.endpoint
                && mem == a.mem
                && b.queues == a.queues
                && b.so_sndbuf == a.so_sndbuf
                && moved(b) == moved(a)
        })
}

/// The account of the socket that `truth` is a reading of: by cookie, or where the kernel gives
/// tracing programs no cookies (before 5.12), by the ends of the connection.
pub fn account_of<'a>(
    accounts: &'a [Box<Account>],
    truth: &KernelReading,
    netns: u64,
) -> Option<&'a Account> {
    let end = &truth.endpoint;
    accounts
        .iter()
        .find(|account| {
            let who = &account.ident;
            if who.flags & IDENT_COOKIE != 0 {
                return who.id == end.cookie;
            }
            who.flags & IDENT_CLOSED == 0
                && u64::from(who.netns) == netns
                && (who.sport, who.dport) == (end.sport, end.dport)
                && address(who.family, who.saddr) == Some(end.src)
                && address(who.family, who.daddr) == Some(end.dst)
        })
        .map(|account| &**account)
}

fn address(family: u16, bytes: [u8; 16]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])),
        libc::AF_INET6 => Some(IpAddr::from(bytes)),
        _ => None,
    }
}

/// Field by field.
pub fn check(check: &mut Check, account: &Account, truth: &KernelReading) {
    let name = sums::name(account);
    let last = &account.last;
    let now = &account.ledger.now;
    let mut equal = |what: &str, ours: i64, theirs: i64| {
        check.equal(
            format_args!("{name}: {what} as traced and as the kernel reports"),
            ours,
            theirs,
        );
    };
    equal(
        "wmem_queued of the ledger",
        now.w.into(),
        truth.mem.wmem_queued.into(),
    );
    equal(
        "sndbuf of the ledger",
        now.sndbuf.into(),
        truth.mem.sndbuf.into(),
    );
    equal(
        "wmem_queued",
        last.wmem_queued.into(),
        truth.mem.wmem_queued.into(),
    );
    equal("sndbuf", last.sndbuf.into(), truth.mem.sndbuf.into());
    equal(
        "sndbuf by getsockopt(SO_SNDBUF)",
        now.sndbuf.into(),
        truth.so_sndbuf.into(),
    );
    if case::kernel() >= (6, 0) {
        equal(
            "forward_alloc",
            last.forward_alloc.into(),
            truth.mem.fwd_alloc.into(),
        );
    }
    let state = truth.tcp.as_ref().map(|tcp| tcp.state);
    if state != Some(TcpState::SynSent) {
        let send_q = account.write_seq.wrapping_sub(account.snd_una);
        equal("send_q (SIOCOUTQ)", send_q.into(), truth.queues.outq.into());
        equal(
            "unsent (SIOCOUTQNSD)",
            unsent(account).into(),
            truth.queues.outq_nsd.into(),
        );
    }
    if let Some(tcp) = truth.tcp.as_ref().filter(|_| !formulas::is_mptcp(account)) {
        equal("mss (TCP_INFO)", last.mss.into(), tcp.snd_mss.into());
        if let Some(notsent) = tcp.notsent_bytes {
            equal("unsent (TCP_INFO)", unsent(account).into(), notsent.into());
        }
        if let Some(window) = tcp.snd_wnd {
            equal("snd_wnd (TCP_INFO)", last.snd_wnd.into(), window.into());
        }
        segments(check, account, tcp);
    }
    // Old kernels give whole pages back from timers that change nothing else
    // (tcp_write_timer_handler).
    let back = last.forward_alloc - truth.mem.fwd_alloc;
    check.that(back >= 0 && i64::from(back) % page() == 0, || {
        format!(
            "{name}: forward_alloc as traced {}, as the kernel reports {}",
            last.forward_alloc, truth.mem.fwd_alloc
        )
    });
    let (who, end) = (&account.ident, &truth.endpoint);
    check.equal(
        format_args!("{name}: addresses and ports"),
        (
            address(who.family, who.saddr),
            who.sport,
            address(who.family, who.daddr),
            who.dport,
        ),
        (Some(end.src), end.sport, Some(end.dst), end.dport),
    );
    // What is in qdisc and NIC leaves by itself, under no lock: since the last call it can only
    // have become less.
    check.that(last.wmem_alloc >= truth.mem.wmem_alloc, || {
        format!(
            "{name}: wmem_alloc at the last call {}, now {}",
            last.wmem_alloc, truth.mem.wmem_alloc
        )
    });
}

/// What the kernel counts in segments, we count in bytes.
fn segments(check: &mut Check, account: &Account, tcp: &TcpInfo) {
    let name = sums::name(account);
    let in_flight = account.write_seq.wrapping_sub(account.snd_una) - unsent(account);
    let room = u64::from(tcp.unacked) * u64::from(tcp.snd_mss);
    check.that((in_flight == 0) == (tcp.unacked == 0), || {
        format!(
            "{name}: {in_flight} bytes in flight, and tcpi_unacked {}",
            tcp.unacked
        )
    });
    // A FIN or a SYN is a segment of one sequence number.
    check.that(u64::from(in_flight) <= room + 1, || {
        format!(
            "{name}: {in_flight} bytes in flight, more than {} segments of {}",
            tcp.unacked, tcp.snd_mss
        )
    });
    let cut = account.ledger.now.total[Cause::RetransmitFragment as usize].count
        + account.ledger.now.total[Cause::RetransmitCollapse as usize].count;
    check.that(cut == 0 || tcp.total_retrans > 0, || {
        format!("{name}: {cut} skbs cut or merged for retransmission, and tcpi_total_retrans 0")
    });
}

fn unsent(account: &Account) -> u32 {
    // Sent bytes that were acknowledged are sent: calls without a record may have moved snd_una on.
    let next = account.last.snd_nxt;
    let next = if next.wrapping_sub(account.snd_una).cast_signed() < 0 {
        account.snd_una
    } else {
        next
    };
    account.write_seq.wrapping_sub(next)
}
