//! `struct inet_diag_msg` and its attributes: one socket of a dump (`inet_sk_diag_fill`,
//! `inet_twsk_diag_fill`, `inet_req_diag_fill`, `inet_diag_msg_attrs_fill`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLA_TYPE_MASK, NlasIterator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Endpoint, Family, KernelReading, MemInfo, MptcpInfo, Queues, TcpInfo, TcpState, monotonic_ns,
    mptcp_info,
};

/// `INET_DIAG_INFO`
pub(super) const TCP_INFO: u16 = 2;
/// `INET_DIAG_SKMEMINFO`
pub(super) const SKMEMINFO: u16 = 7;
/// `INET_DIAG_MARK`
const MARK: u16 = 15;
/// `INET_DIAG_ULP_INFO`
const ULP_INFO: u16 = 19;
/// `INET_DIAG_CGROUP_ID`
const CGROUP_ID: u16 = 21;
/// `INET_ULP_INFO_NAME`, in `INET_DIAG_ULP_INFO`
const ULP_NAME: u16 = 1;
/// `struct inet_diag_msg`
const MESSAGE: usize = 72;
/// `idiag_timer` of a TIME-WAIT socket.
const TIMER_TIMEWAIT: u8 = 3;

/// Protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, subflows of MPTCP included
    Tcp,
    /// MPTCP: the socket that the application holds
    Mptcp,
    /// UDP
    Udp,
}

/// What handles the stream above TCP (`tcp_ulp_ops`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpperLayer {
    /// Kernel TLS
    Tls,
    /// A subflow of an MPTCP socket
    Mptcp,
    /// Another one
    Other,
}

/// A timer of a socket (`idiag_timer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Timer {
    /// Retransmission or tail loss probe
    Retransmit,
    /// Keep-alive
    Keepalive,
    /// TIME-WAIT's end
    Timewait,
    /// Window probe: nothing is in flight, and nothing may be sent
    Persist,
    /// Delayed ACK (7.x; not reported before)
    Delack,
    /// A later kernel's
    Other,
}

/// One socket of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagSocket {
    /// Protocol that was asked for.
    pub protocol: Protocol,
    /// `idiag_family`
    pub family: Family,
    /// `idiag_state`; of a TIME-WAIT socket its sub-state (`tw_substate`).
    pub state: TcpState,
    /// A TIME-WAIT socket: a small structure of its own, without buffers.
    pub time_wait: bool,
    /// Local address.
    pub src: IpAddr,
    /// Local port.
    pub sport: u16,
    /// Remote address.
    pub dst: IpAddr,
    /// Remote port.
    pub dport: u16,
    /// `idiag_cookie`
    pub cookie: u64,
    /// `idiag_timer`
    pub timer: Option<Timer>,
    /// `idiag_retrans`: retransmissions or probes in a row.
    pub retrans: u8,
    /// `idiag_rqueue`: bytes not read; of a listener, connections not accepted; of an MPTCP socket
    /// `sk_rmem_alloc` (`mptcp_diag_get_info`).
    pub recv_q: u32,
    /// `idiag_wqueue`: `write_seq - snd_una`; of a listener, the most that may wait; of an MPTCP
    /// socket `sk_wmem_alloc` (`mptcp_diag_get_info`).
    pub send_q: u32,
    /// `idiag_uid`
    pub uid: u32,
    /// `idiag_inode`: 0 where no file refers to the socket.
    pub inode: u32,
    /// `INET_DIAG_SKMEMINFO`; absent in TIME-WAIT and SYN-RECV, which have no buffers.
    pub mem: Option<MemInfo>,
    /// `INET_DIAG_INFO` of a TCP socket.
    pub tcp: Option<TcpInfo>,
    /// `INET_DIAG_INFO` of an MPTCP socket.
    pub mptcp: Option<MptcpInfo>,
    /// Of a subflow: the token of its MPTCP socket (shown to `CAP_NET_ADMIN` only).
    pub subflow_token: Option<u32>,
    /// `INET_DIAG_CGROUP_ID`: cgroup v2 in which the socket was made (5.8).
    pub cgroup: Option<u64>,
    /// `INET_DIAG_ULP_INFO` (5.4; up to 6.x shown to `CAP_NET_ADMIN` only).
    pub upper_layer: Option<UpperLayer>,
    /// The kernel showed what it shows to `CAP_NET_ADMIN` only: without `upper_layer` there is
    /// none.
    pub privileged: bool,
}

