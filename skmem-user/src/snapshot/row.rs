//! One socket, with its memory under the kernel's names and what follows from it.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decode::LimitState,
    diag::{DiagSocket, Family, MemInfo, Protocol, TcpInfo, TcpState, Timer, UpperLayer},
    explain::window::Window,
};

/// The nine values of `sk_get_meminfo`. Bytes of truesize; `drops` is a count of packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// `sk_backlog.rmem_alloc` (ss: r): unread data, skbs read in part, out-of-order data, the
    /// error queue
    pub rmem_alloc: i32,
    /// `sk_rcvbuf` (rb): limit of the former
    pub rcvbuf: i32,
    /// `sk_wmem_alloc - 1` (t): below TCP, in the queueing discipline or the card
    pub wmem_alloc: i32,
    /// `sk_sndbuf` (tb): limit of `wmem_queued`, already doubled
    pub sndbuf: i32,
    /// `sk_forward_alloc` (f): charged and not used yet
    pub forward_alloc: i32,
    /// `sk_wmem_queued` (w): in TCP, unsent and unacknowledged
    pub wmem_queued: i32,
    /// `sk_omem_alloc` (o): options
    pub optmem: i32,
    /// `sk_backlog.len` (bl): waiting for the socket's lock
    pub backlog: i32,
    /// `sk_drops` (d): packets thrown away; a count
    pub drops: u32,
}

impl From<MemInfo> for Memory {
    fn from(mem: MemInfo) -> Self {
        Self {
            rmem_alloc: mem.rmem_alloc,
            rcvbuf: mem.rcvbuf,
            wmem_alloc: mem.wmem_alloc,
            sndbuf: mem.sndbuf,
            forward_alloc: mem.fwd_alloc,
            wmem_queued: mem.wmem_queued,
            optmem: mem.optmem,
            backlog: mem.backlog,
            drops: mem.drops,
        }
    }
}

impl Memory {
    /// What the socket is charged with: w + r + f. t is in w, o and bl are not charged.
    #[must_use]
    pub fn charged(&self) -> i64 {
        i64::from(self.wmem_queued) + i64::from(self.rmem_alloc) + i64::from(self.forward_alloc)
    }
}

/// From `TCP_INFO`: what bears on the send queue. Absent where this kernel does not report it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// `tcpi_snd_mss`, bytes
    pub mss: u32,
    /// `tcpi_snd_cwnd`, segments
    pub cwnd: u32,
    /// `tcpi_unacked`, segments in flight
    pub unacked: u32,
    /// `tcpi_lost`, segments
    pub lost: u32,
    /// `tcpi_total_retrans`, segments over the connection's life
    pub total_retrans: u32,
    /// `tcpi_rtt`, µs
    pub rtt_us: u32,
    /// `tcpi_snd_wnd`: the peer's window, bytes (5.4)
    pub snd_wnd: Option<u32>,
    /// `tcpi_busy_time`: time with data to send, µs (4.10)
    pub busy_us: Option<u64>,
    /// `tcpi_rwnd_limited`: of it, stopped by the peer's window, µs (4.10)
    pub rwnd_limited_us: Option<u64>,
    /// `tcpi_sndbuf_limited`: of it, short of send buffer, µs (4.10)
    pub sndbuf_limited_us: Option<u64>,
    /// `tcpi_rcv_wnd`: the window that we offer, bytes (6.2)
    #[serde(default)]
    pub rcv_wnd: Option<u32>,
}

impl From<&TcpInfo> for Flow {
    fn from(info: &TcpInfo) -> Self {
        Self {
            mss: info.snd_mss,
            cwnd: info.snd_cwnd,
            unacked: info.unacked,
            lost: info.lost,
            total_retrans: info.total_retrans,
            rtt_us: info.rtt_us,
            snd_wnd: info.snd_wnd,
            busy_us: info.busy_time_us,
            rwnd_limited_us: info.rwnd_limited_us,
            sndbuf_limited_us: info.sndbuf_limited_us,
            rcv_wnd: info.rcv_wnd,
        }
    }
}

