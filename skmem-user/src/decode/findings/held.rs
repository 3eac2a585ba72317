//! What r holds: data that is not read, and what is not unread data at all.
//!
//! r is truesize. A packet stays in it until its last byte is read, and packets are merged as they
//! arrive, so r can be many times Recv-Q.

use super::{Finding, Reading, alarm, bytes, note, percent};

/// What a reader that does not read does to the window, where it is not known.
pub const WINDOW_SHUT: &str =
    ", and the window that we offer is shut or nearly so: the other side queues.";

/// Merged packets grow to about so much (`tcp_try_coalesce`), and one of them may be read in part,
/// bytes.
const MERGED: i64 = 256 << 10;
/// Unread data over rb by this much is not the rounding of windows, in steps of 16 KiB at most;
/// bytes.
const PROMISED: i64 = 32 << 10;
/// r over rb by so much is more than the last packets that were let in, bytes.
const FAR_OVER: i64 = 128 << 10;

/// r near rb.
pub(super) fn full(reading: &Reading) -> Option<Finding> {
    let (held, limit) = (reading.memory.rmem_alloc?, reading.memory.rcvbuf?);
    if limit <= 0 || held.saturating_mul(5) < limit.saturating_mul(4) {
        return None;
    }
    let share = percent(held, limit);
    let Some(waiting) = reading
        .recv_q
        .filter(|_| reading.is_tcp() && reading.is_connection() && !reading.is_mptcp())
    else {
        let text = if reading.is_mptcp() {
            "the reader is slow, and the window that MPTCP offers is shut or nearly so: the other side queues."
        } else if reading.is_udp() {
            "the reader is slow. Further packets are dropped, and what is dropped is lost for good."
        } else {
            "the reader is slow. Of UDP further packets are dropped and lost; of TCP the other side has to wait."
        };
        return alarm(
            "slow-reader",
            "r rb",
            format!("r is at rb ({share} %): {text}"),
        );
    };
    if waiting == 0 {
        return alarm(
            "held-not-readable",
            "r rb",
            format!(
                "r is at rb ({share} %) with Recv-Q 0, so the window that we offer is shut or small: {NOT_READABLE}. \
                 After unread messages are collected, the window comes back with the peer's next probe."
            ),
        );
    }
    // Less of a difference, and it is the reader in the first place.
    if held / waiting >= 8 {
        return small(held, waiting, Some(share));
    }
    // No window is larger than rb, so more data than that was promised with another rb.
    let over = |n: i64, by: i64| n.saturating_sub(limit) >= by && n >= limit.saturating_mul(2);
    if over(held, FAR_OVER) || over(waiting, PROMISED) {
        return alarm(
            "slow-reader",
            "r rb",
            format!(
                "r is {} times rb: SO_RCVBUF was lowered when data had come or was promised already, or a BPF program \
                 redirects data to this socket (sockmap), which rb does not stop. {} wait for recv(). Until they are \
                 read, what arrives is dropped, and the other side sends it again.",
                held / limit,
                bytes(waiting)
            ),
        );
    }
    alarm(
        "slow-reader",
        "r rb",
        format!(
            "r is at rb ({share} %): the reader is slow. {} wait for recv(){WINDOW_SHUT}",
            bytes(waiting)
        ),
    )
}

/// What r holds where Recv-Q is 0.
const NOT_READABLE: &str = "out-of-order data that waits for a hole to be filled, unread messages on the error queue \
                            (MSG_ERRQUEUE: timestamps, ICMP errors), or data that a BPF program redirected here \
                            (sockmap), which recv() gives and Recv-Q does not count";

/// r without Recv-Q.
pub(super) fn unlike_data(reading: &Reading) -> Option<Finding> {
    let (held, waiting) = (reading.memory.rmem_alloc?, reading.recv_q?);
    let full = reading
        .memory
        .rcvbuf
        .is_some_and(|rb| held.saturating_mul(5) >= rb.saturating_mul(4));
    if held < 4096 || full || !reading.is_tcp() || reading.is_mptcp() || !reading.is_connection() {
        return None;
    }
    if waiting == 0 {
        return note(
            "held-not-readable",
            "r Recv-Q",
            format!("{} are held and Recv-Q is 0: {NOT_READABLE}.", bytes(held)),
        );
    }
    if held < 16 << 10 || held / waiting < 4 {
        return None;
    }
    small(held, waiting, None)
}