impl DiagSocket {
    /// The part of it that the socket's own options would tell: of a socket that another process
    /// holds, or none (a subflow of MPTCP). `None` where the kernel left its memory out.
    #[must_use]
    pub fn truth(&self) -> Option<KernelReading> {
        let mem = self.mem?;
        let tcp = self.tcp;
        let unsent = tcp.as_ref().and_then(|tcp| tcp.notsent_bytes).unwrap_or(0);
        Some(KernelReading {
            clock_monotonic_ns: monotonic_ns(),
            endpoint: Endpoint {
                family: self.family,
                src: self.src,
                sport: self.sport,
                dst: self.dst,
                dport: self.dport,
                cookie: self.cookie,
            },
            mem,
            so_sndbuf: mem.sndbuf,
            queues: Queues {
                outq: self.send_q.cast_signed(),
                outq_nsd: unsent.cast_signed(),
            },
            tcp,
            mptcp_acked: None,
        })
    }

    /// Decodes a message's body; `None` if it is too short or of an unknown family. An attribute
    /// that is damaged, and all after it, count as absent.
    pub(super) fn parse(body: &[u8], protocol: Protocol) -> Option<Self> {
        let message = body.get(..MESSAGE)?;
        let family = match i32::from(message[0]) {
            libc::AF_INET => Family::Ipv4,
            libc::AF_INET6 => Family::Ipv6,
            _ => return None,
        };
        let time_wait = protocol != Protocol::Udp && message[2] == TIMER_TIMEWAIT;
        let mut socket = Self {
            protocol,
            family,
            state: message[1].into(),
            time_wait,
            src: address(message, 8, family)?,
            sport: port(message, 4)?,
            dst: address(message, 24, family)?,
            dport: port(message, 6)?,
            cookie: u64::from(word(message, 44)?) | u64::from(word(message, 48)?) << 32,
            timer: timer(message[2]),
            retrans: message[3],
            recv_q: word(message, 56)?,
            send_q: word(message, 60)?,
            uid: word(message, 64)?,
            inode: word(message, 68)?,
            mem: None,
            tcp: None,
            mptcp: None,
            subflow_token: None,
            cgroup: None,
            upper_layer: None,
            privileged: false,
        };
        socket.attributes(&body[MESSAGE..]);
        Some(socket)
    }

    fn attributes(&mut self, bytes: &[u8]) {
        for attribute in NlasIterator::new(bytes) {
            let Ok(attribute) = attribute else { return };
            let value = attribute.value();
            match attribute.kind() & NLA_TYPE_MASK {
                SKMEMINFO => self.mem = MemInfo::parse(value).ok(),
                // MPTCP sends struct mptcp_info under the same number.
                TCP_INFO if self.protocol == Protocol::Tcp => {
                    self.tcp = TcpInfo::parse(value).ok();
                }
                TCP_INFO if self.protocol == Protocol::Mptcp => {
                    self.mptcp = MptcpInfo::parse(value);
                }
                CGROUP_ID => {
                    let id = value.get(..8).and_then(|id| id.try_into().ok());
                    self.cgroup = id.map(u64::from_ne_bytes);
                }
                // Every socket has a mark, and only CAP_NET_ADMIN sees it
                // (inet_diag_msg_attrs_fill).
                MARK => self.privileged = true,
                ULP_INFO => {
                    self.upper_layer = upper_layer(value);
                    if self.upper_layer == Some(UpperLayer::Mptcp) {
                        self.subflow_token = mptcp_info::subflow_token(value);
                    }
                }
                _ => {}
            }
        }
    }
}

fn upper_layer(nested: &[u8]) -> Option<UpperLayer> {
    for attribute in NlasIterator::new(nested) {
        let attribute = attribute.ok()?;
        if attribute.kind() & NLA_TYPE_MASK == ULP_NAME {
            let name = attribute.value().split(|byte| *byte == 0).next()?;
            return Some(match name {
                b"tls" => UpperLayer::Tls,
                b"mptcp" => UpperLayer::Mptcp,
                _ => UpperLayer::Other,
            });
        }
    }
    None
}

fn timer(value: u8) -> Option<Timer> {
    match value {
        0 => None,
        1 => Some(Timer::Retransmit),
        2 => Some(Timer::Keepalive),
        TIMER_TIMEWAIT => Some(Timer::Timewait),
        4 => Some(Timer::Persist),
        5 => Some(Timer::Delack),
        _ => Some(Timer::Other),
    }
}

