//! Bytes per cause, computed from sizes that were observed: the overhead of an skb (O), the size
//! goal (G), the MSS. `kernel-semantics.md` has the formulas.

use skmem::diag::{self, KernelReading, TcpState};
use skmem_common::{
    account::Account,
    cause::{Cause, LimitCause, Sign},
    hook::Hook,
    ledger::{Balance, LimitMove, MOVES},
    record::{IDENT_MPTCP_SOCKET, IDENT_V_FORCED, IDENT_V_SEEN, OP_LIMIT, Op, View},
};

use crate::{
    case::{Rest, kernel},
    causes::Found,
    check::Check,
    sums, verdict,
};

/// A page of this kernel, in bytes.
pub fn page() -> i64 {
    rustix::param::page_size() as i64
}

/// Most bytes of an skb that a link without BIG TCP takes (`GSO_LEGACY_MAX_SIZE`).
const GSO_MAX_SIZE: i64 = 65_536;
/// `SOCK_MIN_SNDBUF` as measured on all kernels of the matrix.
const LEAST: i32 = 4608;

/// Whether it is an MPTCP socket: no skbs, and `TCP_INFO` is that of its first subflow.
pub fn is_mptcp(account: &Account) -> bool {
    account.ident.flags & IDENT_MPTCP_SOCKET != 0
}

/// What holds of every socket.
pub fn every_socket(check: &mut Check, account: &Account) {
    let name = sums::name(account);
    let one = i64::from(account.overhead);
    let total = |cause: Cause| account.ledger.now.total[cause as usize];
    check.that(
        one > 0 || is_mptcp(account) || account.ledger.now.w == 0,
        || format!("{name}: the overhead of an skb was never seen"),
    );
    for cause in Cause::ALL.iter().filter(|cause| cause.is_whole_skbs()) {
        let bytes = total(*cause).bytes;
        check.that(one == 0 || bytes % one == 0, || {
            format!(
                "{name}: {} {bytes} is no multiple of O = {one}",
                cause.name()
            )
        });
    }
    for cause in Cause::ALL {
        let bytes = total(*cause).bytes;
        let right = match cause.sign() {
            Sign::Grows => bytes >= 0,
            Sign::Frees(_) => bytes <= 0,
            Sign::Either => true,
        };
        check.that(right, || {
            format!("{name}: {} {bytes} has the wrong sign", cause.name())
        });
    }
}

/// All payload that was ever written is booked as payload, by the kernel's own counts.
pub fn written(check: &mut Check, account: &Account, truth: &KernelReading, accepted: bool) {
    let name = sums::name(account);
    let total = |cause: Cause| account.ledger.now.total[cause as usize];
    let mixed = [Cause::SynData, Cause::Unattributed, Cause::PreExisting];
    if is_mptcp(account) || mixed.iter().any(|cause| total(*cause).count > 0) {
        return;
    }
    let Some(acked) = truth.tcp.as_ref().and_then(|tcp| tcp.bytes_acked) else {
        return;
    };
    // A connecting socket's first acknowledgement is that of its SYN (tcp_snd_una_update).
    let syn = i64::from(!accepted);
    let written =
        i64::try_from(acked).unwrap_or(i64::MAX) - syn + i64::from(truth.queues.outq) - fin(truth);
    if !accepted && total(Cause::Syn).count == 0 {
        // Its tcp_connect was a skipped run: skmem knows it from a later call on.
        check.that(payload(account) <= written, || {
            format!("{name}: payload {} of {written} written", payload(account))
        });
        return;
    }
    check.equal(
        format_args!("{name}: payload booked, and what TCP_INFO and SIOCOUTQ say was written"),
        payload(account),
        written,
    );
    check.equal(
        format_args!("{name}: `taken` of the verdict, and what was written"),
        verdict::of(account, false).taken,
        written,
    );
}

fn payload(account: &Account) -> i64 {
    let payload = Cause::ALL.iter().filter(|cause| cause.is_payload());
    payload
        .map(|cause| account.ledger.now.total[*cause as usize].bytes)
        .sum()
}

/// The sequence number of a FIN that is not acknowledged.
fn fin(truth: &KernelReading) -> i64 {
    let state = truth.tcp.as_ref().map(|tcp| tcp.state);
    i64::from(matches!(
        state,
        Some(TcpState::FinWait1 | TcpState::LastAck | TcpState::Closing)
    ))
}