/// A process that holds the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// Process, as seen from where skmem runs
    pub pid: u32,
    /// Command name
    pub comm: Box<str>,
    /// Descriptor in that process
    pub fd: i32,
}

/// Whose the socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// One or more processes hold it: see `holders`
    Process,
    /// Established, and waiting in a listener's queue for `accept()`
    NotAccepted,
    /// Closed by its application; the kernel still has data or an end to send
    Orphan,
    /// It has a file, but no process that could be looked at holds it, and some could not be looked
    /// at
    NotPermitted,
    /// It has a file, and no process holds it: closed meanwhile, on its way in a message, or held
    /// by the kernel (`io_uring`, NFS)
    NotFound,
    /// `/proc` was not looked at (`--no-owners`)
    NotAsked,
}

/// What is known about who governs `sndbuf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The application set it (`SO_SNDBUF`, `SO_RCVBUF)`: proved by the value, or by `SO_BUF_LOCK`
    /// with `--locks`
    Locked,
    /// The kernel moves it: proved by the value, or by `SO_BUF_LOCK` with `--locks`
    Autotuned,
    /// Below what every socket begins with: set by the application, or shrunk under memory pressure
    LockedOrShrunk,
    /// Neither `sock_diag` nor the value shows it; `--locks` does
    Unknown,
}

impl From<LimitState> for Limit {
    fn from(state: LimitState) -> Self {
        match state {
            LimitState::Locked => Self::Locked,
            LimitState::Autotuned => Self::Autotuned,
            LimitState::LockedOrShrunk => Self::LockedOrShrunk,
            LimitState::Unknown => Self::Unknown,
        }
    }
}

/// What is below TCP on the way to the peer, on this machine and in this network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathBelow {
    /// Device that packets to the peer leave by (the route of now)
    pub device: String,
    /// Its queueing disciplines
    pub qdiscs: Vec<PathQdisc>,
}

