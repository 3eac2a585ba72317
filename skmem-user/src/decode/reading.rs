//! One socket as `ss` prints it: every value may be missing, since versions and options differ.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::diag::TcpState;

/// The values of `skmem:(…)`, or the four of the older `mem:(…)`. Bytes; `drops` is a count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Memory {
    /// r
    pub rmem_alloc: Option<i64>,
    /// rb
    pub rcvbuf: Option<i64>,
    /// t
    pub wmem_alloc: Option<i64>,
    /// tb
    pub sndbuf: Option<i64>,
    /// f
    pub forward_alloc: Option<i64>,
    /// w
    pub wmem_queued: Option<i64>,
    /// o
    pub optmem: Option<i64>,
    /// bl
    pub backlog: Option<i64>,
    /// d
    pub drops: Option<i64>,
}

impl Memory {
    /// The values that are there: letter, skmem's name, value, in the order of `ss`.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &'static str, i64)> {
        [
            ("r", "rmem_alloc", self.rmem_alloc),
            ("rb", "rcvbuf", self.rcvbuf),
            ("t", "wmem_alloc", self.wmem_alloc),
            ("tb", "sndbuf", self.sndbuf),
            ("f", "forward_alloc", self.forward_alloc),
            ("w", "wmem_queued", self.wmem_queued),
            ("o", "optmem", self.optmem),
            ("bl", "backlog", self.backlog),
            ("d", "drops", self.drops),
        ]
        .into_iter()
        .filter_map(|(letter, name, value)| Some((letter, name, value?)))
    }

    /// The place of a letter's value.
    pub(super) fn place(&mut self, letter: &str) -> Option<&mut Option<i64>> {
        Some(match letter {
            "r" => &mut self.rmem_alloc,
            "rb" => &mut self.rcvbuf,
            "t" => &mut self.wmem_alloc,
            "tb" => &mut self.sndbuf,
            "f" => &mut self.forward_alloc,
            "w" => &mut self.wmem_queued,
            "o" => &mut self.optmem,
            "bl" => &mut self.backlog,
            "d" => &mut self.drops,
            _ => return None,
        })
    }
}

/// What `ss -i` adds, as far as it says something about memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct Info {
    /// `mss`, bytes
    pub mss: Option<i64>,
    /// `cwnd`, segments
    pub cwnd: Option<i64>,
    /// `unacked`, segments; of a listener its accept queue
    pub unacked: Option<i64>,
    /// `notsent`, bytes; 0 where this version prints it only when it is not 0
    pub unsent: Option<i64>,
    /// `snd_wnd`, bytes; 0 where this version prints it only when it is not 0
    pub snd_wnd: Option<i64>,
    /// `busy`, ms
    pub busy_ms: Option<i64>,
    /// `rwnd_limited`, ms
    pub rwnd_limited_ms: Option<i64>,
    /// `rwnd_limited:…(N%)`: its share of `busy`
    pub rwnd_limited_percent: Option<f64>,
    /// `sndbuf_limited`, ms
    pub sndbuf_limited_ms: Option<i64>,
    /// `retrans:N/…`: segments retransmitted and in flight
    pub retrans: Option<i64>,
    /// `retrans:…/N`: segments retransmitted over the connection's life
    pub total_retrans: Option<i64>,
    /// `lost`, segments
    pub lost: Option<i64>,
    /// `rtt`, ms
    pub rtt_ms: Option<f64>,
    /// `backoff`: how often the timer's period was doubled: timeouts in a row, or window probes,
    /// answered or not
    pub backoff: Option<i64>,
    /// `rto`, ms
    pub rto_ms: Option<i64>,
    /// `lastsnd`: since data was last sent, ms
    pub lastsnd_ms: Option<i64>,
    /// `lastrcv`: since data last arrived, ms
    pub lastrcv_ms: Option<i64>,
    /// `lastack`: since the last ACK arrived, ms
    pub lastack_ms: Option<i64>,
    /// `pacing_rate`, bytes a second
    pub pacing_rate: Option<i64>,
    /// `rcv_ssthresh`: how much window we may offer so far, bytes
    pub rcv_ssthresh: Option<i64>,
    /// `rcv_wnd`: the window that we offer, bytes
    pub rcv_wnd: Option<i64>,
    /// `bytes_acked` over the connection's life
    pub bytes_acked: Option<i64>,
    /// `bytes_received` over the connection's life
    pub bytes_received: Option<i64>,
}

/// What kind of socket it is, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// TCP
    Tcp,
    /// MPTCP
    Mptcp,
    /// UDP or UDP-Lite
    Udp,
}

/// Which program printed it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// `ss`, or what was read is in its form
    #[default]
    Ss,
    /// `netstat`
    Netstat,
    /// `/proc/net/tcp` and its like
    Proc,
    /// The kernel itself
    Kernel,
}

/// `timer:(name,left,count)`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TimerText {
    /// on, keepalive, timewait, persist, delack or unknown
    pub name: String,
    /// Time left, as printed
    pub left: String,
    /// Timeouts or probes in a row
    pub count: i64,
}

/// One of `users:((…))`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct User {
    /// Command name
    pub comm: String,
    /// Process
    pub pid: i64,
    /// Descriptor; null from netstat, which does not print it
    pub fd: Option<i64>,
}