/// Payload in the queues, by SIOCOUTQ.
pub fn queued(truth: &KernelReading) -> i64 {
    i64::from(truth.queues.outq) - fin(truth)
}

/// A socket at rest, in numbers.
struct Numbers {
    /// `sk_wmem_queued`, as the kernel reports it.
    w: i64,
    /// `sk_sndbuf`, as the kernel reports it.
    limit: i64,
    /// Payload in the queues, by SIOCOUTQ.
    queued: i64,
    /// Payload never sent, by SIOCOUTQNSD.
    unsent: i64,
    /// O: an empty skb.
    one: i64,
    /// G: the most payload that the send path puts into an skb.
    goal: i64,
}

impl Numbers {
    fn of(account: &Account, truth: &KernelReading) -> Self {
        let goal = account
            .last
            .size_goal()
            .max(account.ledger.worst_view.size_goal());
        Self {
            w: truth.mem.wmem_queued.into(),
            limit: truth.mem.sndbuf.into(),
            queued: queued(truth),
            unsent: i64::from(truth.queues.outq_nsd) - fin(truth),
            one: account.overhead.into(),
            goal: goal.into(),
        }
    }

    /// How many skbs there are, where nothing but payload and empty skbs is in the queues.
    fn skbs(&self, check: &mut Check, name: &str) -> i64 {
        let overhead = self.w - self.queued;
        check.that(
            self.one > 0 && overhead % self.one == 0 && overhead > 0,
            || {
                format!(
                    "{name}: w {} - Send-Q {} is no multiple of O = {}",
                    self.w, self.queued, self.one
                )
            },
        );
        overhead / self.one.max(1)
    }
}