/// A queueing discipline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathQdisc {
    /// `netem`, `fq`, `tbf`, …
    pub kind: String,
    /// Bytes that wait in it, of all sockets together
    pub backlog_bytes: u32,
    /// Packets that wait in it, a count
    pub backlog_packets: u32,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Network namespace, by inode
    pub netns: u64,
    /// Protocol
    pub protocol: Protocol,
    /// Address family
    pub family: Family,
    /// State; of UDP, CLOSE is an unconnected socket
    pub state: TcpState,
    /// Local address
    pub src: IpAddr,
    /// Local port
    pub sport: u16,
    /// Remote address
    pub dst: IpAddr,
    /// Remote port
    pub dport: u16,
    /// `SO_COOKIE`
    pub cookie: u64,
    /// Inode of the socket's file, as in `/proc/PID/fd`; 0: none
    pub inode: u32,
    /// User
    pub uid: u32,
    /// Memory; absent where the kernel reports none (SYN-RECV)
    pub memory: Option<Memory>,
    /// w + r + f, bytes: what counts against `tcp_mem` and the memory cgroup
    pub charged: i64,
    /// Send-Q: written and not acknowledged, bytes; of a listener, connections that may wait. Of
    /// an MPTCP socket, by the connection's own sequence numbers (`mptcpi_write_seq -
    /// mptcpi_snd_una`), where `ss` shows `sk_wmem_alloc`
    pub send_q: u32,
    /// The part of `send_q` that was never sent, bytes
    pub unsent: Option<u32>,
    /// The part of `send_q` that was sent and not acknowledged, bytes
    pub in_flight: Option<u32>,
    /// Application data in `wmem_queued`, bytes
    pub payload: Option<u32>,
    /// `wmem_queued` less `payload`; absent too where the two are of different moments. Of an
    /// MPTCP socket, the headers of its data fragments (`struct mptcp_data_frag`)
    pub skb_overhead: Option<u32>,
    /// Recv-Q: not read, bytes; of a listener, connections not accepted. Of an MPTCP socket the
    /// kernel reports `rmem_alloc` instead, from 7.x on with what still waits for its lock
    pub recv_q: u32,
    /// `wmem_queued` in percent of `sndbuf`
    pub fill_percent: Option<u32>,
    /// Who governs `sndbuf`
    pub limit: Limit,
    /// Who governs `rcvbuf`, with `--locks`
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rcvbuf_limit: Option<Limit>,
    /// Timer that is set
    pub timer: Option<Timer>,
    /// Timeouts or probes in a row
    pub timeouts: u8,
    /// From `TCP_INFO`
    pub flow: Option<Flow>,
    /// What handles the stream above TCP; some kernels tell only `CAP_NET_ADMIN`
    pub upper_layer: Option<UpperLayer>,
    /// Of an MPTCP socket and its subflows: the connection's token, by which `ip mptcp` and `ss
    /// -M` know it; 0: there is no connection yet. Of a subflow, shown to `CAP_NET_ADMIN` only
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mptcp_token: Option<u32>,
    /// Of a subflow: `SO_COOKIE` of its MPTCP socket, where that is listed
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mptcp_socket: Option<u64>,
    /// In repair mode (`TCP_REPAIR`): what is written goes to its queues and is not sent; with
    /// `--locks`
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repair: Option<bool>,
    /// The kernel showed what it shows to `CAP_NET_ADMIN` only: without `upper_layer` there is
    /// none
    #[serde(skip, default)]
    pub privileged: bool,
    /// Where the limit of the receive buffer goes, with `--window`: what it holds, what is kept
    /// back, what the peer may send
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub window: Option<Box<Window>>,
    /// What is below TCP on the way to the peer, for sockets with 16 KiB or more in w
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<Box<PathBelow>>,
    /// What stands out, alarms first, in JSON
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub findings: Vec<super::findings::RowFinding>,
    /// Whose it is
    pub owner: Owner,
    /// Processes that hold it
    pub holders: Vec<Holder>,
    /// Cgroup v2 in which it was made: id
    pub cgroup_id: Option<u64>,
    /// The same: path below the hierarchy's root; absent where the cgroup is gone
    pub cgroup: Option<String>,
    /// Change of `charged` since the last look, bytes, with `--watch`; absent for a new socket
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<i64>,
}

impl Row {
    /// From one message of a dump; who holds it is filled in later.
    #[must_use]
    pub fn new(socket: &DiagSocket, netns: u64) -> Self {
        let listens = socket.protocol != Protocol::Udp && socket.state == TcpState::Listen;
        let streams = !listens && socket.protocol == Protocol::Tcp;
        let memory = socket.mem.map(Memory::from);
        let flow = socket.tcp.as_ref().filter(|_| streams);
        let unsent = flow.and_then(|info| info.notsent_bytes);
        let control = u32::from(matches!(
            socket.state,
            TcpState::SynSent
                | TcpState::SynRecv
                | TcpState::FinWait1
                | TcpState::Closing
                | TcpState::LastAck
        ));
        // After a fallback to TCP the queue of the MPTCP socket is what its subflow has not taken
        // yet.
        let multipath = socket.mptcp.filter(|info| !listens && !info.fallback);
        let send_q = multipath.map_or(socket.send_q, |info| info.send_q);
        let payload = (memory.is_some() && (streams || multipath.is_some()))
            .then(|| send_q.saturating_sub(control));
        let queued = memory.and_then(|m| u32::try_from(m.wmem_queued).ok());
        let fill = memory
            .filter(|m| !listens && m.sndbuf > 0)
            .and_then(|m| u32::try_from(i64::from(m.wmem_queued) * 100 / i64::from(m.sndbuf)).ok());
        Self {
            netns,
            protocol: socket.protocol,
            family: socket.family,
            state: socket.state,
            src: socket.src,
            sport: socket.sport,
            dst: socket.dst,
            dport: socket.dport,
            cookie: socket.cookie,
            inode: socket.inode,
            uid: socket.uid,
            memory,
            charged: memory.map_or(0, |m| m.charged()),
            send_q,
            unsent,
            in_flight: unsent.map(|unsent| send_q.saturating_sub(unsent)),
            payload,
            skb_overhead: queued.zip(payload).and_then(|(w, p)| w.checked_sub(p)),
            recv_q: socket.recv_q,
            fill_percent: fill,
            limit: Limit::Unknown,
            rcvbuf_limit: None,
            timer: socket.timer,
            timeouts: socket.retrans,
            flow: flow.map(Flow::from),
            upper_layer: socket.upper_layer,
            mptcp_token: socket.mptcp.map(|info| info.token).or(socket.subflow_token),
            mptcp_socket: None,
            repair: None,
            window: None,
            privileged: socket.privileged,
            path: None,
            findings: Vec::new(),
            owner: Owner::NotAsked,
            holders: Vec::new(),
            cgroup_id: socket.cgroup,
            cgroup: None,
            change: None,
        }
    }

