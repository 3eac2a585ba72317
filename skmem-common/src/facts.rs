//! What a walk over all sockets reads of each: under its lock where the kernel's walk holds it
//! (5.15 on), so that the numbers are of one moment.

use crate::layout::Offsets;

/// `enum sock_flags`: `SOCK_ZEROCOPY`, the bit that `SO_ZEROCOPY` sets (5.10 to 7.3).
pub const SOCK_ZEROCOPY: u64 = 1 << 18;

/// One socket. What this kernel has no field for is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Facts {
    /// `skc_cookie`; 0: nobody asked for it yet.
    pub cookie: u64,
    /// `sk_flags`
    pub flags: u64,
    /// `sk_wmem_queued`, bytes
    pub wmem_queued: i32,
    /// `sk_rmem_alloc`, bytes
    pub rmem_alloc: i32,
    /// `sk_forward_alloc`, bytes
    pub forward_alloc: i32,
    /// `sk_reserved_mem`, bytes (5.16)
    pub reserved_mem: u32,
    /// `sk_userlocks`: bit 0 send buffer, bit 1 receive buffer
    pub userlocks: u8,
    /// 1: something sits on top of TCP: kTLS, MPTCP (`icsk_ulp_ops`)
    pub has_ulp: u8,
    /// The byte in which `skc_bypass_prot_mem` lies; see [`Facts::bypasses`].
    pub bypass: u8,
    /// 1: it was read under the socket's lock.
    pub locked: u8,
    /// Nothing.
    pub padding: u32,
}

/// Bytes of [`Facts`].
pub const BYTES: usize = size_of::<Facts>();

impl Facts {
    /// From the bytes that the program wrote.
    #[must_use]
    pub fn read(bytes: &[u8; BYTES]) -> Self {
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let int = |at| i32::from_ne_bytes(word(at));
        let long = |at: usize| {
            let (low, high) = (word(at), word(at + 4));
            u64::from_ne_bytes([
                low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3],
            ])
        };
        Self {
            cookie: long(0),
            flags: long(8),
            wmem_queued: int(16),
            rmem_alloc: int(20),
            forward_alloc: int(24),
            reserved_mem: u32::from_ne_bytes(word(28)),
            userlocks: bytes[32],
            has_ulp: bytes[33],
            bypass: bytes[34],
            locked: bytes[35],
            padding: 0,
        }
    }

    /// Whether it is charged to its memory cgroup alone, and not to TCP (`skc_bypass_prot_mem`,
    /// 6.18).
    #[must_use]
    pub fn bypasses(&self, offsets: &Offsets) -> bool {
        self.bypass >> (offsets.bypass_shift & 7) & 1 != 0
    }

    /// Whether the application asked for zero-copy sends (`SO_ZEROCOPY`).
    #[must_use]
    pub fn zero_copies(&self) -> bool {
        self.flags & SOCK_ZEROCOPY != 0
    }

    /// w + r + f, bytes.
    #[must_use]
    pub fn charged(&self) -> i64 {
        i64::from(self.wmem_queued) + i64::from(self.rmem_alloc) + i64::from(self.forward_alloc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_lie_in_memory() {
        let one = Facts {
            cookie: 0x0102_0304_0506_0708,
            flags: SOCK_ZEROCOPY,
            wmem_queued: 1,
            rmem_alloc: -2,
            forward_alloc: 3,
            reserved_mem: 4,
            userlocks: 3,
            has_ulp: 1,
            bypass: 0x80,
            locked: 1,
            padding: 0,
        };
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&one.cookie.to_ne_bytes());
        bytes[8..16].copy_from_slice(&one.flags.to_ne_bytes());
        for (at, word) in [(16, 1), (20, -2), (24, 3), (28, 4)] {
            bytes[at..at + 4].copy_from_slice(&i32::to_ne_bytes(word));
        }
        bytes[32..36].copy_from_slice(&[3, 1, 0x80, 1]);
        assert_eq!(Facts::read(&bytes), one);
        let mut offsets = Offsets::NONE;
        offsets.bypass_shift = 7;
        assert!(one.bypasses(&offsets) && one.zero_copies());
        assert_eq!(one.charged(), 2);
    }
}