/// What a scenario is about, in bytes.
pub fn of_scenario(
    check: &mut Check,
    scenario: &str,
    rest: &Rest,
    account: &Account,
    truth: &KernelReading,
) {
    let name = sums::name(account);
    let n = Numbers::of(account, truth);
    let total = |cause: Cause| account.ledger.now.total[cause as usize];
    let write = i64::from(rest.params.write_size);
    match scenario {
        "article"
        | "gso-off"
        | "gso-max-segs"
        | "sndbuf-minimum"
        | "listener-inherit"
        | "loopback"
        | "blocking-writer"
        | "small-writes-nodelay"
        | "one-large-write"
        | "more"
        | "four-writers"
        | "acks-blackholed"
        | "fin-full-queue" => {
            bound(check, &name, account, &n);
            let skbs = n.skbs(check, &name);
            admitted(check, &name, account, &n);
            // tcp_grow_skb moves whole skbs into the one before them, whatever the goal.
            let merged = i64::try_from(total(Cause::TailMerge).count).unwrap_or(i64::MAX);
            // The goal at rest is not the one that each skb was filled by: it moves by a segment
            // between calls (the hysteresis of tcp_xmit_size_goal). And what
            // tcp_grow_skb (6.10 on) has moved a part of the next one into may be as
            // long as one that is sent.
            let goal = n.goal + i64::from(account.last.mss);
            let longest = if kernel() >= (6, 10) {
                goal.max(GSO_MAX_SIZE)
            } else {
                goal
            };
            check.that(n.unsent <= (skbs + merged) * longest, || {
                format!(
                    "{name}: {} bytes unsent in {skbs} skbs of at most {}, {merged} merged",
                    n.unsent, n.goal
                )
            });
            let slow = matches!(scenario, "article" | "gso-off" | "gso-max-segs");
            if slow && write <= 1024 && rest.params.sndbuf == Some(4096) {
                // One skb, filled to the brim before the limit was asked again.
                check.equal(format_args!("{name}: skbs"), skbs, 1);
                check.equal(
                    format_args!("{name}: Send-Q, and the size goal"),
                    n.queued,
                    n.goal,
                );
            }
            if matches!(scenario, "article" | "blocking-writer" | "acks-blackholed") {
                check.equal(
                    format_args!("{name}: threads that are known to sleep in a write"),
                    account.blocked.asleep,
                    1,
                );
            }
            match scenario {
                "gso-max-segs" => check.that(
                    Some(account.last.gso_segs.into()) == rest.params.gso_max_segs,
                    || format!("{name}: gso_segs {}", account.last.gso_segs),
                ),
                "sndbuf-minimum" => {
                    check.equal(
                        format_args!("{name}: SO_SNDBUF"),
                        asked(account),
                        Some((1, false)),
                    );
                    // SOCK_MIN_SNDBUF is 2 * (2048 + sizeof(struct sk_buff)), aligned.
                    check.that((4097..8192).contains(&n.limit), || {
                        format!("{name}: the least limit is {}", n.limit)
                    });
                }
                _ => {
                    if let Some(value) = rest.params.sndbuf {
                        let most = diag::wmem_max().unwrap_or(u64::MAX);
                        check.equal(
                            format_args!("{name}: the limit"),
                            n.limit,
                            2 * u64::from(value).min(most) as i64,
                        );
                    }
                }
            }
        }
        "data-blackholed" => {
            let (made, merged) = (total(Cause::NewSkb), total(Cause::RetransmitCollapse));
            let skbs = n.skbs(check, &name);
            check.equal(
                format_args!("{name}: skbs left of those sent"),
                skbs - i64::from(n.unsent > 0),
                1,
            );
            check.equal(
                format_args!("{name}: what skbs took that were merged into it"),
                merged.bytes,
                skbs * n.one - made.bytes,
            );
        }
        "eor" => {
            // A record, an skb; the last one may be the part that fitted before the limit.
            let skbs = n.skbs(check, &name);
            check.equal(
                format_args!("{name}: skbs, and records"),
                skbs,
                (n.queued + write - 1) / write,
            );
            check.equal(
                format_args!("{name}: bytes appended to a record that had ended"),
                (
                    total(Cause::TailAppend).bytes,
                    total(Cause::TailRefill).bytes,
                ),
                (0, 0),
            );
        }
        "zerocopy-small" | "zerocopy-large" => {
            let rounding = total(Cause::ZerocopyPageRounding).bytes;
            check.equal(
                format_args!(
                    "{name}: zerocopy payload and rounding ({rounding}) beyond whole pages"
                ),
                (payload(account) + rounding) % page(),
                0,
            );
            let calls = i64::try_from(total(Cause::ZerocopyPageRounding).count).unwrap_or(i64::MAX);
            check.that(rounding > 0 && rounding < calls * 2 * page(), || {
                format!("{name}: page rounding {rounding} in {calls} bookings")
            });
        }
        "sndbuf-lowered" => {
            check.equal(
                format_args!("{name}: SO_SNDBUF"),
                asked(account),
                Some((4096, false)),
            );
            check.equal(format_args!("{name}: the limit"), n.limit, 2 * 4096);
            let before = 2 * i64::from(rest.params.sndbuf.unwrap_or(0));
            moved(check, &name, account, LimitCause::LoweredBelowQueue, |m| {
                (i64::from(m.from), i64::from(m.to)) == (before, 2 * 4096)
            });
            check.that(n.w > before / 2, || {
                format!("{name}: only {} bytes are queued", n.w)
            });
        }
        "sndbuf-force" => match diag::wmem_max() {
            Ok(clamp) => {
                let value = (clamp + (64 << 10)).min(256 << 20) as i64;
                check.equal(
                    format_args!("{name}: SO_SNDBUFFORCE"),
                    asked(account),
                    Some((value, true)),
                );
                check.equal(format_args!("{name}: the limit"), n.limit, 2 * value);
                moved(check, &name, account, LimitCause::SetByApplication, |m| {
                    i64::from(m.to) == 2 * value
                });
            }
            Err(error) => check.fails(error.to_string()),
        },
        "autotuned" => {
            check.equal(
                format_args!("{name}: the limit is locked"),
                account.last.userlocks & 1,
                0,
            );
            moved(check, &name, account, LimitCause::AutotunedUp, |m| {
                m.to > m.from
            });
        }
        "tcp-mem" | "memcg-limit" => shrunk(check, &name, rest, account),
        "tcp-mem-locked" => {
            let value = 2 * i64::from(rest.params.sndbuf.unwrap_or(0));
            check.equal(format_args!("{name}: the limit"), n.limit, value);
            let blocked = account.blocked;
            check.that(account.scheduled.refused > 0, || {
                format!("{name}: nothing was refused")
            });
            // Such a sleep ends by itself after 2 to 200 ms (`vm_wait` in sk_stream_wait_memory),
            // and the next begins: a reading may fall between two.
            check.that(blocked.asleep <= 1 && blocked.reasons[1] > 0, || {
                format!("{name}: the writer does not sleep for want of memory: {blocked:?}")
            });
        }
        "tfo" => {
            let data = total(Cause::SynData);
            check.equal(
                format_args!("{name}: data in the SYN: skb and payload"),
                (data.bytes, data.count),
                (n.one + write.min(account.last.mss.into()), 1),
            );
        }
        "mtu-probing" => {
            // One that takes the place of exactly one skb moves nothing, so the kernel may count
            // more.
            let probes = total(Cause::MtuProbe).count;
            let counted = |key: &str| rest.counters.get(key).copied().unwrap_or(0) as u64;
            let (good, bad) = (counted("TCPMTUPSuccess"), counted("TCPMTUPFail"));
            check.that(probes > 0 && good + bad > 0, || {
                format!("{name}: {probes} MTU probes; the kernel counts {good} that came through, {bad} that did not")
            });
        }
        "loss" => {
            let merged = rest.counters.get("TCPSackMerged").copied().unwrap_or(0) as u64;
            let found = total(Cause::SackShift).count;
            check.that(found <= merged, || {
                format!("{name}: {found} skbs shifted away, TCPSackMerged {merged}")
            });
        }
        "older-than-tracer" => {
            let before = total(Cause::PreExisting);
            check.that(before.count == 1 && before.bytes > 0, || {
                format!("{name}: pre-existing {before:?}")
            });
        }
        "mptcp" if is_mptcp(account) => {
            // Payload, and a header for each fragment; nothing was acknowledged but freed.
            let headers = total(Cause::MptcpFragHeader);
            check.that(payload(account) > 0 && headers.count > 0, || {
                format!("{name}: payload {}, headers {headers:?}", payload(account))
            });
            let freed = total(Cause::MptcpAck).bytes;
            check.equal(
                format_args!("{name}: payload, headers and what was freed, and w"),
                payload(account) + headers.bytes + freed,
                n.w,
            );
            // The kernel's own count of what it took: acknowledged, and still queued (SIOCOUTQ).
            if let Some(acked) = truth.mptcp_acked {
                check.equal(
                    format_args!("{name}: `taken` of the verdict, and what MPTCP_INFO and SIOCOUTQ say was written"),
                    verdict::of(account, false).taken,
                    i64::try_from(acked).unwrap_or(i64::MAX) + i64::from(truth.queues.outq),
                );
            }
            // One write is what the last test lets in, and its header (struct mptcp_data_frag), in
            // a page fragment. 6.1 tests before a header only, and appends what the
            // fragment has room for.
            let one = if kernel() >= (6, 10) {
                write + 64
            } else {
                32 << 10
            };
            check.that(n.w < n.limit + one.min(32 << 10), || {
                format!(
                    "{name}: w {} is more than a write past the limit {}",
                    n.w, n.limit
                )
            });
            check.that(
                account.blocked.asleep == 1 && account.blocked.reasons[0] > 0,
                || {
                    format!(
                        "{name}: the writer does not sleep at the limit: {:?}",
                        account.blocked
                    )
                },
            );
            check.that(
                account.token != 0 && account.mptcp == account.ident.id,
                || {
                    format!(
                        "{name}: token {:x}, socket {}",
                        account.token, account.mptcp
                    )
                },
            );
            let beneath = rest
                .accounts
                .iter()
                .filter(|a| a.mptcp == account.ident.id && a.ident.id != account.ident.id);
            check.equal(format_args!("{name}: subflows"), beneath.count(), 1);
        }
        "many-sockets" => {
            // Without blocking: a large O leaves less room. A write that was cut short is followed
            // by a whole one.
            let most = rest.params.bytes.unwrap_or(0) as i64 + write - 1;
            check.that((1..=most).contains(&payload(account)), || {
                format!("{name}: payload {}, of {most}", payload(account))
            });
            n.skbs(check, &name);
        }
        _ => {}
    }
}

