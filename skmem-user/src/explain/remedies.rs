//! The words for each piece of advice: their one source. Each says whether it was tried or read in
//! the kernel's source. What was tried was tried in the VM, on Debian's 5.10.0, 6.1.0, 6.12 and
//! 7.2, two CPUs under TCG; [`crate::explain::measured`] holds the figures.
//! [`crate::explain::texts`] says which causes each one answers.

use std::fmt;

use super::measured::{
    Figure::{Excess, PayloadPerSkb, SendQ, SizeGoal, Taken, Throughput, WmemQueued},
    Tried,
};

/// Something that can be done, or is said to help and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The peer's window is closed: its reader is what everything waits for.
    Reader,
    /// A smaller `gso_max_segs` on the link.
    SmallerGoal,
    /// No BIG TCP on the link.
    NoBigTcp,
    /// A smaller receive buffer at the peer.
    SmallerWindow,
    /// `MSG_EOR`.
    Eor,
    /// `TCP_NOTSENT_LOWAT`.
    BoundUnsent,
    /// `SO_SNDBUF` is doubled: compare and set accordingly.
    Doubled,
    /// `SO_SNDBUF` where the kernel tunes the limit.
    FixLimit,
    /// A lower `tcp_wmem[2]`.
    LowerCeiling,
    /// A higher `tcp_wmem[2]`.
    RaiseCeiling,
    /// Fewer and fuller skbs.
    LargerWrites,
    /// Smaller writes to an MPTCP socket.
    SmallerWrites,
    /// No `MSG_ZEROCOPY` for small buffers.
    CopySmall,
    /// `SO_SNDBUF` before the first write.
    SetEarly,
    /// Whatever uses up TCP's memory.
    FindMemory,
    /// A locked limit, which memory pressure leaves alone.
    LockLimit,
    /// Loss on the path.
    Loss,
    /// A larger limit, for a sender held up by it.
    RaiseLimit,
    /// A larger `TCP_NOTSENT_LOWAT`, for a sender held up by it.
    RaiseLowat,
    /// Trace from the start.
    StartEarlier,
    /// A bug report.
    Report,
    /// GSO and TSO off: does not help.
    GsoOff,
    /// `TCP_NOTSENT_LOWAT` against one overfull skb: does not help.
    LowatOneSkb,
    /// A smaller `SO_SNDBUF` against one overfull skb: does not help.
    SmallerLimit,
    /// No `SO_SNDBUF` against one overfull skb: does not help.
    Unset,
}

/// All that is said of one piece of advice.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What to do; for what does not help: why not.
    pub advice: &'static str,
    /// What it costs.
    pub price: &'static str,
    /// How that is known: tried (where, with what result), or read.
    pub evidence: Evidence,
    /// The command that tries it; empty where it was not tried.
    pub reproduce: &'static str,
}

/// How a piece of advice is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Fixes that were tried on cases of `skmem demo`, and measured; and what else was seen then,
    /// which may be empty.
    Tried(&'static [Tried], &'static str),
    /// Anything else, in words.
    Said(&'static str),
}

impl Evidence {
    /// It was tried, not only read.
    #[must_use]
    pub fn is_tried(self) -> bool {
        match self {
            Self::Tried(..) => true,
            Self::Said(words) => !words.contains("not tried"),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(words) => f.write_str(words),
            Self::Tried(all, also) => {
                f.write_str("tried, ")?;
                for (n, tried) in all.iter().enumerate() {
                    let before = if n > 0 { ". " } else { "" };
                    write!(f, "{before}{tried}")?;
                }
                if !also.is_empty() {
                    write!(f, ". {also}")?;
                }
                Ok(())
            }
        }
    }
}

/// Tried, with nothing else to say.
const fn tried(runs: &'static [Tried]) -> Evidence {
    Evidence::Tried(runs, "")
}

const READ: Evidence = Evidence::Said("read in 5.10 to 7.3; not tried");

