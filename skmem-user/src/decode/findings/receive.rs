//! What has arrived: who does not close or accept, what was dropped.

use super::{Finding, Reading, alarm, bytes, note};
use crate::{diag::TcpState, explain::numbers::grouped};

/// A window cut to a few segments though there is room.
pub(super) fn window_cut(reading: &Reading) -> Option<Finding> {
    let (most, limit) = (reading.info.rcv_ssthresh?, reading.memory.rcvbuf?);
    let segment = reading.info.mss.unwrap_or(1460).max(536);
    let room = reading.memory.rmem_alloc? < limit / 2;
    if !reading.is_connection() || most > segment * 4 || most > limit / 32 || !room {
        return None;
    }
    note(
        "window-cut",
        "rcv_ssthresh rb",
        format!(
            "The window that we offer is {} at most (rcv_ssthresh), though rb is {} and little is held: the kernel cuts \
             it to a few segments when packets find the buffer full (tcp_clamp_window) or memory is short, and raises \
             it as data arrives.",
            bytes(most),
            grouped(limit)
        ),
    )
}

pub(super) fn close_wait(reading: &Reading) -> Option<Finding> {
    if reading.state? != TcpState::CloseWait {
        return None;
    }
    let text = match reading.recv_q {
        Some(1) => {
            "The peer has closed, and our application has not even read that (the 1 in Recv-Q is its FIN): it stays so \
             until close()."
        }
        _ => "The peer has closed and our application has not: it stays so until close().",
    };
    note("close-wait", "State", text.into())
}

/// The accept queue of a listener.
pub(super) fn accept_queue(reading: &Reading) -> Option<Finding> {
    let waiting = reading.recv_q.filter(|waiting| *waiting > 0)?;
    if !reading.listens() {
        return None;
    }
    // Full is one more than listen() asked for (sk_acceptq_is_full); netstat and /proc/net/tcp do
    // not tell how many may wait.
    if let Some(most) = reading.send_q.filter(|most| waiting > *most) {
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
            "{} for accept(): of a listening socket the queues count connections, not bytes.",
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
        "connections that found its queue full, or packets that a listening socket cannot use"
    } else if reading.is_udp() {
        "data that the application will never see: its buffer was full, or checksums were wrong"
    } else if reading.is_tcp() {
        "duplicates, keepalives and probes of a shut window among them, or what fell outside the window or found no room; \
         TCP sends lost data again"
    } else {
        "of TCP mostly duplicates or what found no room, which is sent again; of UDP data that is lost for good"
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
