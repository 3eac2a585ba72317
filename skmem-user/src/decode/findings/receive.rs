//! What has arrived: who does not read, what was dropped.

use super::{Finding, Reading, alarm, bytes, note, percent};
use crate::{diag::TcpState, explain::numbers::grouped};

/// r near rb.
pub(super) fn slow_reader(reading: &Reading) -> Option<Finding> {
    let (held, limit) = (reading.memory.rmem_alloc?, reading.memory.rcvbuf?);
    if limit <= 0 || held.saturating_mul(5) < limit.saturating_mul(4) {
        return None;
    }
    let share = percent(held, limit);
    let Some(waiting) = reading.recv_q.filter(|_| reading.is_connection()) else {
        return alarm(
            "slow-reader",
            "r rb",
            format!("r is at rb ({share} %): the reader is slow; further packets are dropped."),
        );
    };
    if waiting == 0 {
        return alarm(
            "held-not-readable",
            "r rb",
            format!(
                "r is at rb ({share} %) with nothing to read: out-of-order data that waits for a hole to be filled, \
                 or messages on the error queue."
            ),
        );
    }
    alarm(
        "slow-reader",
        "r rb",
        format!(
            "r is at rb ({share} %): the reader is slow. {} wait for recv(), and the window that we offer is shut \
             or nearly so: the other side queues.",
            bytes(waiting)
        ),
    )
}

/// r without Recv-Q.
pub(super) fn nothing_to_read(reading: &Reading) -> Option<Finding> {
    let (held, waiting) = (reading.memory.rmem_alloc?, reading.recv_q?);
    let full = reading
        .memory
        .rcvbuf
        .is_some_and(|rb| held.saturating_mul(5) >= rb.saturating_mul(4));
    if held < 4096 || full || !reading.is_connection() {
        return None;
    }
    if waiting == 0 {
        return note(
            "held-not-readable",
            "r Recv-Q",
            format!(
                "{} are held and none can be read: out-of-order data that waits for a hole to be filled, or unread \
                 messages on the error queue.",
                bytes(held)
            ),
        );
    }
    (held >= 16 << 10 && held / waiting >= 4).then_some(())?;
    note(
        "small-packets",
        "r Recv-Q",
        format!(
            "{} of memory for {} of data: it came in small packets, each of which costs hundreds of bytes.",
            bytes(held),
            bytes(waiting)
        ),
    )
}

pub(super) fn close_wait(reading: &Reading) -> Option<Finding> {
    if reading.state? != TcpState::CloseWait {
        return None;
    }
    note(
        "close-wait",
        "State",
        "The peer has closed and our application has not: it stays so until close().".into(),
    )
}

/// The accept queue of a listener.
pub(super) fn accept_queue(reading: &Reading) -> Option<Finding> {
    let (waiting, most) = (reading.recv_q?, reading.send_q?);
    if !reading.listens() || waiting == 0 {
        return None;
    }
    if waiting >= most {
        return alarm(
            "accept-queue-full",
            "Recv-Q Send-Q",
            format!(
                "The accept queue is full ({} of {}): new connections are dropped until the application calls \
                 accept().",
                grouped(waiting),
                grouped(most)
            ),
        );
    }
    note(
        "accept-queue",
        "Recv-Q",
        format!(
            "{} for accept(); for a listener Recv-Q and Send-Q count connections, not bytes.",
            match waiting {
                1 => "1 connection waits".to_owned(),
                n => format!("{} connections wait", grouped(n)),
            }
        ),
    )
}

pub(super) fn backlog(reading: &Reading) -> Option<Finding> {
    let backlog = reading.memory.backlog.filter(|backlog| *backlog > 0)?;
    note(
        "backlog",
        "bl",
        format!(
            "{} arrived while the application was inside a call on the socket: handled when it leaves.",
            bytes(backlog)
        ),
    )
}

pub(super) fn drops(reading: &Reading) -> Option<Finding> {
    let drops = reading.memory.drops.filter(|drops| *drops > 0)?;
    let packets = if drops == 1 { "packet" } else { "packets" };
    let why = if reading.listens() {
        "connections that found its queue full, or strange packets"
    } else if reading.is_udp() {
        "data that the application will never see: its buffer was full, or checksums were wrong"
    } else {
        "duplicates, or what fell outside the window; TCP sends lost data again"
    };
    note(
        "drops",
        "d",
        format!(
            "{} {packets} (not bytes) thrown away on arrival since the socket was made: {why}.",
            grouped(drops)
        ),
    )
}
