//! `SO_MEMINFO`: the nine numbers behind `ss -m`.

use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

use super::{DiagError, Result, get_bytes};

/// `SK_MEMINFO_VARS` on every kernel since 4.12, which introduced the option.
const VARS: usize = 9;

/// What `sk_get_meminfo` reports. Bytes, except `drops`; read without the socket lock, so values
/// taken while the socket is busy need not fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemInfo {
    /// `sk_backlog.rmem_alloc`: truesize of unread data, skbs read in part, out-of-order data, the
    /// error queue (`ss`: r).
    pub rmem_alloc: i32,
    /// `sk_rcvbuf` (`rb`).
    pub rcvbuf: i32,
    /// `sk_wmem_alloc` less its bias: truesize of clones in qdisc and driver (`t`).
    pub wmem_alloc: i32,
    /// `sk_sndbuf`: the limit, already doubled (`tb`).
    pub sndbuf: i32,
    /// `sk_forward_alloc`: charged to the socket and not used yet (`f`).
    pub fwd_alloc: i32,
    /// `sk_wmem_queued`: truesize of write queue and retransmit queue (`w`).
    pub wmem_queued: i32,
    /// `sk_omem_alloc`: option memory, zerocopy notifications among it (`o`).
    pub optmem: i32,
    /// `sk_backlog.len`: truesize waiting for the socket's owner (`bl`).
    pub backlog: i32,
    /// `sk_drops`: a count of packets, not bytes (`d`).
    pub drops: u32,
}

impl MemInfo {
    /// Reads `SO_MEMINFO` (`sk_getsockopt`, `sock_getsockopt` on 5.10).
    ///
    /// # Errors
    /// Where the kernel refuses, or answers otherwise than it should.
    pub fn read(fd: BorrowedFd<'_>) -> Result<Self> {
        let mut bytes = [0; VARS * 4];
        let got = get_bytes(
            fd,
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            "SO_MEMINFO",
            &mut bytes,
        )?;
        Self::parse(&bytes[..got])
    }

    /// Decodes the array that `SO_MEMINFO` and `INET_DIAG_SKMEMINFO` carry; more variables than
    /// nine (a newer kernel) are not an error.
    ///
    /// # Errors
    /// Where the kernel refuses, or answers otherwise than it should.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < VARS * 4 {
            return Err(DiagError::Short {
                what: "SO_MEMINFO",
                got: bytes.len(),
                need: VARS * 4,
            });
        }
        let var = |i: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[i * 4..i * 4 + 4]);
            word
        };
        Ok(Self {
            rmem_alloc: i32::from_ne_bytes(var(0)),
            rcvbuf: i32::from_ne_bytes(var(1)),
            wmem_alloc: i32::from_ne_bytes(var(2)),
            sndbuf: i32::from_ne_bytes(var(3)),
            fwd_alloc: i32::from_ne_bytes(var(4)),
            wmem_queued: i32::from_ne_bytes(var(5)),
            optmem: i32::from_ne_bytes(var(6)),
            backlog: i32::from_ne_bytes(var(7)),
            drops: u32::from_ne_bytes(var(8)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[i32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_ne_bytes()).collect()
    }

    #[test]
    fn the_nine_values_are_in_the_order_of_sk_meminfo() {
        let info = MemInfo::parse(&words(&[1, 2, 3, 4, -5, 6, 7, 8, 9])).unwrap();
        assert_eq!(
            (info.rmem_alloc, info.rcvbuf, info.wmem_alloc, info.sndbuf),
            (1, 2, 3, 4)
        );
        assert_eq!((info.fwd_alloc, info.wmem_queued), (-5, 6));
        assert_eq!((info.optmem, info.backlog, info.drops), (7, 8, 9));
    }

    #[test]
    fn a_longer_array_is_read_and_a_shorter_one_refused() {
        assert!(MemInfo::parse(&words(&[0; 12])).is_ok());
        assert!(matches!(
            MemInfo::parse(&words(&[0; 8])),
            Err(DiagError::Short { got: 32, .. })
        ));
    }
}
