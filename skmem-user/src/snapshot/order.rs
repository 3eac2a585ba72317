//! Which sockets come first.

use clap::ValueEnum;

use super::row::Row;
use crate::decode::Reading;

/// What sockets are sorted by, largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// w + r + f: what counts against the system's and the cgroup's limits
    Charged,
    /// w: in TCP's send queues
    W,
    /// r: what receive buffers hold
    R,
    /// f: charged and not used
    F,
    /// t: in the queueing discipline and the card
    T,
    /// How full the send buffer is
    Fill,
    /// Send-Q: written and not acknowledged
    SendQ,
    /// The part of Send-Q that was never sent
    Unsent,
    /// The part of Send-Q that was sent and not acknowledged
    InFlight,
    /// Recv-Q: not read
    RecvQ,
    /// Memory in w that is not data
    Overhead,
    /// Packets dropped
    Drops,
    /// Change since the last look, up or down (--watch)
    Change,
}

impl Sort {
    /// The number to sort by.
    #[must_use]
    pub fn key(self, row: &Row) -> i64 {
        let queue = |length: u32| if row.listens() { 0 } else { i64::from(length) };
        let some = |value: Option<u32>| value.map_or(-1, i64::from);
        match self {
            Self::Charged => row.charged,
            Self::W => row.bytes(|m| m.wmem_queued),
            Self::R => row.bytes(|m| m.rmem_alloc),
            Self::F => row.bytes(|m| m.forward_alloc),
            Self::T => row.bytes(|m| m.wmem_alloc),
            Self::Fill => some(row.fill_percent),
            Self::SendQ => queue(row.send_q),
            Self::Unsent => some(row.unsent),
            Self::InFlight => some(row.in_flight),
            Self::RecvQ => queue(row.recv_q),
            Self::Overhead => some(row.skb_overhead),
            Self::Drops => row.memory.map_or(0, |m| i64::from(m.drops)),
            Self::Change => row.change.unwrap_or(row.charged).abs(),
        }
    }
}

impl Sort {
    /// The number to sort by, of a socket that `ss` printed; what is not printed comes last.
    #[must_use]
    pub fn of_reading(self, reading: &Reading) -> i64 {
        let memory = &reading.memory;
        let queue = |length: Option<i64>| length.filter(|_| !reading.listens());
        let charged = || {
            let parts = [memory.wmem_queued, memory.rmem_alloc, memory.forward_alloc];
            (!reading.is_bare()).then(|| parts.iter().flatten().sum())
        };
        let key = match self {
            Self::Charged | Self::Change => charged(),
            Self::W => memory.wmem_queued,
            Self::R => memory.rmem_alloc,
            Self::F => memory.forward_alloc,
            Self::T => memory.wmem_alloc,
            Self::Fill => match (memory.wmem_queued, memory.sndbuf) {
                (Some(w), Some(tb)) => Some(w.saturating_mul(100) / tb.max(1)),
                _ => None,
            },
            Self::SendQ => queue(reading.send_q),
            Self::Unsent => reading.info.unsent,
            Self::InFlight => reading.in_flight(),
            Self::RecvQ => queue(reading.recv_q),
            Self::Overhead => reading.skb_overhead(),
            Self::Drops => memory.drops,
        };
        key.unwrap_or(i64::MIN)
    }
}

/// Sorts, largest first; equal ones by what they are charged, then by cookie, so that two looks
/// agree.
pub fn sort(rows: &mut [Row], by: Sort) {
    // Rows are large: each is moved once, to its place.
    rows.sort_by_cached_key(|row| (std::cmp::Reverse((by.key(row), row.charged)), row.cookie));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diag::TcpState,
        testing::rows::{mem, socket},
    };

    #[test]
    fn the_largest_comes_first_and_a_listeners_queue_is_no_data() {
        let mut listener = socket(TcpState::Listen, mem(0, 0, 0, 1));
        listener.send_q = 4096;
        let mut sender = socket(TcpState::Established, mem(9, 0, 0, 10));
        sender.send_q = 7;
        let mut rows = [listener, sender].map(|s| Row::new(&s, 1));
        sort(&mut rows, Sort::SendQ);
        assert_eq!(rows[0].send_q, 7);
        assert_eq!(
            (Sort::Fill.key(&rows[0]), Sort::Fill.key(&rows[1])),
            (90, -1)
        );
    }
}
