//! What waits to be sent or acknowledged, where, and what the memory for it is.

use super::{Finding, Limits, Reading, alarm, bytes, note, percent, stuck};
use crate::{diag::TcpState, explain::numbers::grouped};

/// Less than this is a send in passing, bytes.
pub(super) const SMALL: i64 = 16 << 10;

/// w past tb.
pub(super) fn over_limit(reading: &Reading) -> Option<Finding> {
    let (queued, limit) = (reading.memory.wmem_queued?, reading.memory.sndbuf?);
    if limit <= 0 || queued < limit || !reading.is_connection() {
        return None;
    }
    let excess = match queued - limit {
        0 => "w has reached tb".to_owned(),
        over => format!(
            "w is {} over tb ({} %)",
            bytes(over),
            percent(queued, limit)
        ),
    };
    alarm(
        "over-limit",
        "w tb",
        format!(
            "{excess}: send() waits or gives EAGAIN until w is below tb; poll() says writable, and a sender that \
             sleeps wakes up, at two thirds of tb. The limit is tested before a new packet is begun and not while \
             one is filled; `skmem explain` names each byte of the excess."
        ),
    )
}

/// Everything waits in TCP: for what?
pub(super) fn waits_in_tcp(reading: &Reading) -> Option<Finding> {
    if !reading.is_tcp() || !reading.is_connection() {
        return None;
    }
    if reading.is_mptcp() {
        return waits_in_mptcp(reading);
    }
    let below = reading.memory.wmem_alloc;
    let queued = reading.memory.wmem_queued.or(reading.send_payload())?;
    let held = stuck::persists(reading)
        || matches!((reading.info.unsent, reading.info.snd_wnd), (Some(unsent), Some(window)) if unsent > window);
    if queued == 0 || (queued < SMALL && !held) {
        return None;
    }
    if below.is_some_and(|below| below.saturating_mul(8) > queued) {
        return None;
    }
    let where_ = match below {
        None => format!("{} of data wait in TCP", bytes(queued)),
        Some(0) => {
            "t is 0: everything waits in TCP, unless something below took packets over (netem and tunnels do)"
                .to_owned()
        }
        Some(t) => format!(
            "t is {}: nearly everything waits in TCP, unless something below took packets over (netem and tunnels do)",
            bytes(t)
        ),
    };
    let (tag, why) = stuck::held_by(reading);
    let about = if below.is_some() { "t w" } else { "Send-Q" };
    alarm(tag, about, format!("{where_}. {why}"))
}

/// w of an MPTCP socket: its subflows send copies of what it keeps, and hold little themselves.
fn waits_in_mptcp(reading: &Reading) -> Option<Finding> {
    let queued = reading
        .memory
        .wmem_queued
        .filter(|queued| *queued >= SMALL)?;
    alarm(
        "waits-in-tcp",
        "w",
        format!(
            "{} of memory hold data that MPTCP has not sent, or whose receipt the peer's MPTCP has not acknowledged \
             (DATA_ACK). What it waits for, the subflows tell: `ss -ti` shows their snd_wnd, cwnd and timers.",
            bytes(queued)
        ),
    )
}

/// Much of it is below TCP, or all of it that may be on the way.
pub(super) fn below_tcp(reading: &Reading) -> Option<Finding> {
    if !reading.is_tcp() || reading.is_mptcp() {
        return None;
    }
    let (below, queued) = (reading.memory.wmem_alloc?, reading.memory.wmem_queued?);
    if below < SMALL {
        return None;
    }
    if below.saturating_mul(2) >= queued {
        return alarm(
            "below-tcp",
            "t",
            format!(
                "{} have left TCP and are still in the queueing discipline or the card: look at `tc -s qdisc` and \
                 the device, not at windows.",
                bytes(below)
            ),
        );
    }
    let in_flight = reading.in_flight().filter(|bytes| *bytes > 0)?;
    let room = reading.info.unacked? < reading.info.cwnd?;
    if reading.info.unsent? == 0 || below < in_flight || !room {
        return None;
    }
    alarm(
        "below-tcp",
        "t unacked cwnd",
        format!(
            "All that is in flight ({}) is still in the queueing discipline or the card (t {}), and the congestion \
             window has room: what holds the sender back is how late the card says that it has sent (TX completions, \
             interrupt coalescing), or the queueing discipline's pace.",
            bytes(in_flight),
            grouped(below)
        ),
    )
}