/// What the closing phase comes to.
pub fn of_the_end(check: &mut Check, scenario: &str, rest: &Rest, found: &Found) {
    let queued: i64 = rest
        .truths
        .iter()
        .map(|t| i64::from(t.mem.wmem_queued))
        .sum();
    let thrown = found.bytes("purge") + found.bytes("reset");
    match scenario {
        "rst-full-queue" => {
            check.equal(
                "thrown away by purge and reset, and queued at rest",
                -thrown,
                queued,
            );
            check.equal(
                "one queue by purge, one by reset",
                (found.count("purge"), found.count("reset")),
                (1, 1),
            );
        }
        "bad-address" => {
            check.equal(
                "writes that failed, and skbs taken away",
                found.count("unused-skb"),
                3,
            );
        }
        "many-sockets" => {
            check.equal("thrown away by resets, and queued at rest", -thrown, queued);
        }
        _ => {}
    }
}

/// `w <= (S - 1) + O + G + U + O * k`: one skb more than the limit has room for, what of its fronts
/// was cut off and sent (U, at most what is in flight), and the skbs that made (k).
fn bound(check: &mut Check, name: &str, account: &Account, n: &Numbers) {
    let fragments = |at: &Balance| -> i64 {
        [
            Cause::TsoSplit,
            Cause::ProbeSplit,
            Cause::RetransmitFragment,
        ]
        .iter()
        .filter(|cause| at.since_mask & (1 << **cause as u32) != 0)
        .map(|cause| i64::from(at.since[*cause as usize].count))
        .sum()
    };
    let in_flight = |view: &View| {
        i64::from(view.snd_nxt.wrapping_sub(view.snd_una).cast_signed()) + i64::from(view.untrimmed)
    };
    let ledger = &account.ledger;
    for (when, at, view) in [
        ("now", &ledger.now, &account.last),
        ("at its worst", ledger.at_worst(), &ledger.worst_view),
    ] {
        let most = i64::from(at.admission.sndbuf) - 1
            + n.one
            + n.goal
            + in_flight(view).max(0)
            + n.one * fragments(at);
        check.that(i64::from(at.w) <= most, || {
            format!(
                "{name} {when}: w {} is beyond (S - 1) + O + G + U + O k = {most}",
                at.w
            )
        });
    }
}

