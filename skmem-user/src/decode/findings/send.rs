//! What waits to be sent or acknowledged, where, and for what.

use super::{Finding, Reading, alarm, bytes, note, percent};
use crate::{diag::TcpState, explain::numbers::grouped};

/// Less than this is a send in passing, bytes.
const SMALL: i64 = 16 << 10;

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
            "{excess}: send() waits or gives EAGAIN until w is below two thirds of tb. The limit is tested before \
             a new packet is begun and not while one is filled; `skmem explain` names each byte of the excess."
        ),
    )
}

/// Everything waits in TCP: for what?
pub(super) fn waits_in_tcp(reading: &Reading) -> Option<Finding> {
    let (queued, below) = (reading.memory.wmem_queued?, reading.memory.wmem_alloc?);
    if queued < SMALL || below.saturating_mul(8) > queued || !reading.is_connection() {
        return None;
    }
    let where_ = match below {
        0 => "t is 0: nothing is in the queueing discipline or the card, everything waits in TCP"
            .to_owned(),
        t => format!(
            "t is {}: nearly everything waits in TCP, not below it",
            bytes(t)
        ),
    };
    let (tag, why) = held_by(reading);
    alarm(tag, "t w", format!("{where_}. {why}"))
}

/// What holds the data that waits in TCP: a tag and a sentence.
fn held_by(reading: &Reading) -> (&'static str, String) {
    const PEER: &str = "waits-for-peer-window";
    let info = &reading.info;
    let timer = reading.timer.as_ref();
    if timer.is_some_and(|timer| timer.name == "persist") {
        let why =
            "The timer is `persist`: the peer's window has no room. Its application does not read.";
        return (PEER, why.into());
    }
    let (Some(unsent), Some(in_flight)) = (info.unsent, reading.in_flight()) else {
        let why = "Sent and not acknowledged, or held back by the peer's window or the congestion window: `ss -i` \
                   shows notsent, snd_wnd and cwnd.";
        return ("waits-in-tcp", why.into());
    };
    if unsent == 0 {
        let why = format!(
            "All of it was sent ({} in flight) and waits for ACKs.",
            bytes(in_flight)
        );
        return ("waits-for-acks", why);
    }
    let mss = info.mss.unwrap_or(1460);
    let split = format!("{} unsent, {} in flight.", bytes(unsent), bytes(in_flight));
    let window_full = info
        .snd_wnd
        .is_some_and(|window| in_flight.saturating_add(mss) > window);
    let cwnd_full = match (info.unacked, info.cwnd) {
        (Some(unacked), Some(cwnd)) => unacked >= cwnd,
        (None, Some(cwnd)) => in_flight >= cwnd.saturating_mul(mss),
        _ => false,
    };
    let (tag, reason) = match (window_full, cwnd_full) {
        (true, true) => (PEER, "Both the peer's window and the congestion window are full.".to_owned()),
        (true, false) => (
            PEER,
            format!(
                "The peer's window ({}) is full: its application reads slowly, or its buffer is small for the path.",
                bytes(info.snd_wnd.unwrap_or(0))
            ),
        ),
        (false, true) => (
            "waits-for-cwnd",
            format!(
                "The congestion window ({} segments of {}) is full: the network's pace, not the peer.",
                info.cwnd.unwrap_or(0),
                bytes(mss)
            ),
        ),
        // ss leaves snd_wnd out when it is 0, and older versions always do.
        (false, false) if in_flight == 0 => (
            "waits-in-tcp",
            "Nothing is in flight: the peer's window is shut, or the packets are about to go.".to_owned(),
        ),
        (false, false) => (
            "waits-in-tcp",
            "Neither the windows shown nor the card explain it: pacing, or the peer's window where it is not shown."
                .to_owned(),
        ),
    };
    (tag, format!("{split} {reason}"))
}

/// Much of it is below TCP.
pub(super) fn below_tcp(reading: &Reading) -> Option<Finding> {
    let (below, queued) = (reading.memory.wmem_alloc?, reading.memory.wmem_queued?);
    if reading.is_udp() || below < SMALL || below.saturating_mul(2) < queued {
        return None;
    }
    alarm(
        "below-tcp",
        "t",
        format!(
            "{} have left TCP and are still in the queueing discipline or the card: look at `tc -s qdisc` and the \
             device, not at windows.",
            bytes(below)
        ),
    )
}

pub(super) fn retransmits(reading: &Reading) -> Option<Finding> {
    let timeouts = reading
        .timer
        .as_ref()
        .filter(|timer| timer.name == "on")
        .map(|timer| timer.count)
        .or(reading.info.backoff)
        .unwrap_or(0);
    if timeouts >= 2 && reading.send_q? > 0 {
        return alarm(
            "timeouts",
            "timer",
            format!(
                "{} timeouts in a row: nothing has been acknowledged for a while. The peer or the path is gone.",
                grouped(timeouts)
            ),
        );
    }
    let lost = reading
        .info
        .lost
        .or(reading.info.retrans)
        .filter(|lost| *lost > 0)?;
    note(
        "losses",
        "lost retrans",
        format!(
            "{} segments are lost or being sent again now.",
            grouped(lost)
        ),
    )
}

/// What the kernel's own clocks say.
pub(super) fn limited_for(reading: &Reading) -> Option<Finding> {
    let info = &reading.info;
    let busy = info.busy_ms.filter(|busy| *busy >= 100)?;
    let share = |part: Option<i64>| percent(part.unwrap_or(0), busy);
    let (peer, buffer) = (share(info.rwnd_limited_ms), share(info.sndbuf_limited_ms));
    if buffer >= 20 {
        return alarm(
            "sndbuf-limited",
            "sndbuf_limited",
            format!(
                "For {buffer} % of the time with data to send, the send buffer was what kept it from going \
                 faster: a larger SO_SNDBUF, or none, would help."
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
    note(
        "orphan",
        "Send-Q",
        format!(
            "The application has closed; {} stay with the kernel until they are acknowledged or it gives up \
             (tcp_orphan_retries), in no process's account.",
            bytes(send_q)
        ),
    )
}

pub(super) fn forward(reading: &Reading) -> Option<Finding> {
    let forward = reading.memory.forward_alloc?;
    if forward < 0 {
        return note(
            "forward-alloc",
            "f",
            format!(
                "f is {}, which ss prints as {}: charged less than used, for a moment.",
                grouped(forward),
                forward.rem_euclid(1 << 32)
            ),
        );
    }
    if forward < 256 << 10 {
        return None;
    }
    note(
        "forward-alloc",
        "f",
        format!(
            "{} are charged to the socket and not in use: normal up to 2 MiB before kernel 6.0.",
            bytes(forward)
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
