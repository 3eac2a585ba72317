//! What decides when queued bytes leave: the fields that `tcp_write_xmit` looks
//! at, and which of them holds a sender up.
//!
//! Read on rare paths only: when a socket is first seen, where a new worst excess is noted, where a
//! sender is held up, and at the end.

use crate::account::{WAIT_LIMIT, WAIT_LOWAT, WAIT_MEMORY};

/// [`Output::flags`]: `TSQ_THROTTLED`: TCP waits for the queueing discipline or
/// the device to let go of an skb (`tcp_small_queue_check`).
pub const OUTPUT_THROTTLED: u8 = 1;

/// [`Output::pacing`]: `SK_PACING_NEEDED`: TCP paces by a timer of its own.
pub const PACING_NEEDED: u8 = 1;
/// [`Output::pacing`]: `SK_PACING_FQ`: the queueing discipline `fq` paces.
pub const PACING_FQ: u8 = 2;

/// [`Output::chrono`]: `TCP_CHRONO_RWND_LIMITED` runs.
pub const CHRONO_RWND: u8 = 2;

/// No `WAIT_…` reason: the sender is not held up in a call.
pub const WAIT_NONE: u32 = u32::MAX;

/// Places for counts by [`Holder`].
pub const HOLDERS: usize = 16;

/// The fields, at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Output {
    /// When they were read, in ns of `CLOCK_MONOTONIC`; 0: never.
    pub at_ns: u64,
    /// `sk_pacing_rate`, in bytes a second; all ones: none.
    pub pacing_rate: u64,
    /// `sk_max_pacing_rate` (`SO_MAX_PACING_RATE`), in bytes a second; all ones: no limit.
    pub max_pacing_rate: u64,
    /// Until `tcp_wstamp_ns`, when pacing lets the next segment go, in ns; 0:
    /// it may go.
    pub pacing_wait_ns: u64,
    /// `chrono_stat`: time with data to send that nothing below limited, in ns;
    /// the running clock included, as in the next two.
    pub busy_ns: u64,
    /// Time that the peer's window limited, in ns.
    pub rwnd_limited_ns: u64,
    /// Time that the send buffer limited, in ns.
    pub sndbuf_limited_ns: u64,
    /// Since the last ACK came (`rcv_tstamp`), in ns.
    pub since_ack_ns: u64,
    /// Since data was last sent or sent again (`lsndtime`), in ns.
    pub since_sent_ns: u64,
    /// `icsk_rto`, in ms.
    pub rto_ms: u32,
    /// `sk_wmem_queued`, in bytes.
    pub wmem_queued: i32,
    /// `sk_sndbuf`, in bytes.
    pub sndbuf: i32,
    /// `sk_wmem_alloc` less its bias of 1, in bytes.
    pub wmem_alloc: i32,
    /// `snd_wnd`, in bytes.
    pub snd_wnd: u32,
    /// `snd_nxt - snd_una`, in bytes.
    pub in_flight: u32,
    /// `write_seq - snd_nxt`, in bytes.
    pub unsent: u32,
    /// `mss_cache`, in bytes.
    pub mss: u32,
    /// `snd_cwnd`, in segments.
    pub cwnd: u32,
    /// `snd_ssthresh`, in segments; `TCP_INFINITE_SSTHRESH` (0x7fffffff): none.
    pub ssthresh: u32,
    /// `srtt_us`, in µs.
    pub srtt_us: u32,
    /// `packets_out`, in segments.
    pub packets_out: u32,
    /// `lost_out`, in segments.
    pub lost_out: u32,
    /// `sacked_out`, in segments.
    pub sacked_out: u32,
    /// `retrans_out`, in segments.
    pub retrans_out: u32,
    /// `total_retrans`: segments sent again, in all.
    pub total_retrans: u32,
    /// A `TCP_CHRONO_…`: which clock runs; 0: none.
    pub chrono: u8,
    /// `sk_pacing_status`.
    pub pacing: u8,
    /// `icsk_backoff`.
    pub backoff: u8,
    /// `icsk_probes_out`: window probes without an answer.
    pub probes_out: u8,
    /// `icsk_retransmits`: timeouts since an ACK took the queue on.
    pub retransmits: u8,
    /// `icsk_ca_state`: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss.
    pub ca_state: u8,
    /// `skc_state`.
    pub state: u8,
    /// `OUTPUT_…`.
    pub flags: u8,
}

/// A socket's [`Output`] at the instants that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Outputs {
    /// When skmem first saw the socket: where the kernel's clocks stood.
    pub first: Output,
    /// At the worst excess.
    pub worst: Output,
    /// When the sender was last held up in a call.
    pub held: Output,
    /// At the end.
    pub last: Output,
}

