//! Puts a verdict together.

use std::net::{Ipv4Addr, Ipv6Addr};

use skmem_common::{
    account::Account,
    cause::{Cause, LimitCause},
    ledger::{Balance, LimitMove, MOVES},
    record::{IDENT_CLOSED, IDENT_COOKIE, IDENT_MPTCP_SOCKET, IDENT_OLDER},
};

use super::{
    VerdictContext, advice, checks,
    fields::{AccountAt, Queue, RequestedSndbuf, moves},
    verdict::{
        Admission, Blame, Blocked, CauseSum, CauseTotal, Clock, Clocks, Held, HookSet, LimitChange,
        MPTCP, Memory, Outputs, PeerWindow, Receive, SCHEMA, SelfCheck, Socket, Verdict,
    },
};

const AF_INET6: u16 = 10;

pub(super) fn verdict(account: &Account, setting: &VerdictContext<'_>) -> Verdict {
    let at = AccountAt::choose(account, setting.at_end);
    let balance = at.balance;
    let queue = Queue::of(account, &at);
    let asked = RequestedSndbuf::of(account, &at, setting);
    let unattributed = balance.total(Cause::Unattributed);
    let mut verdict = Verdict {
        schema: SCHEMA,
        kernel: setting.kernel.to_owned(),
        socket: socket(account, at.view.state, setting),
        instant: at.instant,
        at_ns: at.ns,
        at_wall_ns: setting.wall_at(at.ns),
        clock: setting.wall_at(setting.now_ns).map(|wall_ns| Clock {
            monotonic_ns: setting.now_ns,
            wall_ns,
        }),
        over_limit: account.ledger.worst_ns != 0,
        worst_excess: i64::from(account.ledger.worst_excess),
        so_sndbuf: asked.as_ref().map(|a| a.value),
        so_sndbuf_inferred: asked.as_ref().is_some_and(|a| a.inferred),
        doubling: asked.as_ref().map(|a| a.doubling),
        limit_chain: asked.map_or_else(Vec::new, |a| a.chain),
        sndbuf: i64::from(balance.sndbuf),
        limit_locked: at.locked(),
        wmem_queued: i64::from(balance.w),
        send_q: queue.send_q,
        payload: queue.payload,
        skb_overhead: queue.overhead,
        skb_truesize: queue.truesize,
        skbs: queue.skbs,
        untrimmed: i64::from(at.view.untrimmed),
        syn_fin: queue.syn_fin,
        unsent: i64::from(
            at.view
                .write_seq
                .wrapping_sub(at.view.snd_nxt)
                .cast_signed(),
        ),
        forward_alloc: i64::from(at.view.forward_alloc),
        wmem_alloc: i64::from(at.view.wmem_alloc),
        size_goal: i64::from(at.view.size_goal()),
        mss: i64::from(at.view.mss),
        gso_segs: i64::from(at.view.gso_segs),
        excess: i64::from(balance.w) - i64::from(balance.sndbuf),
        admission: Admission {
            at_ns: balance.admission.at_ns,
            wmem_queued: i64::from(balance.admission.w),
            sndbuf: i64::from(balance.admission.sndbuf),
            count: balance.admission.count,
        },
        causes: causes(balance),
        ledger: ledger(balance),
        limit_moves: limit_moves(account, &at),
        limit_moves_omitted: u64::from(account.ledger.move_count).saturating_sub(MOVES as u64),
        taken: taken(&account.ledger.now),
        stuck: stuck(&account.ledger.now),
        inferred: inferred(balance),
        unattributed: unattributed.bytes,
        unattributed_count: unattributed.count,
        skipped_runs: setting.skipped_runs,
        hooks: HookSet::of(account),
        memory: Memory::of(account),
        receive: Receive::of(account, setting),
        blocked: Blocked::of(account, setting),
        blame: None,
        hold_ups: Held::list(account),
        clocks: Clocks::of(account),
        output: Outputs::of(account),
        peer_window: PeerWindow::of(account, &at),
        lost_events: u64::from(account.lost),
        complete: false,
        incomplete_because: Vec::new(),
        self_check: SelfCheck {
            excess_closes: false,
            ledger_closes: false,
            fields_match: false,
            stream_agrees: None,
            pages_close: None,
        },
        explanation: Vec::new(),
        advice: Vec::new(),
        not_helpful: Vec::new(),
    };
    verdict.self_check = SelfCheck::of(account, &verdict, &at, setting);
    verdict.incomplete_because = checks::missing(
        account,
        &at,
        &verdict.self_check,
        verdict.is_stuck(),
        setting.source,
    );
    verdict.complete = verdict.incomplete_because.is_empty();
    verdict.blame = Blame::of(account, &verdict);
    verdict.explanation = advice::explanation(&verdict);
    verdict.advice = advice::useful(&verdict);
    verdict.not_helpful = advice::useless(&verdict);
    verdict
}