fn address(message: &[u8], at: usize, family: Family) -> Option<IpAddr> {
    Some(match family {
        Family::Ipv4 => {
            let bytes: [u8; 4] = message.get(at..at + 4)?.try_into().ok()?;
            Ipv4Addr::from(bytes).into()
        }
        Family::Ipv6 => {
            let bytes: [u8; 16] = message.get(at..at + 16)?.try_into().ok()?;
            Ipv6Addr::from(bytes).into()
        }
    })
}

fn port(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(
        message.get(at..at + 2)?.try_into().ok()?,
    ))
}

fn word(message: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        message.get(at..at + 4)?.try_into().ok()?,
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = value.len() as u16 + 4;
        let mut bytes = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// An IPv4 socket with memory, `TCP_INFO`, cgroup and upper layer.
    pub(in crate::diag) fn message() -> Vec<u8> {
        let mut body = vec![0; MESSAGE];
        body[0] = libc::AF_INET as u8;
        body[1] = 1;
        body[2] = 4;
        body[3] = 2;
        body[4..8].copy_from_slice(&[0x12, 0x34, 0, 80]);
        body[8..12].copy_from_slice(&[192, 0, 2, 1]);
        body[24..28].copy_from_slice(&[192, 0, 2, 2]);
        body[44..48].copy_from_slice(&7_u32.to_ne_bytes());
        body[60..64].copy_from_slice(&14_480_u32.to_ne_bytes());
        body[68..72].copy_from_slice(&99_u32.to_ne_bytes());
        body.extend(attribute(SKMEMINFO, &[1; 36]));
        body.extend(attribute(TCP_INFO, &[1; 232]));
        body.extend(attribute(MARK, &[0; 4]));
        body.extend(attribute(CGROUP_ID, &5_u64.to_ne_bytes()));
        let name = attribute(ULP_NAME, b"tls\0");
        body.extend(attribute(ULP_INFO | 0x8000, &name));
        body
    }

    #[test]
    fn a_socket_is_read_with_all_that_was_asked_for() {
        let socket = DiagSocket::parse(&message(), Protocol::Tcp).unwrap();
        assert_eq!(socket.src, IpAddr::from([192, 0, 2, 1]));
        assert_eq!((socket.sport, socket.dport), (0x1234, 80));
        assert_eq!(
            (socket.cookie, socket.send_q, socket.inode),
            (7, 14_480, 99)
        );
        assert_eq!(
            (socket.timer, socket.retrans, socket.time_wait),
            (Some(Timer::Persist), 2, false)
        );
        assert_eq!(socket.mem.unwrap().sndbuf, 0x0101_0101);
        assert!(socket.tcp.is_some());
        assert_eq!(
            (socket.cgroup, socket.upper_layer),
            (Some(5), Some(UpperLayer::Tls))
        );
        assert!(socket.privileged);
    }

    #[test]
    fn mptcp_info_is_not_taken_for_tcp_info() {
        let socket = DiagSocket::parse(&message(), Protocol::Mptcp).unwrap();
        assert!(socket.tcp.is_none() && socket.mem.is_some());
        assert_eq!(socket.mptcp.unwrap().token, 0x0101_0101);
    }

    #[test]
    fn a_time_wait_socket_is_known_by_its_timer_whatever_its_substate() {
        let mut body = vec![0; MESSAGE];
        // FIN-WAIT-2, held as a TIME-WAIT structure.
        (body[0], body[1], body[2]) = (libc::AF_INET6 as u8, 5, 3);
        let socket = DiagSocket::parse(&body, Protocol::Tcp).unwrap();
        assert!(socket.time_wait && socket.mem.is_none());
        assert_eq!(socket.family, Family::Ipv6);
    }

    #[test]
    fn a_prefix_never_holds_more_than_the_whole() {
        let whole = message();
        for end in 0..whole.len() {
            match DiagSocket::parse(&whole[..end], Protocol::Tcp) {
                None => assert!(end < MESSAGE),
                Some(socket) => assert!(socket.mem.is_none() || end >= MESSAGE + 40),
            }
        }
        let mut strange = whole;
        strange[0] = 1;
        assert!(DiagSocket::parse(&strange, Protocol::Tcp).is_none());
    }
}
