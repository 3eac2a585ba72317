//! `NETLINK_SOCK_DIAG` dumps of every socket of a network namespace, handed over one by one
//! (`inet_diag_dump_icsk`, `udp_diag_dump`, `mptcp_diag_dump`).
//!
//! Why not the crate `netlink-packet-sock-diag`: its request has no place for
//! `INET_DIAG_REQ_PROTOCOL`, without which MPTCP cannot be asked for; it knows neither the cgroup
//! nor the upper layer; it gives a whole dump up for one attribute of another length; and it
//! allocates for each attribute. What it would add to `netlink-packet-core`, which does the framing
//! here, is `inet_diag_msg`.

use std::{io, path::Path};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

use super::{
    DiagError, Family, Result,
    inet_diag_msg::{DiagSocket, Protocol, SKMEMINFO, TCP_INFO},
};

const WHAT: &str = "NETLINK_SOCK_DIAG";
/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
/// `TCPDIAG_GETSOCK`: the older request for TCP, the only one that lists both families in one pass
/// (`inet_diag_dump_compat`). A pass costs a walk over the whole table, whatever it is asked for.
const TCP_BOTH: u16 = 18;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLMSG_DONE`
const DONE: u16 = 3;
/// `NLMSG_OVERRUN`
const OVERRUN: u16 = 4;
/// `INET_DIAG_REQ_PROTOCOL`
const REQ_PROTOCOL: u16 = 3;
/// `struct nlmsghdr`
const HEADER: usize = 16;
/// `struct nlmsghdr` and `struct inet_diag_req_v2`
const REQUEST: usize = 72;
/// `struct nlmsghdr` and `struct inet_diag_req`
const OLD_REQUEST: usize = 76;
/// The attributes that are wanted: each socket's memory and `TCP_INFO`.
const EXTENSIONS: u8 = 1 << (TCP_INFO - 1) | 1 << (SKMEMINFO - 1);
/// The kernel fills dumps in parts of at most 32 KiB (`netlink_dump`).
const PART: usize = 64 << 10;

/// Every state (`idiag_states`).
pub const EVERY_STATE: u32 = u32::MAX;
/// All but `TCP_BOUND_INACTIVE` (13, from 6.8 on): sockets that are bound and neither listen nor
/// are connected. They hold no memory, and lie in a table of their own, whose walk takes a tenth
/// of the time of a dump of 10,000 sockets.
pub const IN_USE: u32 = (1 << 13) - 1;

/// How a dump ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dumped {
    /// Messages that were no socket as this module knows it.
    pub unreadable: u64,
    /// The table changed while it was read (`NLM_F_DUMP_INTR`).
    pub interrupted: bool,
}

/// Hands every socket of a protocol in one of these states, IPv4 and IPv6, in the calling thread's
/// network namespace, to `each`.
///
/// A socket may be listed twice, or missed, when the kernel's table changes between two parts of
/// the dump; its cookie identifies it.
///
/// # Errors
/// Where the kernel refuses ([`DiagError::is_unsupported`]: the protocol's module is not there), or
/// ends the dump early.
pub fn dump(protocol: Protocol, states: u32, mut each: impl FnMut(&DiagSocket)) -> Result<Dumped> {
    if protocol == Protocol::Mptcp && !mptcp_is_known() {
        // A kernel that does not know the attribute would list raw sockets instead.
        return Err(failed(io::Error::from_raw_os_error(libc::ENOENT)));
    }
    let mut dumped = Dumped::default();
    if protocol == Protocol::Tcp {
        match pass(&both_families(states), protocol, &mut dumped, &mut each) {
            // Refused before the first socket: the kernel may have given the older request up.
            Err(error) if error.is_unsupported() => {}
            other => return other.map(|()| dumped),
        }
    }
    for family in [Family::Ipv4, Family::Ipv6] {
        match pass(
            &request(protocol, family, states),
            protocol,
            &mut dumped,
            &mut each,
        ) {
            // IPv6 is switched off: there are no such sockets.
            Err(error) if error.is_unsupported() && family == Family::Ipv6 => {}
            other => other?,
        }
    }
    Ok(dumped)
}

/// One walk over the kernel's table.
fn pass(
    request: &[u8],
    protocol: Protocol,
    dumped: &mut Dumped,
    each: &mut impl FnMut(&DiagSocket),
) -> Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG).map_err(failed)?;
    socket.bind_auto().map_err(failed)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(failed)?;
    socket.send(request, 0).map_err(failed)?;
    let mut part: Vec<u8> = Vec::with_capacity(PART);
    loop {
        part.clear();
        let got = match socket.recv(&mut part, libc::MSG_TRUNC) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        };
        if got == 0 || got > part.len() {
            return Err(DiagError::format(WHAT, "a datagram that was cut"));
        }
        if read_part(&part, protocol, dumped, each)? {
            return Ok(());
        }
    }
}

/// Whether this kernel speaks MPTCP (`mptcp_net_init` makes the sysctls).
#[must_use]
pub fn mptcp_is_known() -> bool {
    Path::new("/proc/sys/net/mptcp/enabled").exists()
}

fn failed(source: io::Error) -> DiagError {
    DiagError::Socket { what: WHAT, source }
}

/// `struct nlmsghdr`, `struct inet_diag_req_v2`, and for a protocol beyond 255 its attribute.
fn request(protocol: Protocol, family: Family, states: u32) -> Vec<u8> {
    let family = match family {
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    let (protocol, wide) = match protocol {
        Protocol::Tcp => (libc::IPPROTO_TCP, None),
        Protocol::Udp => (libc::IPPROTO_UDP, None),
        Protocol::Mptcp => (libc::IPPROTO_RAW, Some(libc::IPPROTO_MPTCP)),
    };
    let len = REQUEST + wide.map_or(0, |_| 8);
    let mut bytes = header(len, BY_FAMILY);
    bytes.extend([family as u8, protocol as u8, EXTENSIONS, 0]);
    bytes.extend(states.to_ne_bytes());
    // struct inet_diag_sockid: any.
    bytes.extend([0; 48]);
    if let Some(protocol) = wide {
        bytes.extend(8_u16.to_ne_bytes());
        bytes.extend(REQ_PROTOCOL.to_ne_bytes());
        bytes.extend((protocol as u32).to_ne_bytes());
    }
    bytes
}

/// `struct nlmsghdr`, `struct inet_diag_req`: TCP of both families.
fn both_families(states: u32) -> Vec<u8> {
    let mut bytes = header(OLD_REQUEST, TCP_BOTH);
    // The family (any), and two lengths that no kernel reads.
    bytes.extend([libc::AF_UNSPEC as u8, 0, 0, EXTENSIONS]);
    // struct inet_diag_sockid: any.
    bytes.extend([0; 48]);
    bytes.extend(states.to_ne_bytes());
    // idiag_dbs, which no kernel reads.
    bytes.extend([0; 4]);
    bytes
}

fn header(len: usize, kind: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    bytes.extend((len as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

/// Reads the messages in one datagram; true at the end of the dump.
fn read_part(
    mut rest: &[u8],
    protocol: Protocol,
    dumped: &mut Dumped,
    each: &mut impl FnMut(&DiagSocket),
) -> Result<bool> {
    while rest.len() >= HEADER {
        let message = NetlinkBuffer::new_checked(rest)
            .map_err(|_| DiagError::format(WHAT, "a message that was cut"))?;
        let body = message.payload();
        dumped.interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
        match message.message_type() {
            DONE | ERROR => return refusal(body).map_or(Ok(true), Err),
            OVERRUN => return Err(DiagError::format(WHAT, "messages were lost")),
            BY_FAMILY | TCP_BOTH => match DiagSocket::parse(body, protocol) {
                Some(socket) => each(&socket),
                None => dumped.unreadable += 1,
            },
            _ => {}
        }
        let len = (message.length() as usize).next_multiple_of(4);
        rest = rest.get(len..).unwrap_or_default();
    }
    Ok(false)
}

/// The TCP sockets in a file that `ss -D` wrote: the kernel's answers, one after the other. `None`
/// where it is no such file. The second number counts messages that could not be read.
#[must_use]
pub fn dump_file(bytes: &[u8]) -> Option<(Vec<DiagSocket>, usize)> {
    let first = NetlinkBuffer::new_checked(bytes).ok()?;
    if !matches!(first.message_type(), BY_FAMILY | TCP_BOTH | DONE) {
        return None;
    }
    let (mut sockets, mut unread, mut rest) = (Vec::new(), 0, bytes);
    while rest.len() >= HEADER {
        let Ok(message) = NetlinkBuffer::new_checked(rest) else {
            unread += 1;
            break;
        };
        if matches!(message.message_type(), BY_FAMILY | TCP_BOTH) {
            match DiagSocket::parse(message.payload(), Protocol::Tcp) {
                Some(socket) => sockets.push(socket),
                None => unread += 1,
            }
        }
        let len = (message.length() as usize).next_multiple_of(4);
        rest = rest.get(len..).unwrap_or_default();
    }
    Some((sockets, unread))
}

/// The sockets in one datagram, of whatever bytes: for tests.
pub(crate) fn sockets_in(datagram: &[u8]) -> usize {
    let mut found = 0;
    for protocol in [Protocol::Tcp, Protocol::Mptcp, Protocol::Udp] {
        let dumped = &mut Dumped::default();
        // A refusal is as good an end as another.
        let _ = read_part(datagram, protocol, dumped, &mut |_| found += 1);
    }
    found
}

/// The error number that `NLMSG_ERROR` and `NLMSG_DONE` begin with, if it is one.
fn refusal(body: &[u8]) -> Option<DiagError> {
    let code = i32::from_ne_bytes(body.get(..4)?.try_into().ok()?);
    (code < 0).then(|| failed(io::Error::from_raw_os_error(code.wrapping_neg())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diag::inet_diag_msg::tests::message;

    fn packet(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let len = (HEADER + body.len()) as u32;
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes
    }

    fn read(part: &[u8]) -> (Result<bool>, Dumped, usize) {
        let (mut dumped, mut found) = (Dumped::default(), 0);
        let end = read_part(part, Protocol::Tcp, &mut dumped, &mut |_| found += 1);
        (end, dumped, found)
    }

    #[test]
    fn a_dump_ends_with_done_and_tells_that_the_table_changed() {
        let part = [
            packet(BY_FAMILY, NLM_F_DUMP_INTR, &message()),
            packet(BY_FAMILY, 0, &[1; 20]),
            packet(DONE, 0, &[0; 4]),
        ]
        .concat();
        let (end, dumped, found) = read(&part);
        assert!(end.unwrap());
        assert_eq!((found, dumped.unreadable, dumped.interrupted), (1, 1, true));
    }

    #[test]
    fn a_refusal_keeps_its_reason_wherever_it_stands() {
        for kind in [ERROR, DONE] {
            let (end, ..) = read(&packet(kind, 0, &(-libc::ENOENT).to_ne_bytes()));
            assert!(end.unwrap_err().is_unsupported());
        }
        assert!(read(&packet(DONE, 0, &[])).0.unwrap());
        assert!(read(&packet(OVERRUN, 0, &[])).0.is_err());
    }

    #[test]
    fn mptcp_is_asked_for_by_attribute_and_tcp_for_both_families_at_once() {
        let bytes = request(Protocol::Mptcp, Family::Ipv4, EVERY_STATE);
        assert_eq!((bytes.len(), bytes[0]), (80, 80));
        assert_eq!(bytes[76..], 262_u32.to_ne_bytes());
        let tcp = request(Protocol::Tcp, Family::Ipv6, EVERY_STATE);
        assert_eq!((tcp.len(), tcp[16], tcp[17]), (72, 10, 6));
        let both = both_families(EVERY_STATE);
        assert_eq!((both.len(), both[0], both[4], both[16]), (76, 76, 18, 0));
        assert_eq!(both[68..72], u32::MAX.to_ne_bytes());
    }

    #[test]
    fn one_pass_lists_what_a_pass_for_each_family_lists() {
        let listeners = ["127.0.0.1:0", "[::1]:0"].map(std::net::TcpListener::bind);
        let cookies: Vec<u64> = listeners
            .iter()
            .flatten()
            .map(|listener| crate::diag::socket_cookie(std::os::fd::AsFd::as_fd(listener)).unwrap())
            .collect();
        let ours = |passes: &[Vec<u8>]| {
            let mut found = Vec::new();
            for bytes in passes {
                pass(
                    bytes,
                    Protocol::Tcp,
                    &mut Dumped::default(),
                    &mut |socket| {
                        if cookies.contains(&socket.cookie) {
                            assert!(socket.mem.is_some());
                            found.push((socket.cookie, socket.family, socket.sport));
                        }
                    },
                )
                .unwrap();
            }
            found.sort_unstable_by_key(|(cookie, ..)| *cookie);
            found
        };
        let each =
            [Family::Ipv4, Family::Ipv6].map(|family| request(Protocol::Tcp, family, IN_USE));
        assert_eq!(ours(&[both_families(IN_USE)]), ours(&each));
        assert_eq!(ours(&each).len(), cookies.len());
    }

    proptest! {
        #[test]
        fn no_bytes_from_a_kernel_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_damaged_dump_makes_it_panic(at in 0usize..600, to: u8, end in 0usize..700) {
            let mut part = [packet(BY_FAMILY, 0, &message()), packet(DONE, 0, &[0; 4])].concat();
            if let Some(byte) = part.get_mut(at) {
                *byte = to;
            }
            part.truncate(end);
            let (_, _, found) = read(&part);
            prop_assert!(found <= 1);
        }
    }
}
