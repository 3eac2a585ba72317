//! `NETLINK_SOCK_DIAG`: what `ss` is told, about every TCP socket of a network namespace.
//!
//! Unlike the socket options this needs no descriptor, so it also reaches sockets of other processes and
//! the subflows of an MPTCP socket.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netlink_packet_core::NlasIterator;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

use super::{DiagError, Endpoint, Family, MemInfo, Queues, Result, TcpInfo, Truth, monotonic_ns};

const WHAT: &str = "NETLINK_SOCK_DIAG";
/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`
const DUMP: u16 = 0x301;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLMSG_DONE`
const DONE: u16 = 3;
/// `INET_DIAG_INFO`
const INFO: u16 = 2;
/// `INET_DIAG_SKMEMINFO`
const SKMEMINFO: u16 = 7;
/// `TCPF_ESTABLISHED` to `TCPF_CLOSING`, without TIME-WAIT, LISTEN and requests: what has send memory.
const STATES: u32 = 0b1011_1011_1110;
/// `struct nlmsghdr`
const HEADER: usize = 16;
/// `struct inet_diag_msg`
const MESSAGE: usize = 72;

/// All connected TCP sockets of the calling thread's network namespace, in one family
/// (`inet_diag_dump_icsk`, `inet_sk_diag_fill`). An IPv6 socket that speaks IPv4 is listed as IPv6.
pub fn read(family: Family) -> Result<Vec<Truth>> {
    let failed = |source| DiagError::Socket { what: WHAT, source };
    let mut socket = Socket::new(NETLINK_SOCK_DIAG).map_err(failed)?;
    socket.bind_auto().map_err(failed)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(failed)?;
    socket.send(&request(family), 0).map_err(failed)?;
    let mut found = Vec::new();
    loop {
        let clock = monotonic_ns();
        let (datagram, _) = socket.recv_from_full().map_err(failed)?;
        if parse(&datagram, clock, &mut found)? {
            return Ok(found);
        }
    }
}

/// `struct nlmsghdr`, `struct inet_diag_req_v2`.
fn request(family: Family) -> Vec<u8> {
    let family = match family {
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    let mut bytes = Vec::with_capacity(72);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family as u8, libc::IPPROTO_TCP as u8]);
    bytes.extend([1 << (INFO - 1) | 1 << (SKMEMINFO - 1), 0]);
    bytes.extend(STATES.to_ne_bytes());
    // struct inet_diag_sockid: any.
    bytes.extend([0; 48]);
    bytes
}