/// Who holds a sender up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Holder {
    /// Nobody that the fields show.
    Nobody = 0,
    /// The receiver: its window has no room for one more segment.
    Receiver = 1,
    /// What was sent timed out twice or more, and nothing was acknowledged.
    Timeouts = 2,
    /// The congestion window.
    Cwnd = 3,
    /// Pacing, by TCP or by `fq` at the socket's own rate.
    Pacing = 4,
    /// The queueing discipline or the device (TSQ).
    Qdisc = 5,
    /// The limit: what it lets in is in flight.
    Limit = 6,
    /// Want of memory.
    Memory = 7,
    /// `TCP_NOTSENT_LOWAT`.
    Lowat = 8,
}

impl Holder {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Nobody,
        Self::Receiver,
        Self::Timeouts,
        Self::Cwnd,
        Self::Pacing,
        Self::Qdisc,
        Self::Limit,
        Self::Memory,
        Self::Lowat,
    ];

    /// The published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Receiver => "receiver",
            Self::Timeouts => "timeouts",
            Self::Cwnd => "cwnd",
            Self::Pacing => "pacing",
            Self::Qdisc => "qdisc",
            Self::Limit => "limit",
            Self::Memory => "memory",
            Self::Lowat => "notsent_lowat",
        }
    }

    /// The one with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|h| h.name() == name)
    }
}

impl Output {
    /// Whether it was ever read.
    #[inline(always)]
    #[must_use]
    pub const fn known(&self) -> bool {
        self.at_ns != 0
    }

    /// `tcp_packets_in_flight`, in segments.
    #[inline(always)]
    #[must_use]
    pub const fn packets_in_flight(&self) -> u32 {
        let left = self.sacked_out.wrapping_add(self.lost_out);
        let flight = self
            .packets_out
            .wrapping_sub(left)
            .wrapping_add(self.retrans_out);
        // Read without the lock, the parts may be of different instants.
        if flight > 1 << 30 { 0 } else { flight }
    }

    /// The peer took back window that it had offered: more is in flight than it
    /// takes now.
    #[inline(always)]
    #[must_use]
    pub const fn taken_back(&self) -> bool {
        self.in_flight > self.snd_wnd
    }

    /// The peer's window has no room for one more segment.
    #[inline(always)]
    #[must_use]
    pub const fn window_full(&self) -> bool {
        (self.snd_wnd as u64) < self.in_flight as u64 + self.mss as u64
    }

    /// Whether an ACK answered one of the last two retransmissions, where there
    /// were timeouts in a row. Each timeout is twice the one before
    /// (`tcp_retransmit_timer`), so of n without any answer the last ACK is
    /// older than the last segment by `rto * (1 - 1/2^n)`; the answer to the
    /// last but one, by half an `rto`.
    #[inline(always)]
    #[must_use]
    pub const fn answered(&self) -> bool {
        let least = self.rto_ms as u64 * 700_000;
        self.since_ack_ns < self.since_sent_ns.wrapping_add(least)
    }

    /// Most of what is in flight is still in the queueing discipline or the
    /// device (`sk_wmem_alloc`). What was orphaned on its way (netem, veth) does
    /// not count there, so the opposite says nothing.
    #[inline(always)]
    #[must_use]
    pub const fn mostly_below(&self) -> bool {
        self.in_flight != 0 && self.wmem_alloc as i64 * 2 > self.in_flight as i64
    }

    /// Why bytes that are unsent do not leave, in the order in which
    /// `tcp_write_xmit` asks, but that pacing matters only where a window has
    /// room.
    #[inline(always)]
    #[must_use]
    pub fn stopped_by(&self) -> Holder {
        let window = self.window_full();
        let flight = self.packets_in_flight();
        let cwnd = self.cwnd != 0 && flight >= self.cwnd;
        if self.retransmits >= 2 {
            return Holder::Timeouts;
        }
        if self.unsent == 0 {
            return Holder::Nobody;
        }
        // Of both, the kernel's clock says which it met.
        if (window && !cwnd) || self.chrono == CHRONO_RWND {
            return Holder::Receiver;
        }
        // What fills it may not have left the host yet.
        if cwnd && !self.mostly_below() {
            return Holder::Cwnd;
        }
        if cwnd {
            return Holder::Qdisc;
        }
        if self.flags & OUTPUT_THROTTLED != 0 {
            if self.pacing == PACING_FQ && self.max_pacing_rate < u64::from(u32::MAX) {
                return Holder::Pacing;
            }
            return Holder::Qdisc;
        }
        if self.pacing == PACING_NEEDED && self.pacing_wait_ns != 0 {
            return Holder::Pacing;
        }
        // With less room than a third of the window, it waits for the next ACK
        // (`tcp_tso_should_defer`).
        if flight != 0 && self.cwnd.wrapping_sub(flight) < self.cwnd / 3 {
            return Holder::Cwnd;
        }
        Holder::Nobody
    }

