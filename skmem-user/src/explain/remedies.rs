//! The words for each piece of advice: their one source. Only what was tried
//! or read in the kernel's source is said, and which of the two it was.
//! [`crate::explain::texts`] says which causes each one answers.

/// Something that can be done, or is said to help and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The peer's window is closed: its reader is what everything waits for.
    Reader,
    /// A smaller `gso_max_segs` on the link.
    SmallerGoal,
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
    /// A larger `TCP_NOTSENT_LOWAT`, likewise.
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
}

/// All that is said of one piece of advice.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What to do; for what does not help: why not.
    pub advice: &'static str,
    /// What it costs.
    pub price: &'static str,
    /// How that is known: tried (where, with what result), or read.
    pub evidence: &'static str,
}

const READ: &str = "read in 5.10 to 7.3; not tried";

impl Remedy {
    /// The words for it.
    #[must_use]
    pub const fn words(self) -> Words {
        match self {
            Self::Reader => Words {
                advice: "Make the receiver read. Its window has no room for another segment, so \
                    this queue drains only as fast as it reads; no setting of the sender gets \
                    these bytes out, it only bounds how many wait.",
                price: "none for the sender",
                evidence: "TCP's flow control (RFC 9293, 3.8.6); not tried",
            },
            Self::SmallerGoal => Words {
                advice: "Let one skb take less: `ip link set DEV gso_max_segs N` on the link \
                    bounds size_goal to N segments.",
                price: "smaller skbs, so more CPU for each packet sent, for all connections over \
                    that link",
                evidence: "tried on 5.10, 6.1, 6.12, 7.2: with N = 10, Send-Q 14,480 instead of \
                    31,856 (5.10, 6.1) or 33,304 (6.12, 7.2)",
            },
            Self::SmallerWindow => Words {
                advice: "Give the receiver a smaller SO_RCVBUF before the connection is made: \
                    size_goal is at most half the largest window that the peer has offered.",
                price: "at most one window for each round trip",
                evidence: "tried on 6.18: with SO_RCVBUF 29200, Send-Q 14,480 instead of 34,752",
            },
            Self::Eor => Words {
                advice: "Send with MSG_EOR: nothing is appended to such an skb, so every write \
                    asks for a new one and is tested against the limit.",
                price: "one skb for each write, however small: more memory and CPU for each byte",
                evidence: READ,
            },
            Self::BoundUnsent => Words {
                advice: "Set TCP_NOTSENT_LOWAT: while that many bytes are unsent, no new skb is \
                    let in. The last skb is still filled up to size_goal.",
                price: "the sender is held up earlier, below the limit",
                evidence: "read in 5.10 to 7.3; on 6.18, with 1, one skb of 34,752 bytes was unsent",
            },
            Self::Doubled => Words {
                advice: "Compare Send-Q with twice SO_SNDBUF: the kernel doubles the value, to \
                    leave room for overhead, so Send-Q may come near to twice of it by design.",
                price: "none for reading it so; a smaller limit holds fewer bytes in flight, too",
                evidence: "tried on 5.10, 6.1, 6.12, 7.2: SO_SNDBUF 4096 reads back 8192",
            },
            Self::FixLimit => Words {
                advice: "Set SO_SNDBUF: that fixes the limit at twice the value.",
                price: "the kernel no longer tunes the limit of this socket, neither up for a \
                    fast path nor down for want of memory",
                evidence: READ,
            },
            Self::LowerCeiling => Words {
                advice: "Lower the third number of net.ipv4.tcp_wmem, up to which limits are \
                    tuned.",
                price: "a lower limit for every socket of the network namespace that does not \
                    set SO_SNDBUF",
                evidence: READ,
            },
            Self::RaiseCeiling => Words {
                advice: "Raise the third number of net.ipv4.tcp_wmem, to which the limit was \
                    lowered.",
                price: "more memory for every socket of the network namespace that does not set \
                    SO_SNDBUF",
                evidence: READ,
            },
            Self::LargerWrites => Words {
                advice: "Write more at a time, without MSG_EOR: each skb costs the same however \
                    little it holds.",
                price: "the application has to collect its data first",
                evidence: READ,
            },
            Self::CopySmall => Words {
                advice: "Send small buffers without MSG_ZEROCOPY, or make them large and aligned \
                    to pages: each call charges all pages that it touches.",
                price: "a copy of those bytes",
                evidence: "tried on 6.18: 1024-byte sends, wmem_queued 64,056 for Send-Q 15,928",
            },
            Self::SetEarly => Words {
                advice: "Set SO_SNDBUF before the first write: lowering it frees nothing that is \
                    queued.",
                price: "none",
                evidence: READ,
            },
            Self::FindMemory => Words {
                advice: "Find what uses up TCP's memory: compare `mem` in /proc/net/sockstat \
                    with net.ipv4.tcp_mem (both in pages), and the cgroup's memory with its \
                    limit; then use less or raise that limit.",
                price: "the memory",
                evidence: READ,
            },
            Self::LockLimit => Words {
                advice: "Set SO_SNDBUF: memory pressure does not shrink a limit that the \
                    application has set.",
                price: "short of memory, a socket well below such a limit is the one whose \
                    requests are refused; and the kernel no longer tunes the limit",
                evidence: READ,
            },
            Self::Loss => Words {
                advice: "Look for loss on the path (`ss -ti`: retrans). Each cut charges one \
                    empty skb, and no setting of the sender's buffer stops that.",
                price: "none",
                evidence: READ,
            },
            Self::RaiseLimit => Words {
                advice: "The sender was held up at the limit: a larger SO_SNDBUF lets more in.",
                price: "more memory, and more bytes that wait in the queue",
                evidence: READ,
            },
            Self::RaiseLowat => Words {
                advice: "The sender was held up by TCP_NOTSENT_LOWAT, not by SO_SNDBUF: a larger \
                    one (or net.ipv4.tcp_notsent_lowat) lets more in.",
                price: "more bytes that wait unsent",
                evidence: READ,
            },
            Self::StartEarlier => Words {
                advice: "Start skmem before the socket sends: every byte then has a cause.",
                price: "none",
                evidence: "tried with a prototype on 5.10, 6.1, 6.12, 7.2: 0 bytes unattributed",
            },
            Self::Report => Words {
                advice: "Report this to skmem, with the kernel's version and --json: no byte \
                    should lack a name.",
                price: "none",
                evidence: "tried with a prototype on 5.10, 6.1, 6.12, 7.2: 0 bytes unattributed",
            },
            Self::GsoOff => Words {
                advice: "Turning GSO and TSO off: the send path builds skbs of size_goal all the \
                    same.",
                price: "more CPU for each packet",
                evidence: "tried on 5.10, 6.1, 6.12, 7.2 with 1024-byte writes: the same Send-Q",
            },
            Self::LowatOneSkb => Words {
                advice: "TCP_NOTSENT_LOWAT: like the limit, it is tested only before a new skb, \
                    and no more than one skb is unsent here.",
                price: "the sender is held up earlier",
                evidence: "tried on 6.18: with 1, one skb of 34,752 bytes was unsent all the same",
            },
            Self::SmallerLimit => Words {
                advice: "A smaller SO_SNDBUF: however small the limit, one skb is let in while \
                    the queue is below it, and filled up to size_goal, which is larger.",
                price: "the sender is held up earlier",
                evidence: READ,
            },
        }
    }
}