/// Adds the sockets in one datagram to `found`; true at the end of the dump.
fn parse(mut datagram: &[u8], clock: u64, found: &mut Vec<Truth>) -> Result<bool> {
    let bad = || DiagError::format(WHAT, "a message cut short");
    while datagram.len() >= HEADER {
        let len = u32_at(datagram, 0).ok_or_else(bad)? as usize;
        let kind = u16::from_ne_bytes([datagram[4], datagram[5]]);
        let body = datagram.get(HEADER..len).ok_or_else(bad)?;
        match kind {
            DONE => return Ok(true),
            ERROR => {
                let code = u32_at(body, 0).ok_or_else(bad)?.cast_signed();
                return Err(DiagError::Socket {
                    what: WHAT,
                    source: io::Error::from_raw_os_error(code.wrapping_neg()),
                });
            }
            BY_FAMILY => found.push(message(body, clock).ok_or_else(bad)??),
            _ => {}
        }
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct inet_diag_msg` and its attributes; `None` if it is cut short or lacks one that was asked for.
fn message(body: &[u8], clock: u64) -> Option<Result<Truth>> {
    let attributes = body.get(MESSAGE..)?;
    let (mut mem, mut tcp) = (None, None);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            SKMEMINFO => mem = Some(MemInfo::parse(attribute.value())),
            INFO => tcp = Some(TcpInfo::parse(attribute.value())),
            _ => {}
        }
    }
    let (mem, tcp) = match (mem?, tcp?) {
        (Ok(mem), Ok(tcp)) => (mem, tcp),
        (Err(error), _) | (_, Err(error)) => return Some(Err(error)),
    };
    let port = |at: usize| Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?));
    let (family, src, dst) = if i32::from(body[0]) == libc::AF_INET {
        let address = |at: usize| {
            let bytes: [u8; 4] = body.get(at..at + 4)?.try_into().ok()?;
            Some(IpAddr::from(Ipv4Addr::from(bytes)))
        };
        (Family::Ipv4, address(8)?, address(24)?)
    } else {
        let address = |at: usize| {
            let bytes: [u8; 16] = body.get(at..at + 16)?.try_into().ok()?;
            Some(IpAddr::from(Ipv6Addr::from(bytes)))
        };
        (Family::Ipv6, address(8)?, address(24)?)
    };
    Some(Ok(Truth {
        clock_monotonic_ns: clock,
        endpoint: Endpoint {
            family,
            src,
            sport: port(4)?,
            dst,
            dport: port(6)?,
            cookie: u64::from(u32_at(body, 44)?) | u64::from(u32_at(body, 48)?) << 32,
        },
        mem,
        so_sndbuf: mem.sndbuf,
        queues: Queues {
            outq: u32_at(body, 60)?.cast_signed(),
            outq_nsd: tcp.notsent_bytes.unwrap_or(0).cast_signed(),
        },
        tcp: Some(tcp),
    }))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = value.len() as u16 + 4;
        [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    fn packet(kind: u16, body: &[u8]) -> Vec<u8> {
        let len = (HEADER + body.len()) as u32;
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    fn socket() -> Vec<u8> {
        let mut body = vec![0; MESSAGE];
        body[0] = libc::AF_INET as u8;
        body[4..8].copy_from_slice(&[0x12, 0x34, 0, 80]);
        body[8..12].copy_from_slice(&[192, 0, 2, 1]);
        body[24..28].copy_from_slice(&[192, 0, 2, 2]);
        body[44..48].copy_from_slice(&7_u32.to_ne_bytes());
        body[60..64].copy_from_slice(&14_480_u32.to_ne_bytes());
        body.extend(attribute(SKMEMINFO, &[1; 36]));
        body.extend(attribute(INFO, &[1; 232]));
        body
    }

    #[test]
    fn a_socket_is_read_with_its_memory_and_its_tcp_info() {
        let mut found = Vec::new();
        let dump = [packet(BY_FAMILY, &socket()), packet(DONE, &[0; 4])].concat();
        assert!(parse(&dump, 5, &mut found).unwrap());
        let truth = &found[0];
        assert_eq!(truth.endpoint.src, IpAddr::from([192, 0, 2, 1]));
        assert_eq!((truth.endpoint.sport, truth.endpoint.dport), (0x1234, 80));
        assert_eq!((truth.endpoint.cookie, truth.queues.outq), (7, 14_480));
        assert_eq!(truth.mem.sndbuf, 0x0101_0101);
        assert_eq!(truth.clock_monotonic_ns, 5);
    }

    #[test]
    fn no_prefix_of_a_dump_is_taken_for_more_than_it_is() {
        let dump = packet(BY_FAMILY, &socket());
        for end in 0..dump.len() {
            let mut found = Vec::new();
            // Cut short: refused, or too short to be a message at all.
            let outcome = parse(&dump[..end], 0, &mut found);
            assert!(outcome.is_err() || end < HEADER, "{end}");
            assert!(found.is_empty());
        }
        // A length that does not even cover the header leads nowhere.
        assert!(parse(&[0; HEADER], 0, &mut Vec::new()).is_err());
    }

    #[test]
    fn the_kernels_refusal_keeps_its_reason() {
        let refusal = packet(ERROR, &(-libc::ENOENT).to_ne_bytes());
        let error = parse(&refusal, 0, &mut Vec::new()).unwrap_err();
        assert!(error.is_unsupported(), "{error}");
    }

    #[test]
    fn the_request_is_as_long_as_it_says() {
        assert_eq!(request(Family::Ipv4).len(), 72);
        assert_eq!(request(Family::Ipv6)[16], libc::AF_INET6 as u8);
    }
}