/// t of a UDP socket at its limit.
pub(super) fn udp_limit(reading: &Reading) -> Option<Finding> {
    let (below, limit) = (reading.memory.wmem_alloc?, reading.memory.sndbuf?);
    if !reading.is_udp() || limit <= 0 || below < limit {
        return None;
    }
    alarm(
        "udp-send-limit",
        "t tb",
        format!(
            "t is at tb ({} %): send() waits or gives EAGAIN until the queueing discipline or the card has sent some \
             of it. Of UDP tb limits t.",
            percent(below, limit)
        ),
    )
}

/// What the kernel's own clocks say.
pub(super) fn limited_for(reading: &Reading, limits: &Limits) -> Option<Finding> {
    let info = &reading.info;
    let (peer, buffer) = match (info.busy_ms, info.rwnd_limited_percent) {
        (Some(busy), _) if busy >= 100 => {
            let share = |part: Option<i64>| percent(part.unwrap_or(0), busy);
            (share(info.rwnd_limited_ms), share(info.sndbuf_limited_ms))
        }
        (None, Some(peer)) => (peer as i64, 0),
        _ => return None,
    };
    if buffer >= 20 && peer >= 20 {
        return alarm(
            "sndbuf-limited",
            "sndbuf_limited rwnd_limited",
            format!(
                "Of the time with data to send, the send buffer kept it from going faster for {buffer} % and the \
                 peer's window for {peer} %: a larger SO_SNDBUF, or none, helps only as far as that window allows."
            ),
        );
    }
    if buffer >= 20 {
        return alarm(
            "sndbuf-limited",
            "sndbuf_limited",
            format!(
                "For {buffer} % of the time with data to send, the send buffer was what kept it from going \
                 faster: {}.",
                if reading.memory.sndbuf == Some(limits.wmem_max) {
                    "a larger net.ipv4.tcp_wmem[2], up to which the kernel has raised tb, would help"
                } else {
                    "a larger SO_SNDBUF, or none, would help"
                }
            ),
        );
    }
    (peer >= 50).then_some(())?;
    note(
        "peer-limited",
        "rwnd_limited",
        format!(
            "For {peer} % of the time with data to send, the peer's window stopped it: a larger send buffer only \
             queues more."
        ),
    )
}

/// Much memory for little data.
pub(super) fn overhead(reading: &Reading) -> Option<Finding> {
    let (payload, overhead) = (reading.send_payload()?, reading.skb_overhead()?);
    if payload == 0 || overhead < SMALL || overhead < payload {
        return None;
    }
    note(
        "overhead",
        "w Send-Q",
        format!(
            "{} of memory for {} of data: many small packets, or small zero-copy sends, which count whole \
             pages.",
            bytes(payload + overhead),
            bytes(payload)
        ),
    )
}

/// Data of a socket that no process holds.
pub(super) fn orphan(reading: &Reading) -> Option<Finding> {
    let closing = matches!(
        reading.state?,
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck
    );
    let send_q = reading.send_payload()?;
    if !closing
        || send_q == 0
        || !reading.users.is_empty()
        || reading.inode.is_some_and(|inode| inode != 0)
    {
        return None;
    }
    let subject = match reading.inode {
        Some(_) => "The application has closed",
        None => "The application has closed, or shut down its sending side",
    };
    note(
        "orphan",
        "Send-Q",
        format!(
            "{subject}; {} stay with the kernel until they are acknowledged or it gives up \
             (tcp_orphan_retries), in no process's account.",
            bytes(send_q)
        ),
    )
}

pub(super) fn options(reading: &Reading) -> Option<Finding> {
    let optmem = reading.memory.optmem.filter(|optmem| *optmem >= 4096)?;
    note(
        "option-memory",
        "o",
        format!(
            "{} for options: zero-copy notifications that were not read, BPF storage, or keys.",
            bytes(optmem)
        ),
    )
}