/// Since the last admission: one new skb, and payload.
fn admitted(check: &mut Check, name: &str, account: &Account, n: &Numbers) {
    let now = &account.ledger.now;
    let since = |cause: Cause| {
        let bit = 1 << cause as u32;
        (now.since_mask & bit != 0).then_some(now.since[cause as usize])
    };
    let new = since(Cause::NewSkb);
    check.equal(
        format_args!("{name}: new skbs since the admission"),
        new.map(|s| (i64::from(s.bytes), s.count)),
        Some((n.one, 1)),
    );
    check.that(
        i64::from(now.admission.w) < i64::from(now.admission.sndbuf),
        || {
            format!(
                "{name}: admitted at {} of {}",
                now.admission.w, now.admission.sndbuf
            )
        },
    );
}

/// The value given to SO_SNDBUF, and whether by SO_SNDBUFFORCE, as seen.
fn asked(account: &Account) -> Option<(i64, bool)> {
    let who = &account.ident;
    (who.flags & IDENT_V_SEEN != 0)
        .then_some((who.so_sndbuf.into(), who.flags & IDENT_V_FORCED != 0))
}

/// There was a move of the limit like this, among the last ones.
fn moved(
    check: &mut Check,
    name: &str,
    account: &Account,
    cause: LimitCause,
    like: impl Fn(&LimitMove) -> bool,
) {
    let count = account.ledger.move_count as usize;
    let moves: Vec<LimitMove> = (count.saturating_sub(MOVES)..count)
        .map(|n| account.ledger.moves[n % MOVES])
        .collect();
    check.that(
        moves.iter().any(|m| m.cause == cause as u8 && like(m)),
        || format!("{name}: no such move {} among {moves:?}", cause.name()),
    );
}

/// `sk_stream_moderate_sndbuf`: the limit became half of the queue, or the least there is.
fn shrunk(check: &mut Check, name: &str, rest: &Rest, account: &Account) {
    let mut found = 0;
    for event in rest.limits.iter().filter(|e| e.socket == account.ident.id) {
        let ops = &event.ops[..usize::from(event.header.ops).min(event.ops.len())];
        let shrink =
            |op: &&Op| op.kind == OP_LIMIT && op.cause == LimitCause::ShrunkByMemoryPressure as u8;
        for op in ops.iter().filter(shrink) {
            found += 1;
            // The call that asks for memory changes nothing of the queue itself.
            if event.header.hook == Hook::MemSchedule as u8 {
                check.equal(
                    format_args!(
                        "{name}: the limit under pressure, and half of w = {}",
                        event.view.wmem_queued
                    ),
                    op.value,
                    (event.view.wmem_queued / 2).max(LEAST),
                );
            } else {
                eprintln!("tests: {name}: shrunk in hook {}", event.header.hook);
            }
        }
    }
    check.that(found > 0, || format!("{name}: the limit never shrank"));
    check.equal(
        format_args!("{name}: the limit is locked"),
        account.last.userlocks & 1,
        0,
    );
}
