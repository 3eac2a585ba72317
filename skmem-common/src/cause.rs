//! The names that bytes of `sk_wmem_queued` and moves of `sk_sndbuf` are
//! booked under. A new cause starts here: one variant, one name; the compiler
//! then points at the explanation that it still lacks.

/// Number of slots for causes in a ledger; a power of two, so that a masked
/// index is in bounds for the verifier.
pub const CAUSES: usize = 32;

macro_rules! causes {
    ($(#[$m:meta])* $vis:vis enum $ty:ident { $($(#[$vm:meta])* $v:ident = $n:literal => $name:literal,)* }) => {
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        $vis enum $ty { $($(#[$vm])* $v = $n,)* }

        impl $ty {
            /// All of them, in order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$v,)*];

            /// The name in output and docs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$v => $name,)* }
            }

            /// The one with this number, if there is one.
            #[must_use]
            pub const fn from_u8(n: u8) -> Option<Self> {
                match n { $($n => Some(Self::$v),)* _ => None }
            }

            /// The one with this name, if there is one.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$v),)* _ => None }
            }
        }

        impl core::fmt::Display for $ty {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

pub(crate) use causes;

causes! {
    /// Why `sk_wmem_queued` changed.
    pub enum Cause {
        /// In the queue before skmem saw the socket.
        PreExisting = 0 => "pre-existing",
        /// No hook and no field names these bytes.
        Unattributed = 1 => "unattributed",
        /// The empty skb that `tcp_sendmsg_locked` queued after
        /// `sk_stream_memory_free` said yes.
        NewSkb = 2 => "new-skb",
        /// An empty skb that the send path queued without that test.
        SkbOverhead = 3 => "skb-overhead",
        /// Payload put into an skb by the call that queued it.
        FirstFill = 4 => "first-fill",
        /// Payload appended by a later call to the skb at the tail of the
        /// write queue: the limit is not tested for it.
        TailAppend = 5 => "tail-append",
        /// Payload appended to the remainder of a tail skb whose front
        /// `tso_fragment` had cut off and sent.
        TailRefill = 6 => "tail-refill",
        /// Payload spliced in by reference (`sendfile`, `splice`).
        Splice = 7 => "splice",
        /// What `MSG_ZEROCOPY` charges beyond the payload: whole pages.
        ZerocopyPageRounding = 8 => "zerocopy-page-rounding",
        /// `tso_fragment` in `tcp_write_xmit`: one more skb.
        TsoSplit = 9 => "tso-split",
        /// `tcp_fragment` while retransmitting.
        RetransmitFragment = 10 => "retransmit-fragment",
        /// `tcp_fragment` while processing SACK blocks or marking losses.
        SackSplit = 11 => "sack-split",
        /// `tcp_fragment` for a tail loss probe or a window probe.
        ProbeSplit = 12 => "probe-split",
        /// `tcp_mtu_probe`: the probe's skb less what it took over.
        MtuProbe = 13 => "mtu-probe",
        /// The SYN.
        Syn = 14 => "syn",
        /// Data in the SYN (TCP Fast Open).
        SynData = 15 => "syn-data",
        /// The copy of a crossed SYN-ACK (`tcp_send_synack`).
        SynAck = 16 => "syn-ack",
        /// A FIN with an skb of its own.
        Fin = 17 => "fin",
        /// Payload that `mptcp_sendmsg_frag` put on a subflow; its new skbs are
        /// booked apart.
        MptcpSubflow = 18 => "mptcp-subflow",
        /// Freed by an acknowledgement (`tcp_clean_rtx_queue`).
        Ack = 19 => "ack",
        /// Acknowledged bytes cut off the head (`tcp_trim_head`).
        PartialAckTrim = 20 => "partial-ack-trim",
        /// An skb emptied into its neighbour before sending (`tcp_grow_skb`).
        TailMerge = 21 => "tail-merge",
        /// An skb emptied into its neighbour for a retransmission
        /// (`tcp_collapse_retrans`).
        RetransmitCollapse = 22 => "retransmit-collapse",
        /// An skb emptied into its SACKed neighbour (`tcp_shifted_skb`).
        SackShift = 23 => "sack-shift",
        /// An skb queued and taken away again unused (`tcp_remove_empty_skb`).
        UnusedSkb = 24 => "unused-skb",
        /// The queues emptied at the end (`tcp_write_queue_purge`, of an MPTCP
        /// socket `__mptcp_clear_xmit`).
        Purge = 25 => "purge",
        /// The queues emptied because of a reset (`tcp_reset`).
        Reset = 26 => "reset",
        /// Payload for which `__sk_mem_schedule` had refused memory, let in
        /// by force (`tcp_wmem_schedule`, 5.19 on).
        Forced = 27 => "forced",
        /// Payload that `mptcp_sendmsg` copied into data fragments of an MPTCP
        /// socket.
        MptcpData = 28 => "mptcp-data",
        /// Headers of those fragments (`mptcp_carve_data_frag`).
        MptcpFragHeader = 29 => "mptcp-frag-header",
        /// Fragments, or parts of one, that the peer's MPTCP has acknowledged
        /// (`__mptcp_clean_una`).
        MptcpAck = 30 => "mptcp-ack",
    }
}

causes! {
    /// Why `sk_sndbuf` changed.
    pub enum LimitCause {
        /// `setsockopt(SO_SNDBUF)` or `SO_SNDBUFFORCE`.
        SetByApplication = 0 => "set-by-application",
        /// `tcp_sndbuf_expand`.
        AutotunedUp = 1 => "autotuned-up",
        /// `sk_stream_moderate_sndbuf`.
        ShrunkByMemoryPressure = 2 => "shrunk-by-memory-pressure",
        /// `setsockopt` below what was queued already.
        LoweredBelowQueue = 3 => "lowered-below-queue",
        /// `tcp_sndbuf_expand` down to a lowered `tcp_wmem[2]`.
        AutotunedDown = 4 => "autotuned-down",
        /// The MPTCP socket's limit and lock passed on to its subflow
        /// (`sync_socket_options`, `mptcp_setsockopt`).
        MptcpSync = 5 => "mptcp-sync",
        /// An MPTCP socket's limit made from those of its subflows
        /// (`__mptcp_sync_sndbuf`; 6.1: `mptcp_propagate_sndbuf`).
        MptcpSubflows = 6 => "mptcp-from-subflows",
    }
}

/// How sure a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tier {
    /// A hook saw it happen.
    Observed = 0,
    /// A hook was skipped or missing; the cause follows from the socket's fields.
    Inferred = 1,
}

/// What the bytes that a cause books consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Payload that the send path took from the application, byte for byte.
    Payload,
    /// Whole empty skbs.
    Skbs,
    /// Anything else, or a mixture: what was there before, skbs with what they
    /// hold, pages.
    Other,
}

/// What a cause takes out of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frees {
    /// The oldest, which were acknowledged.
    Acknowledged,
    /// An skb off the tail.
    Newest,
    /// Truesize of an skb whose payload is in another one now.
    Merged,
    /// All there is.
    Everything,
}

/// Which way a cause moves `sk_wmem_queued`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Up, always.
    Grows,
    /// Down, always.
    Frees(Frees),
    /// Up in one call and down in another.
    Either,
}

impl Cause {
    /// What its bytes consist of.
    #[must_use]
    pub const fn holds(self) -> Holds {
        match self {
            Self::FirstFill
            | Self::TailAppend
            | Self::TailRefill
            | Self::Splice
            | Self::Forced
            | Self::MptcpSubflow
            | Self::MptcpData => Holds::Payload,
            Self::NewSkb
            | Self::SkbOverhead
            | Self::TsoSplit
            | Self::RetransmitFragment
            | Self::SackSplit
            | Self::ProbeSplit
            | Self::TailMerge
            | Self::RetransmitCollapse
            | Self::SackShift
            | Self::UnusedSkb => Holds::Skbs,
            Self::PreExisting
            | Self::Unattributed
            | Self::ZerocopyPageRounding
            | Self::MtuProbe
            | Self::Syn
            | Self::SynData
            | Self::SynAck
            | Self::Fin
            | Self::Ack
            | Self::PartialAckTrim
            | Self::MptcpFragHeader
            | Self::MptcpAck
            | Self::Purge
            | Self::Reset => Holds::Other,
        }
    }

    /// Which way it moves `sk_wmem_queued`.
    #[must_use]
    pub const fn sign(self) -> Sign {
        match self {
            Self::NewSkb
            | Self::SkbOverhead
            | Self::FirstFill
            | Self::TailAppend
            | Self::TailRefill
            | Self::Splice
            | Self::TsoSplit
            | Self::RetransmitFragment
            | Self::SackSplit
            | Self::ProbeSplit
            | Self::Syn
            | Self::SynData
            | Self::Fin
            | Self::MptcpSubflow
            | Self::MptcpData
            | Self::MptcpFragHeader
            | Self::Forced => Sign::Grows,
            Self::Ack | Self::PartialAckTrim | Self::MptcpAck => Sign::Frees(Frees::Acknowledged),
            Self::UnusedSkb | Self::TailMerge => Sign::Frees(Frees::Newest),
            Self::RetransmitCollapse | Self::SackShift => Sign::Frees(Frees::Merged),
            Self::Purge | Self::Reset => Sign::Frees(Frees::Everything),
            // tcp_mtu_probe frees what it took over; a crossed SYN-ACK replaces
            // the SYN; MSG_ZEROCOPY charges a page before its payload is known;
            // the first hook of an older socket corrects what a walk had read.
            Self::PreExisting
            | Self::Unattributed
            | Self::ZerocopyPageRounding
            | Self::MtuProbe
            | Self::SynAck => Sign::Either,
        }
    }

    /// Whether its bytes are payload that the send path took from the
    /// application. Data in a SYN is not among them: it is booked with its skbs.
    #[must_use]
    pub const fn is_payload(self) -> bool {
        matches!(self.holds(), Holds::Payload)
    }

    /// Whether its bytes are whole empty skbs.
    #[must_use]
    pub const fn is_whole_skbs(self) -> bool {
        matches!(self.holds(), Holds::Skbs)
    }

    /// Whether it only ever frees.
    #[must_use]
    pub const fn is_free(self) -> bool {
        self.frees().is_some()
    }

    /// What it takes out of the queue; None where it puts something there, or may do either.
    #[must_use]
    pub const fn frees(self) -> Option<Frees> {
        match self.sign() {
            Sign::Frees(what) => Some(what),
            Sign::Grows | Sign::Either => None,
        }
    }

    /// Whether what it frees is the newest of the queue, an skb off the tail;
    /// other frees take from the head, the oldest first.
    #[must_use]
    pub const fn frees_the_newest(self) -> bool {
        matches!(self.frees(), Some(Frees::Newest))
    }

    /// Whether what it frees was acknowledged.
    #[must_use]
    pub const fn frees_acknowledged(self) -> bool {
        matches!(self.frees(), Some(Frees::Acknowledged))
    }

    /// Whether it empties the queue.
    #[must_use]
    pub const fn empties_the_queue(self) -> bool {
        matches!(self.frees(), Some(Frees::Everything))
    }

    /// Whether the kernel code that put its bytes there can be named.
    #[must_use]
    pub const fn has_code_path(self) -> bool {
        !matches!(self, Self::PreExisting | Self::Unattributed)
    }
}