/// One socket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Reading {
    /// Line of the input on which it begins; 0 if it was not read from text.
    pub line: usize,
    /// Which of several commands' output in the input it is in, from 1; 0 if it was not read from
    /// text.
    pub run: usize,
    /// What printed it.
    pub source: Source,
    /// Kind, from the Netid column or from what else is known; null where TCP and UDP look alike.
    pub kind: Option<Kind>,
    /// Whether a part of it could not be read, so that what is absent is not 0.
    pub damaged: bool,
    /// Netid column (tcp, mptcp, udp), where there is one.
    pub netid: Option<String>,
    /// State column; absent with `ss state …` for one state.
    pub state: Option<TcpState>,
    /// Recv-Q, bytes
    pub recv_q: Option<i64>,
    /// Send-Q, bytes
    pub send_q: Option<i64>,
    /// Local address and port, as printed
    pub local: Option<String>,
    /// Remote address and port, as printed
    pub remote: Option<String>,
    /// Memory
    pub memory: Memory,
    /// Whether the memory was printed in the old form, `mem:(…)`
    pub old_form: bool,
    /// `-i`
    pub info: Info,
    /// `-o`
    pub timer: Option<TimerText>,
    /// `-p`
    pub users: Vec<User>,
    /// `ino:`; 0: no file refers to the socket
    pub inode: Option<i64>,
    /// `cgroup:`
    pub cgroup: Option<String>,
    /// `tcp-ulp-…`
    pub upper_layer: Option<String>,
    /// `minrtt` was printed, so that what `ss -i` prints behind it was read, too.
    #[serde(skip)]
    pub to_minrtt: bool,
}

impl Reading {
    /// Whether it listens.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.state == Some(TcpState::Listen)
    }

    /// Whether it is UDP, which has no send queue of its own and no autotuning.
    #[must_use]
    pub fn is_udp(&self) -> bool {
        self.kind == Some(Kind::Udp)
    }

    /// Whether it is an MPTCP socket, whose Recv-Q is r (`mptcp_diag_get_info`): not data.
    #[must_use]
    pub fn is_mptcp(&self) -> bool {
        self.kind == Some(Kind::Mptcp)
    }

    /// Whether Send-Q counts data: of an MPTCP socket `ss` prints t there; `skmem snapshot` takes
    /// it from `MPTCP_INFO`.
    #[must_use]
    pub fn queues_are_data(&self) -> bool {
        !self.is_mptcp() || self.source == Source::Kernel
    }

    /// Whether it is known to be TCP or MPTCP.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        matches!(self.kind, Some(Kind::Tcp | Kind::Mptcp))
    }

    /// Whether TCP data may flow or wait.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        !self.listens() && !self.is_udp()
    }

    /// Whether nothing of its memory was printed; drops do not count.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        let drops = self.memory.drops;
        self.memory
            == Memory {
                drops,
                ..Memory::default()
            }
    }

    /// Bytes of data in Send-Q: a SYN or a FIN that waits for its ACK counts one there, but is not
    /// data.
    #[must_use]
    pub fn send_payload(&self) -> Option<i64> {
        let control = match self.state {
            Some(
                TcpState::SynSent
                | TcpState::SynRecv
                | TcpState::FinWait1
                | TcpState::Closing
                | TcpState::LastAck,
            ) => 1,
            _ => 0,
        };
        let counts = self.is_connection() && self.queues_are_data();
        let send_q = self.send_q.filter(|_| counts)?;
        Some((send_q - control).max(0))
    }

    /// Bytes of data in Recv-Q: the FIN of a peer that has closed counts one there until it is
    /// read, but is not data.
    #[must_use]
    pub fn recv_payload(&self) -> Option<i64> {
        let fin = match self.state {
            Some(TcpState::CloseWait | TcpState::LastAck | TcpState::Closing) => 1,
            _ => 0,
        };
        let counts = self.is_connection() && !self.is_mptcp();
        let recv_q = self.recv_q.filter(|_| counts)?;
        Some((recv_q - fin).max(0))
    }

    /// Bytes sent and not acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> Option<i64> {
        let counts = self.is_connection() && self.queues_are_data();
        let send_q = self.send_q.filter(|_| counts)?;
        Some((send_q - self.info.unsent?).max(0))
    }

    /// The part of w that is not data; `None` too where the two were read at different moments.
    #[must_use]
    pub fn skb_overhead(&self) -> Option<i64> {
        let overhead = self.memory.wmem_queued? - self.send_payload()?;
        (overhead >= 0).then_some(overhead)
    }
}

impl fmt::Display for Reading {
    /// Who and where it is: `ESTABLISHED 10.0.0.1:5001 → 10.0.0.2:4000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<&str> = Vec::new();
        words.extend(self.netid.as_deref());
        if self.netid.is_none() && self.is_udp() {
            words.push("udp");
        }
        words.extend(self.state.map(|state| match state {
            TcpState::Established if self.is_udp() => "connected",
            TcpState::Close if self.is_udp() => "unconnected",
            TcpState::Close if self.kind.is_none() && self.source == Source::Ss => "UNCONN",
            state => state_name(state),
        }));
        words.extend(self.local.as_deref());
        if let Some(remote) = self.remote.as_deref().filter(|_| !self.listens()) {
            words.extend(["→", remote]);
        }
        f.write_str(&words.join(" "))
    }
}

/// A state by the name that RFC 9293 gives it.
#[must_use]
pub fn state_name(state: TcpState) -> &'static str {
    match state {
        TcpState::Established => "ESTABLISHED",
        TcpState::SynSent => "SYN-SENT",
        TcpState::SynRecv => "SYN-RECV",
        TcpState::FinWait1 => "FIN-WAIT-1",
        TcpState::FinWait2 => "FIN-WAIT-2",
        TcpState::TimeWait => "TIME-WAIT",
        TcpState::Close => "CLOSED",
        TcpState::CloseWait => "CLOSE-WAIT",
        TcpState::LastAck => "LAST-ACK",
        TcpState::Listen => "LISTEN",
        TcpState::Closing => "CLOSING",
        TcpState::Other => "other",
    }
}
