//! What `sock_diag` shows of MPTCP: `struct mptcp_info` of an MPTCP socket
//! (`mptcp_diag_fill_info`), and the token of the MPTCP socket that a subflow belongs to
//! (`subflow_get_info`).

use std::os::fd::BorrowedFd;

use netlink_packet_core::{NLA_TYPE_MASK, NlasIterator};

use super::sockopt::get_bytes;

/// `INET_ULP_INFO_MPTCP`, in `INET_DIAG_ULP_INFO`
const ULP_MPTCP: u16 = 3;
/// `MPTCP_SUBFLOW_ATTR_TOKEN_LOC`, in `INET_ULP_INFO_MPTCP`
const TOKEN_LOC: u16 = 2;
/// `SOL_MPTCP` (`linux/socket.h`)
const SOL_MPTCP: i32 = 284;
/// `MPTCP_INFO` (`linux/mptcp.h`, 5.16 on)
const MPTCP_INFO: i32 = 1;
/// Place of `mptcpi_bytes_acked` in `struct mptcp_info` (6.5 on).
const BYTES_ACKED: usize = 72;
/// `struct nlattr`
const HEADER: usize = 4;
/// `MPTCP_INFO_FLAG_FALLBACK` of `mptcpi_flags`
const FALLBACK: u32 = 1;

/// The head of `struct mptcp_info`, the same on all kernels from 5.10 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MptcpInfo {
    /// `mptcpi_token`: the connection's number on this machine; 0 before there is a connection.
    pub token: u32,
    /// `mptcpi_write_seq - mptcpi_snd_una`: written and not acknowledged by the peer's MPTCP,
    /// bytes.
    pub send_q: u32,
    /// The peer or the path knows no MPTCP: the connection goes on as plain TCP on its one
    /// subflow, and what that subflow has taken counts as acknowledged
    /// (`__mptcp_check_fallback`).
    pub fallback: bool,
}

impl MptcpInfo {
    /// Decodes an `INET_DIAG_INFO`; `None` if it is too short.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (write_seq, snd_una) = (long(bytes, 16)?, long(bytes, 24)?);
        Some(Self {
            token: word(bytes, 12)?,
            send_q: u32::try_from(write_seq.wrapping_sub(snd_una)).unwrap_or(0),
            fallback: word(bytes, 8)? & FALLBACK != 0,
        })
    }
}

/// `mptcpi_bytes_acked`, bytes: what the peer has acknowledged of an MPTCP socket; `None` for other
/// sockets, and before 6.5.
pub(super) fn bytes_acked(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut bytes = [0; BYTES_ACKED + 8];
    let got = get_bytes(fd, SOL_MPTCP, MPTCP_INFO, "MPTCP_INFO", &mut bytes).ok()?;
    long(&bytes[..got], BYTES_ACKED)
}

/// The local token in a subflow's `INET_DIAG_ULP_INFO`; a listener has none.
pub(super) fn subflow_token(ulp_info: &[u8]) -> Option<u32> {
    word(nested(nested(ulp_info, ULP_MPTCP)?, TOKEN_LOC)?, 0).filter(|token| *token != 0)
}

fn nested(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() & NLA_TYPE_MASK == kind)
        .and_then(|attribute| {
            let end = usize::from(attribute.length());
            attribute.into_inner().get(HEADER..end)
        })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_what_the_peer_has_not_acknowledged() {
        let mut bytes = [0; 48];
        bytes[8..12].copy_from_slice(&3_u32.to_ne_bytes());
        bytes[12..16].copy_from_slice(&0xdead_beef_u32.to_ne_bytes());
        bytes[16..24].copy_from_slice(&(u64::from(u32::MAX) + 100).to_ne_bytes());
        bytes[24..32].copy_from_slice(&(u64::from(u32::MAX) - 1).to_ne_bytes());
        let info = MptcpInfo::parse(&bytes).unwrap();
        assert_eq!((info.token, info.send_q), (0xdead_beef, 101));
        assert!(info.fallback);
        assert_eq!(MptcpInfo::parse(&bytes[..31]), None);
        // A connection that is being closed may have acknowledged more than was written.
        bytes[16..24].fill(0);
        assert_eq!(MptcpInfo::parse(&bytes).unwrap().send_q, 0);
    }

    #[test]
    fn a_subflow_names_its_socket_and_a_listener_names_none() {
        let attribute = |kind: u16, value: &[u8]| {
            let len = value.len() as u16 + 4;
            [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
        };
        let tokens = [
            attribute(1, &7_u32.to_ne_bytes()),
            attribute(TOKEN_LOC, &9_u32.to_ne_bytes()),
        ]
        .concat();
        let name = attribute(1, b"mptcp\0\0\0");
        let whole = [name.clone(), attribute(ULP_MPTCP | 0x8000, &tokens)].concat();
        assert_eq!(subflow_token(&whole), Some(9));
        assert_eq!(subflow_token(&name), None);
        let none = attribute(TOKEN_LOC, &[0; 4]);
        assert_eq!(subflow_token(&attribute(ULP_MPTCP, &none)), None);
        assert_eq!(subflow_token(&whole[..20]), None);
    }
}