impl Remedy {
    /// The words for it.
    #[must_use]
    pub const fn words(self) -> Words {
        match self {
            Self::Reader => Words {
                advice: "Make the receiver read. While its window has no room for another segment, \
                    the queue drains only as fast as it reads; no setting of the sender gets \
                    these bytes out, it only bounds how many wait.",
                price: "none for the sender",
                evidence: tried(&[Tried {
                    case: "article",
                    fix: "reader",
                    note: "",
                    figures: &[Excess],
                }]),
                reproduce: "skmem demo article --fix reader",
            },
            Self::SmallerGoal => Words {
                advice: "Let one skb take less: `ip link set DEV gso_max_segs N` on the link bounds \
                    size_goal to N segments.",
                price: "smaller skbs, so more CPU for each packet sent, for all connections over \
                    that link",
                evidence: tried(&[
                    Tried {
                        case: "article",
                        fix: "gso-max-segs",
                        note: "",
                        figures: &[SizeGoal, Excess],
                    },
                    Tried {
                        case: "one-large-write",
                        fix: "gso-max-segs",
                        note: "",
                        figures: &[Excess],
                    },
                ]),
                reproduce: "skmem demo one-large-write --fix gso-max-segs",
            },
            Self::NoBigTcp => Words {
                advice: "One skb takes more than 64 KiB because the link has BIG TCP. Set it back: `ip \
                    link set DEV gso_max_size 65536 gso_ipv4_max_size 65536` (the first is for \
                    IPv6; before 6.3 it is the only one).",
                price: "more and smaller packets, so more CPU, for all connections over that link",
                evidence: tried(&[Tried {
                    case: "big-tcp",
                    fix: "gso-max-size",
                    note: "",
                    figures: &[Excess],
                }]),
                reproduce: "skmem demo big-tcp --fix gso-max-size",
            },
            Self::SmallerWindow => Words {
                advice: "Give the receiver a smaller SO_RCVBUF before the connection is made: \
                    size_goal is at most half the largest window that the peer has offered. That \
                    bounds the worst case; with smaller skbs one more may pass the test.",
                price: "at most one window for each round trip",
                evidence: tried(&[
                    Tried {
                        case: "one-large-write",
                        fix: "rcvbuf",
                        note: "",
                        figures: &[Excess],
                    },
                    Tried {
                        case: "article",
                        fix: "rcvbuf",
                        note: "from 29200 to 14600",
                        figures: &[Excess],
                    },
                ]),
                reproduce: "skmem demo one-large-write --fix rcvbuf",
            },
            Self::Eor => Words {
                advice: "Send with MSG_EOR: nothing is appended to such an skb, so every write asks \
                    for a new one and is tested against the limit.",
                price: "one skb for each write, however small: more memory and CPU for each byte, \
                    and fewer bytes in the queue",
                evidence: tried(&[
                    Tried {
                        case: "article",
                        fix: "eor",
                        note: "",
                        figures: &[Excess],
                    },
                    Tried {
                        case: "acks-blackholed",
                        fix: "eor",
                        note: "",
                        figures: &[Excess],
                    },
                ]),
                reproduce: "skmem demo article --fix eor",
            },
            Self::BoundUnsent => Words {
                advice: "Where more than one skb is unsent, set TCP_NOTSENT_LOWAT: while that many bytes \
                    are unsent, no new skb is let in. The last skb is still filled up to size_goal.",
                price: "the sender is held up earlier, below the limit",
                evidence: tried(&[Tried {
                    case: "blocking-writer",
                    fix: "notsent-lowat",
                    note: "of 1 byte",
                    figures: &[Excess],
                }]),
                reproduce: "skmem demo blocking-writer --fix notsent-lowat",
            },
            Self::Doubled => Words {
                advice: "Compare Send-Q with twice SO_SNDBUF: the kernel doubles the value, to leave \
                    room for overhead, so Send-Q may by design come near to twice SO_SNDBUF.",
                price: "none for the comparison; a smaller SO_SNDBUF also keeps fewer bytes in flight",
                evidence: Evidence::Said(
                    "tried on 5.10, 6.1, 6.12, 7.2: SO_SNDBUF 4096 reads back 8192",
                ),
                reproduce: "skmem demo article",
            },
            Self::SmallerWrites => Words {
                advice: "Write less at once: what goes past the limit of an MPTCP socket is at most \
                    one write (and what is left of a page fragment of 32 KiB).",
                price: "more system calls for each byte",
                evidence: Evidence::Said("read in 6.1, 6.12 and 7.2; not tried"),
                reproduce: "",
            },
            Self::FixLimit => Words {
                advice: "Where the application sets no SO_SNDBUF, set it: that fixes the limit at twice the \
                    value. The last skb still goes past it.",
                price: "the kernel no longer tunes the limit of this socket, neither up for a fast \
                    path nor down for want of memory: less throughput where the value is small",
                evidence: tried(&[Tried {
                    case: "autotuned",
                    fix: "sndbuf",
                    note: "of 16384",
                    figures: &[WmemQueued, Throughput],
                }]),
                reproduce: "skmem demo autotuned --fix sndbuf",
            },
            Self::LowerCeiling => Words {
                advice: "Lower the third number of net.ipv4.tcp_wmem, up to which limits are tuned. \
                    The last skb still goes past it.",
                price: "a lower limit for every socket of the network namespace that does not set \
                    SO_SNDBUF: less throughput where it is small",
                evidence: tried(&[Tried {
                    case: "autotuned",
                    fix: "tcp-wmem",
                    note: "65536",
                    figures: &[WmemQueued, Throughput],
                }]),
                reproduce: "skmem demo autotuned --fix tcp-wmem",
            },
            Self::RaiseCeiling => Words {
                advice: "Raise the third number of net.ipv4.tcp_wmem, to which the limit was lowered.",
                price: "more memory for every socket of the network namespace that does not set \
                    SO_SNDBUF",
                evidence: READ,
                reproduce: "",
            },
            Self::LargerWrites => Words {
                advice: "Write more at a time, without MSG_EOR: each skb costs the same however \
                    little it holds, so the same memory holds more payload.",
                price: "the application has to collect its data first; and the last skb may go \
                    further past the limit, being larger",
                evidence: tried(&[Tried {
                    case: "small-writes-nodelay",
                    fix: "larger-writes",
                    note: "1600 bytes, not 100",
                    figures: &[PayloadPerSkb, Excess],
                }]),
                reproduce: "skmem demo small-writes-nodelay --fix larger-writes",
            },
            Self::CopySmall => Words {
                advice: "Send small buffers without MSG_ZEROCOPY, or make them large and aligned to \
                    pages: each call charges all pages that it touches.",
                price: "a copy of those bytes",
                evidence: Evidence::Tried(
                    &[
                        Tried {
                            case: "zerocopy-small",
                            fix: "copy",
                            note: "",
                            figures: &[Excess],
                        },
                        Tried {
                            case: "zerocopy-small",
                            fix: "larger-writes=65536",
                            note: "",
                            figures: &[Excess],
                        },
                    ],
                    "With pages of 16 KiB (arm64, 6.12) a write of 1,024 bytes is over the limit by itself, and more payload gets in with either fix",
                ),
                reproduce: "skmem demo zerocopy-small --fix copy",
            },
            Self::SetEarly => Words {
                advice: "Set SO_SNDBUF before the first write: lowering it frees nothing that is \
                    queued.",
                price: "none",
                evidence: tried(&[Tried {
                    case: "sndbuf-lowered",
                    fix: "smaller-sndbuf=4096",
                    note: "set before the first write",
                    figures: &[WmemQueued],
                }]),
                reproduce: "skmem demo sndbuf-lowered --fix smaller-sndbuf=4096",
            },
            Self::FindMemory => Words {
                advice: "Find what uses up TCP's memory: compare `mem` in /proc/net/sockstat with \
                    net.ipv4.tcp_mem (both in pages), and the cgroup's memory with its limit; \
                    then use less or raise that limit.",
                price: "the memory",
                evidence: READ,
                reproduce: "",
            },
            Self::LockLimit => Words {
                advice: "Set SO_SNDBUF: memory pressure does not shrink a limit that the application \
                    has set.",
                price: "short of memory, a socket well below such a limit is the one whose requests \
                    are refused, and its sender waits for memory; and the kernel no longer tunes \
                    the limit",
                evidence: Evidence::Tried(
                    &[Tried {
                        case: "tcp-mem",
                        fix: "sndbuf=200000",
                        note: "",
                        figures: &[Excess],
                    }],
                    "With it, the sender waited for memory in some runs",
                ),
                reproduce: "skmem demo tcp-mem --fix sndbuf=200000",
            },
            Self::Loss => Words {
                advice: "Look for loss on the path (`ss -ti`: retrans). Each cut charges one empty \
                    skb, and no setting of the sender's buffer stops that.",
                price: "none",
                evidence: READ,
                reproduce: "",
            },
            Self::RaiseLimit => Words {
                advice: "The sender was held up at the limit: a larger SO_SNDBUF lets more in.",
                price: "more memory, and more bytes that wait in the queue; it may go as far past \
                    the larger limit, or further",
                evidence: tried(&[Tried {
                    case: "article",
                    fix: "sndbuf",
                    note: "8192",
                    figures: &[SendQ, Excess],
                }]),
                reproduce: "skmem demo article --fix sndbuf",
            },
            Self::RaiseLowat => Words {
                advice: "Unsent bytes held the sender up, not SO_SNDBUF: a larger TCP_NOTSENT_LOWAT, or, where \
                    the socket sets none, a larger net.ipv4.tcp_notsent_lowat, lets more in.",
                price: "more bytes that wait unsent",
                evidence: tried(&[Tried {
                    case: "blocking-writer",
                    fix: "notsent-lowat",
                    note: "the other way round: lowered to 1 byte",
                    figures: &[Taken],
                }]),
                reproduce: "skmem demo blocking-writer --fix notsent-lowat",
            },
            Self::StartEarlier => Words {
                advice: "Catch it from birth, and every byte has a cause: run the sender under skmem \
                    (`skmem explain -- CMD`), or start `skmem explain --until-blocked` before it \
                    connects. What moves from now on is named, too.",
                price: "none",
                evidence: Evidence::Said(
                    "tried on 5.10, 6.1, 6.12, 7.2: 0 bytes unattributed in every run behind the figures of these pages",
                ),
                reproduce: "skmem demo article",
            },
            Self::Report => Words {
                advice: "Report this to skmem, with the kernel's version and --json: no byte should \
                    lack a name.",
                price: "none",
                evidence: Evidence::Said(
                    "none lacked one on 5.10, 6.1, 6.12, 7.2, in any run behind the figures of these pages",
                ),
                reproduce: "",
            },
            Self::GsoOff => Words {
                advice: "Turning GSO and TSO off: the send path builds skbs of size_goal all the \
                    same.",
                price: "more CPU for each packet",
                evidence: tried(&[Tried {
                    case: "article",
                    fix: "gso-off",
                    note: "",
                    figures: &[Excess],
                }]),
                reproduce: "skmem demo article --fix gso-off",
            },
            Self::LowatOneSkb => Words {
                advice: "TCP_NOTSENT_LOWAT where no more than one skb is unsent: like the limit, it is \
                    tested only before a new skb.",
                price: "the sender is held up earlier",
                evidence: tried(&[Tried {
                    case: "article",
                    fix: "notsent-lowat",
                    note: "of 1 byte",
                    figures: &[Excess],
                }]),
                reproduce: "skmem demo article --fix notsent-lowat",
            },
            Self::SmallerLimit => Words {
                advice: "A smaller SO_SNDBUF where size_goal is above the limit: however small the limit, \
                    one skb is let in while the queue is below it, and filled up to size_goal.",
                price: "the sender is held up earlier",
                evidence: tried(&[Tried {
                    case: "article",
                    fix: "smaller-sndbuf",
                    note: "2048",
                    figures: &[WmemQueued],
                }]),
                reproduce: "skmem demo article --fix smaller-sndbuf",
            },
            Self::Unset => Words {
                advice: "Leaving SO_SNDBUF out: the kernel then tunes the limit, which begins and \
                    ends higher, and the queue is longer.",
                price: "more memory for this socket",
                evidence: tried(&[Tried {
                    case: "article",
                    fix: "no-sndbuf",
                    note: "",
                    figures: &[WmemQueued],
                }]),
                reproduce: "skmem demo article --fix no-sndbuf",
            },
        }
    }
}