/// `at_limit`: r in percent of rb, where it is at rb.
fn small(held: i64, waiting: i64, at_limit: Option<i64>) -> Option<Finding> {
    let why = if held - waiting > MERGED {
        "it came in small packets, each of which costs hundreds of bytes"
    } else {
        "it came in small packets, each of which costs hundreds of bytes, or most of it was read already: a packet is freed \
         when its last byte is read, and packets are merged as they arrive"
    };
    let text = format!(
        "{} of memory for {} of data: {why}.",
        bytes(held),
        bytes(waiting)
    );
    match at_limit {
        None => note("small-packets", "r Recv-Q", text),
        Some(share) => alarm(
            "small-packets",
            "r rb Recv-Q",
            format!(
                "{text} r is at rb ({share} %), which does not say that the window that we offer is shut: the kernel \
                 raises an rb that SO_RCVBUF did not set to r, up to tcp_rmem[2], without a read()."
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::reading::{Kind, Memory};

    fn reading(r: i64, rb: i64, recv_q: i64) -> Reading {
        Reading {
            kind: Some(Kind::Tcp),
            state: Some(crate::diag::TcpState::Established),
            recv_q: Some(recv_q),
            memory: Memory {
                rmem_alloc: Some(r),
                rcvbuf: Some(rb),
                ..Memory::default()
            },
            ..Reading::default()
        }
    }

    fn at_limit(r: i64, rb: i64, recv_q: i64) -> (&'static str, String) {
        let found = full(&reading(r, rb, recv_q)).unwrap();
        (found.tag, found.text)
    }

    #[test]
    fn small_packets_do_not_shut_the_window_of_an_unlocked_buffer() {
        // 7.2, 9,000 segments of one byte: the sender saw a window of 65,280.
        let (tag, text) = at_limit(3_782_056, 3_780_262, 9_000);
        assert_eq!(tag, "small-packets");
        assert!(text.contains("does not say that the window"), "{text}");
        assert!(!text.contains("was read already"), "{text}");
    }

    #[test]
    fn what_was_read_in_part_is_no_unread_data() {
        // 5.10, a slow reader: 113,184 bytes had been read and were held.
        let (tag, text) = at_limit(125_728, 131_072, 11_264);
        assert_eq!(tag, "small-packets");
        assert!(text.contains("or most of it was read already"), "{text}");
        let below = unlike_data(&reading(60_000, 131_072, 9_000)).unwrap();
        assert!(
            below.text.contains("or most of it was read already"),
            "{below:?}"
        );
    }

    #[test]
    fn a_slow_reader_is_one_whose_data_fills_the_buffer() {
        let (tag, text) = at_limit(125_000, 131_072, 120_000);
        assert_eq!(tag, "slow-reader");
        assert!(text.ends_with(WINDOW_SHUT), "{text}");
        // SO_RCVBUF lowered to 8,192 with 200,000 bytes unread.
        let (tag, text) = at_limit(203_840, 16_384, 200_000);
        assert_eq!(tag, "slow-reader");
        assert!(
            text.contains("12 times rb: SO_RCVBUF was lowered"),
            "{text}"
        );
    }

    #[test]
    fn memory_without_data_has_three_reasons_and_one_can_be_read() {
        let (tag, text) = at_limit(79_632, 80_000, 0);
        assert_eq!(tag, "held-not-readable");
        assert!(
            text.contains("MSG_ERRQUEUE") && text.contains("window"),
            "{text}"
        );
        let sockmap = unlike_data(&reading(100_000, 131_072_000, 0)).unwrap();
        assert!(sockmap.text.contains("sockmap"), "{sockmap:?}");
        assert!(!sockmap.text.contains("none can be read"), "{sockmap:?}");
        assert!(unlike_data(&reading(896, 131_072, 0)).is_none());
    }
}