fn socket(account: &Account, state: u8, setting: &VerdictContext<'_>) -> Socket {
    let ident = &account.ident;
    let is_mptcp = ident.flags & IDENT_MPTCP_SOCKET != 0;
    let comm = ident.comm.split(|b| *b == 0).next().unwrap_or_default();
    Socket {
        cookie: (ident.flags & IDENT_COOKIE != 0).then_some(ident.id),
        id: ident.id,
        pid: ident.pid,
        comm: String::from_utf8_lossy(comm).into_owned(),
        family: if ident.family == AF_INET6 {
            "inet6"
        } else {
            "inet"
        },
        src: address(ident.family, ident.saddr),
        sport: ident.sport,
        dst: address(ident.family, ident.daddr),
        dport: ident.dport,
        protocol: if is_mptcp { MPTCP } else { "tcp" },
        mptcp_token: (is_mptcp && account.token != 0).then_some(account.token),
        mptcp_socket: (!is_mptcp && account.mptcp != 0).then_some(account.mptcp),
        netns: ident.netns,
        netns_name: None,
        cgroup: None,
        container: None,
        unit: None,
        pod: None,
        namespace: None,
        container_name: None,
        state: state_name(state),
        seen_ns: ident.seen_ns,
        seen_wall_ns: setting.wall_at(ident.seen_ns),
        older: ident.flags & IDENT_OLDER != 0,
        closed: ident.flags & IDENT_CLOSED != 0,
    }
}

/// An address as an [`skmem_common::record::Ident`] holds it, without brackets.
#[must_use]
pub fn address(family: u16, bytes: [u8; 16]) -> String {
    if family == AF_INET6 {
        Ipv6Addr::from(bytes).to_string()
    } else {
        let [a, b, c, d, ..] = bytes;
        Ipv4Addr::new(a, b, c, d).to_string()
    }
}

/// A state of the kernel's `tcp_states.h` as `ss` calls it.
#[must_use]
pub(crate) fn state_name(state: u8) -> &'static str {
    match state {
        1 => "ESTAB",
        2 => "SYN-SENT",
        3 => "SYN-RECV",
        4 => "FIN-WAIT-1",
        5 => "FIN-WAIT-2",
        6 => "TIME-WAIT",
        7 => "UNCONN",
        8 => "CLOSE-WAIT",
        9 => "LAST-ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        _ => "UNKNOWN",
    }
}

fn causes(balance: &Balance) -> Vec<CauseSum> {
    let mut causes: Vec<_> = Cause::ALL
        .iter()
        .filter_map(|cause| {
            let since = balance.since(*cause)?;
            Some(CauseSum {
                cause: *cause,
                bytes: i64::from(since.bytes),
                count: u64::from(since.count),
                first_ns: since.first_ns,
                inferred: i64::from(since.inferred),
            })
        })
        .collect();
    causes.sort_by_key(|c| c.first_ns);
    causes
}

fn ledger(balance: &Balance) -> Vec<CauseTotal> {
    Cause::ALL
        .iter()
        .map(|cause| (cause, balance.total(*cause)))
        .filter(|(_, total)| total.count != 0)
        .map(|(cause, total)| CauseTotal {
            cause: *cause,
            bytes: total.bytes,
            count: total.count,
            inferred: total.inferred,
        })
        .collect()
}

fn taken(balance: &Balance) -> i64 {
    let payload = Cause::ALL.iter().filter(|cause| cause.is_payload());
    payload.fold(0, |sum: i64, cause| {
        sum.saturating_add(balance.total(*cause).bytes)
    })
}

fn stuck(now: &Balance) -> bool {
    let known = Cause::ALL
        .iter()
        .filter(|cause| **cause != Cause::PreExisting);
    now.w > 0
        && now.admission.count == 0
        && known.map(|cause| now.total(*cause).count).all(|n| n == 0)
}

fn inferred(balance: &Balance) -> i64 {
    let totals = Cause::ALL.iter().map(|cause| balance.total(*cause));
    totals.fold(0, |sum: i64, total| {
        sum.saturating_add(total.inferred.saturating_abs())
    })
}

fn limit_moves(account: &Account, at: &AccountAt<'_>) -> Vec<LimitChange> {
    let list: Vec<LimitMove> = moves(account).collect();
    let admission = &at.balance.admission;
    // Back from the instant to the limit that the admission was tested
    // against. A move between that test and the queueing counts too.
    let until = list.partition_point(|m| m.at_ns <= at.until_ns);
    let mut from = until;
    let mut sndbuf = at.balance.sndbuf;
    while let Some(m) = from.checked_sub(1).map(|n| &list[n]) {
        let earlier = m.at_ns <= admission.at_ns && sndbuf == admission.sndbuf;
        if earlier || m.to != sndbuf {
            break;
        }
        from -= 1;
        sndbuf = m.from;
    }
    let closes = sndbuf == admission.sndbuf;
    let change = |(n, m): (usize, &LimitMove)| LimitChange {
        at_ns: m.at_ns,
        from: i64::from(m.from),
        to: i64::from(m.to),
        cause: LimitCause::from_u8(m.cause),
        since_admission: closes && (from..until).contains(&n),
    };
    list.iter().enumerate().map(change).collect()
}
