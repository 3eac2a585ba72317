//! `sk_forward_alloc`'s side of an account: what was asked of
//! `__sk_mem_schedule`, how that ended, and whether what is charged adds up.

/// How a call of `__sk_mem_schedule(SK_MEM_SEND)` ended
/// (`__sk_mem_raise_allocated`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Grant {
    /// Refused, memory of the machine being over `tcp_mem[2]`.
    RefusedOverTcpMem = 0,
    /// Granted.
    Granted = 1,
    /// Refused under `tcp_mem[2]`: by the socket's memory cgroup, or as more
    /// than its share under pressure.
    Refused = 2,
    /// Granted over `tcp_mem[2]`: the suppress branch lets a sender through
    /// that is at its limit, since it will be made to wait there.
    GrantedOverTcpMem = 3,
    /// Granted in the suppress branch under `tcp_mem[2]`, where the memory
    /// cgroup had refused: the limit of the socket fell in this call.
    GrantedOverMemcg = 5,
}

impl Grant {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::RefusedOverTcpMem,
        Self::Granted,
        Self::Refused,
        Self::GrantedOverTcpMem,
        Self::GrantedOverMemcg,
    ];

    /// The one with this number, if there is one.
    #[must_use]
    pub fn from_i32(n: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|g| *g as i32 == n)
    }

    /// Whether memory was granted.
    #[inline(always)]
    #[must_use]
    pub const fn is_granted(self) -> bool {
        self as u8 & 1 != 0
    }
}

/// What was asked of `__sk_mem_schedule(SK_MEM_SEND)` and its like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Scheduled {
    /// Calls granted, however.
    pub granted: u64,
    /// Calls refused, by whomever.
    pub refused: u64,
    /// What the granted ones added to `sk_forward_alloc`, in bytes.
    pub bytes: u64,
    /// Of the granted ones: [`Grant::GrantedOverTcpMem`].
    pub granted_over_tcp_mem: u32,
    /// Of the granted ones: [`Grant::GrantedOverMemcg`].
    pub granted_over_memcg: u32,
    /// Of the refused ones: [`Grant::RefusedOverTcpMem`].
    pub refused_over_tcp_mem: u32,
    /// 1: by the lean set of hooks ([`crate::lean`]), which does not count [`Grant::Granted`].
    pub lean: u32,
}

impl Scheduled {
    /// Counts a call that raised `sk_forward_alloc` by `bytes`.
    #[inline(always)]
    pub fn count(&mut self, grant: Grant, bytes: i32) {
        if grant.is_granted() {
            self.granted = self.granted.wrapping_add(1);
            if bytes > 0 {
                self.bytes = self.bytes.wrapping_add(bytes as u64);
            }
        } else {
            self.refused = self.refused.wrapping_add(1);
        }
        match grant {
            Grant::GrantedOverTcpMem => {
                self.granted_over_tcp_mem = self.granted_over_tcp_mem.wrapping_add(1);
            }
            Grant::GrantedOverMemcg => {
                self.granted_over_memcg = self.granted_over_memcg.wrapping_add(1);
            }
            Grant::RefusedOverTcpMem => {
                self.refused_over_tcp_mem = self.refused_over_tcp_mem.wrapping_add(1);
            }
            Grant::Granted | Grant::Refused => {}
        }
    }
}

/// Messages that a layer above TCP has charged to the socket, and that are not
/// in `sk_wmem_queued` (`sk_msg_alloc`: kTLS records, sockmap).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Messages {
    /// Calls.
    pub count: u32,
    /// Largest message, in bytes.
    pub largest: u32,
}

/// `bytes` as `__sk_mem_schedule` charges them: in whole pages (`sk_mem_pages`;
/// from 5.19 on pages of the machine, before in units of 4096, which are the
/// pages of every machine that skmem traces with such a kernel). `shift` is the
/// binary logarithm of a page.
#[inline(always)]
#[must_use]
pub const fn pages_of(bytes: i32, shift: u32) -> i32 {
    bytes.wrapping_add((1 << shift) - 1) >> shift
}

/// Whether `w + r + f` of a socket is a whole number of pages: all three are
/// parts of what `__sk_mem_schedule` took, which takes whole pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PageCheck {
    /// Times checked.
    pub checks: u32,
    /// Times that it was not.
    pub broken: u32,
    /// What was over at the last of those, in bytes.
    pub remainder: i32,
    /// 1: does not apply to this socket: it has sent with `MSG_ZEROCOPY` (whose
    /// payload is not charged), or has an upper layer protocol (kTLS, MPTCP),
    /// which charges for itself.
    pub exempt: u32,
}

impl PageCheck {
    /// Checks, under the socket's lock. `shift` is the binary logarithm of a page.
    #[inline(always)]
    pub fn observe(&mut self, wmem_queued: i32, rmem_alloc: i32, forward_alloc: i32, shift: u32) {
        if self.exempt != 0 {
            return;
        }
        self.checks = self.checks.wrapping_add(1);
        let over = wmem_queued
            .wrapping_add(rmem_alloc)
            .wrapping_add(forward_alloc)
            & ((1 << shift) - 1);
        if over != 0 {
            self.broken = self.broken.wrapping_add(1);
            self.remainder = over;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_counted_by_how_they_ended() {
        let mut s = Scheduled::default();
        for grant in Grant::ALL {
            s.count(*grant, 4096);
            assert_eq!(Grant::from_i32(*grant as i32), Some(*grant));
        }
        assert_eq!((s.granted, s.refused, s.bytes), (3, 2, 3 * 4096));
        assert_eq!(
            (
                s.granted_over_tcp_mem,
                s.granted_over_memcg,
                s.refused_over_tcp_mem
            ),
            (1, 1, 1)
        );
        assert_eq!(Grant::from_i32(4), None);
    }

    #[test]
    fn what_is_charged_is_whole_pages() {
        let mut p = PageCheck::default();
        p.observe(15_376, 0, 1_008, 12);
        assert_eq!((p.checks, p.broken), (1, 0));
        p.observe(15_376, 0, 1_009, 12);
        assert_eq!((p.checks, p.broken, p.remainder), (2, 1, 1));
        // A whole number of pages of 4 KiB, but not of 16 KiB.
        p.observe(15_376, 0, 1_008, 14);
        assert_eq!((p.checks, p.broken), (2 + 1, 1));
        p.observe(15_376, 4_096, 1_008, 14);
        assert_eq!((p.checks, p.broken, p.remainder), (4, 2, 4_096));
        p.exempt = 1;
        p.observe(1, 0, 0, 12);
        assert_eq!(p.checks, 4);
    }

    #[test]
    fn memory_is_charged_in_pages() {
        assert_eq!(
            [0, 1, 4_096, 4_097].map(|bytes| pages_of(bytes, 12)),
            [0, 1, 1, 2]
        );
        assert_eq!(
            [1, 16_384, 16_385].map(|bytes| pages_of(bytes, 14)),
            [1, 1, 2]
        );
    }
}
