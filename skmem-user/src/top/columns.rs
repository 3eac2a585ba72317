//! What a row shows, and what rows are sorted by.

use super::line::Line;

/// A column, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Column {
    /// The process that holds the socket
    Process,
    /// Both ends: LOCAL>REMOTE
    Ends,
    /// How many sockets (groups only)
    Sockets,
    /// The connection's state
    State,
    /// `wmem_queued`: memory of all queued packets, bytes
    W,
    /// w against sndbuf, as a bar: what is over the limit looks different
    Bar,
    /// w in percent of sndbuf
    Fill,
    /// sndbuf: the limit of w, bytes
    Sndbuf,
    /// w over the last looks
    Trend,
    /// What holds the sender up
    Held,
    /// How long senders were blocked; + while one waits (with causes)
    Blocked,
    /// `rmem_alloc` against rcvbuf, bytes
    R,
    /// Change of w, bytes a second
    Rate,
    /// Changes of w, a second (with causes)
    Changes,
    /// Written and never sent, bytes
    Unsent,
    /// Sent and not acknowledged, bytes
    Flight,
    /// `wmem_alloc`: in the queueing discipline or the card, bytes
    T,
    /// w + r + f: what counts against `tcp_mem`, bytes
    Charged,
}

impl Column {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Process,
        Self::Ends,
        Self::Sockets,
        Self::State,
        Self::W,
        Self::Bar,
        Self::Fill,
        Self::Sndbuf,
        Self::Trend,
        Self::Held,
        Self::Blocked,
        Self::R,
        Self::Rate,
        Self::Changes,
        Self::Unsent,
        Self::Flight,
        Self::T,
        Self::Charged,
    ];

    /// Those that rows can be sorted by, in the order in which `<` and `>` go.
    pub const SORTS: [Self; 12] = [
        Self::Sockets,
        Self::W,
        Self::Fill,
        Self::Sndbuf,
        Self::Blocked,
        Self::R,
        Self::Rate,
        Self::Changes,
        Self::Unsent,
        Self::Flight,
        Self::T,
        Self::Charged,
    ];

    /// Its head.
    #[must_use]
    pub fn head(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Ends => "local>remote",
            Self::Sockets => "sockets",
            Self::State => "state",
            Self::W => "w",
            Self::Bar => "of sndbuf",
            Self::Fill => "fill",
            Self::Sndbuf => "sndbuf",
            Self::Trend => "trend",
            Self::Held => "held by",
            Self::Blocked => "blocked",
            Self::R => "r/rcvbuf",
            Self::Rate => "w/s",
            Self::Changes => "chg/s",
            Self::Unsent => "unsent",
            Self::Flight => "flight",
            Self::T => "t",
            Self::Charged => "charged",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Process => "process that holds the socket",
            Self::Ends => "both ends",
            Self::Sockets => "how many sockets (groups)",
            Self::State => "the connection's state",
            Self::W => "wmem_queued: memory of all queued packets",
            Self::Bar => "w against sndbuf; ▒ is over the limit",
            Self::Fill => "w in percent of sndbuf",
            Self::Sndbuf => "sndbuf: the limit of w (tb in ss)",
            Self::Trend => "w over the last looks",
            Self::Held => "what holds the sender up",
            Self::Blocked => "time that senders slept for room; + goes on",
            Self::R => "rmem_alloc against rcvbuf (r and rb in ss)",
            Self::Rate => "change of w, bytes a second",
            Self::Changes => "changes of w a second, a count",
            Self::Unsent => "written and never sent",
            Self::Flight => "sent and not acknowledged",
            Self::T => "wmem_alloc: in the qdisc or the card",
            Self::Charged => "w + r + f: counts against tcp_mem",
        }
    }

    /// The number to sort by; numbers that are not known come last.
    #[must_use]
    pub fn key(self, line: &Line) -> i64 {
        match self {
            Self::Process | Self::Ends | Self::State | Self::Trend | Self::Held | Self::W => line.w,
            Self::Sockets => i64::try_from(line.sockets()).unwrap_or(i64::MAX),
            Self::Bar | Self::Fill => line.fill().unwrap_or(-1),
            Self::Sndbuf => line.sndbuf,
            Self::Blocked => line
                .blocked_ns
                .map_or(-1, |ns| i64::try_from(ns).unwrap_or(i64::MAX)),
            Self::R => line.r,
            Self::Rate => line.w_rate.map_or(-1, i64::abs),
            Self::Changes => line.change_rate.unwrap_or(-1),
            Self::Unsent => line.unsent,
            Self::Flight => line.in_flight,
            Self::T => line.t,
            Self::Charged => line.charged,
        }
    }

    /// Only known where the programs keep accounts.
    #[must_use]
    pub fn needs_causes(self) -> bool {
        matches!(self, Self::Blocked | Self::Changes)
    }

    /// Shown if nobody chose otherwise and there is room.
    #[must_use]
    pub fn by_default(self) -> bool {
        !matches!(self, Self::T | Self::Charged | Self::Fill)
    }

    /// Which gives way first on a narrow terminal: the larger number.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            Self::Process => 0,
            Self::Ends => 1,
            Self::W => 2,
            Self::Held => 3,
            Self::Bar => 4,
            Self::Sockets => 5,
            Self::Blocked => 6,
            Self::Sndbuf => 7,
            Self::R => 8,
            Self::Fill => 9,
            Self::Trend => 10,
            Self::Rate => 11,
            Self::Changes => 12,
            Self::Charged => 13,
            Self::Unsent => 14,
            Self::Flight => 15,
            Self::State => 16,
            Self::T => 17,
        }
    }
}