    /// Whether it listens.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.protocol != Protocol::Udp && self.state == TcpState::Listen
    }

    /// Bytes of a value of its memory; 0 where it has none.
    #[must_use]
    pub fn bytes(&self, value: impl Fn(&Memory) -> i32) -> i64 {
        self.memory
            .as_ref()
            .map_or(0, |memory| i64::from(value(memory)))
    }

    /// What a socket without a holder is, by its state: `inode` 0 means that it has no file.
    #[must_use]
    pub fn without_holder(&self, denied: bool) -> Owner {
        match (self.inode, self.state) {
            (
                0,
                TcpState::FinWait1 | TcpState::FinWait2 | TcpState::Closing | TcpState::LastAck,
            ) => Owner::Orphan,
            (0, _) => Owner::NotAccepted,
            _ if denied => Owner::NotPermitted,
            _ => Owner::NotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rows::{mem, socket};

    #[test]
    fn w_is_split_into_data_and_overhead_and_a_fin_is_no_data() {
        let mut one = socket(TcpState::FinWait1, mem(33_136, 0, 3_728, 8_192));
        one.send_q = 31_857;
        let row = Row::new(&one, 1);
        assert_eq!((row.payload, row.skb_overhead), (Some(31_856), Some(1_280)));
        assert_eq!((row.charged, row.fill_percent), (36_864, Some(404)));
    }

    #[test]
    fn values_of_different_moments_give_no_overhead() {
        let mut one = socket(TcpState::Established, mem(100, 0, -50, 0));
        one.send_q = 500;
        let row = Row::new(&one, 1);
        assert_eq!(
            (row.skb_overhead, row.fill_percent, row.charged),
            (None, None, 50)
        );
    }

    #[test]
    fn a_listener_has_no_data_and_no_fill() {
        let mut one = socket(TcpState::Listen, mem(0, 0, 0, 16_384));
        one.send_q = 128;
        let row = Row::new(&one, 1);
        assert_eq!(
            (row.payload, row.in_flight, row.fill_percent),
            (None, None, None)
        );
    }

    #[test]
    fn a_socket_without_a_file_is_an_orphan_or_not_accepted() {
        let owner = |state, inode, denied| {
            let mut one = socket(state, mem(0, 0, 0, 1));
            one.inode = inode;
            Row::new(&one, 1).without_holder(denied)
        };
        assert_eq!(owner(TcpState::FinWait1, 0, true), Owner::Orphan);
        assert_eq!(owner(TcpState::Established, 0, true), Owner::NotAccepted);
        assert_eq!(owner(TcpState::CloseWait, 0, false), Owner::NotAccepted);
        assert_eq!(owner(TcpState::Established, 9, true), Owner::NotPermitted);
        assert_eq!(owner(TcpState::Established, 9, false), Owner::NotFound);
    }
}