    /// Who holds up a sender that waits for `reason` (`WAIT_…`, [`WAIT_NONE`]).
    #[inline(always)]
    #[must_use]
    pub fn holder(&self, reason: u32) -> Holder {
        if reason == WAIT_MEMORY {
            return Holder::Memory;
        }
        if reason == WAIT_LOWAT {
            return Holder::Lowat;
        }
        let stopped = self.stopped_by();
        if stopped as u8 != Holder::Nobody as u8 || reason != WAIT_LIMIT {
            return stopped;
        }
        // All was sent, or what is left may go at any moment. What has not left
        // the host is in sk_wmem_alloc, unless it was orphaned on the way.
        if self.mostly_below() {
            return Holder::Qdisc;
        }
        Holder::Limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender with 100,000 bytes unsent, and room everywhere.
    const OPEN: Output = Output {
        at_ns: 1,
        pacing_rate: u64::MAX,
        max_pacing_rate: u64::MAX,
        snd_wnd: 1 << 20,
        in_flight: 14_480,
        unsent: 100_000,
        mss: 1448,
        cwnd: 100,
        packets_out: 10,
        sndbuf: 87_380,
        wmem_queued: 120_000,
        ..ZERO
    };

    const ZERO: Output = Output {
        at_ns: 0,
        pacing_rate: 0,
        max_pacing_rate: 0,
        pacing_wait_ns: 0,
        busy_ns: 0,
        rwnd_limited_ns: 0,
        sndbuf_limited_ns: 0,
        since_ack_ns: 0,
        since_sent_ns: 0,
        rto_ms: 0,
        wmem_queued: 0,
        sndbuf: 0,
        wmem_alloc: 0,
        snd_wnd: 0,
        in_flight: 0,
        unsent: 0,
        mss: 0,
        cwnd: 0,
        ssthresh: 0,
        srtt_us: 0,
        packets_out: 0,
        lost_out: 0,
        sacked_out: 0,
        retrans_out: 0,
        total_retrans: 0,
        chrono: 0,
        pacing: 0,
        backoff: 0,
        probes_out: 0,
        retransmits: 0,
        ca_state: 0,
        state: 1,
        flags: 0,
    };

    #[test]
    fn each_holder_is_told_by_its_own_fields() {
        let cases = [
            (OPEN, WAIT_NONE, Holder::Nobody),
            (OPEN, WAIT_MEMORY, Holder::Memory),
            (OPEN, WAIT_LOWAT, Holder::Lowat),
            (
                Output {
                    snd_wnd: 0,
                    in_flight: 0,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Receiver,
            ),
            (
                Output {
                    snd_wnd: 15_000,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Receiver,
            ),
            (Output { cwnd: 10, ..OPEN }, WAIT_LIMIT, Holder::Cwnd),
            (Output { cwnd: 11, ..OPEN }, WAIT_LIMIT, Holder::Cwnd),
            (
                Output {
                    cwnd: 10,
                    wmem_alloc: 9_000,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Qdisc,
            ),
            (
                Output {
                    cwnd: 10,
                    snd_wnd: 15_000,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Cwnd,
            ),
            (
                Output {
                    cwnd: 10,
                    snd_wnd: 15_000,
                    chrono: CHRONO_RWND,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Receiver,
            ),
            (
                Output {
                    flags: OUTPUT_THROTTLED,
                    wmem_alloc: 9_000,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Qdisc,
            ),
            (
                Output {
                    flags: OUTPUT_THROTTLED,
                    pacing: PACING_FQ,
                    max_pacing_rate: 125_000,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Pacing,
            ),
            (
                Output {
                    pacing: PACING_NEEDED,
                    pacing_wait_ns: 1,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Pacing,
            ),
            (
                Output {
                    pacing: PACING_NEEDED,
                    ..OPEN
                },
                WAIT_NONE,
                Holder::Nobody,
            ),
            (Output { unsent: 0, ..OPEN }, WAIT_LIMIT, Holder::Limit),
            (Output { unsent: 0, ..OPEN }, WAIT_NONE, Holder::Nobody),
            (
                Output {
                    unsent: 0,
                    wmem_alloc: 14_000,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Qdisc,
            ),
            (
                Output {
                    retransmits: 2,
                    ..OPEN
                },
                WAIT_LIMIT,
                Holder::Timeouts,
            ),
        ];
        for (output, reason, expected) in cases {
            assert_eq!(output.holder(reason), expected, "{output:?} {reason}");
        }
    }

    #[test]
    fn a_peer_that_answers_is_told_from_one_that_does_not() {
        // RTO 200 ms at first: timeouts at 200 and 600 ms, 800 ms now.
        let twice = |since_sent_ms: u64, since_ack_ms: u64| Output {
            retransmits: 2,
            rto_ms: 800,
            since_sent_ns: since_sent_ms * 1_000_000,
            since_ack_ns: since_ack_ms * 1_000_000,
            ..OPEN
        };
        for since in [0, 10, 790] {
            assert!(!twice(since, 600 + since).answered());
            // The first timeout's segment was answered.
            assert!(twice(since, 399 + since).answered());
        }
        assert!(twice(500, 499).answered());
    }

    #[test]
    fn names_and_places_fit() {
        for holder in Holder::ALL {
            assert_eq!(Holder::from_name(holder.name()), Some(*holder));
            assert!((*holder as usize) < HOLDERS);
        }
    }
}
