//! Which sockets are traced: decided in the kernel, once for each socket, when
//! it is first seen.

/// [`Filter::flags`]: only these processes (a map holds their ids).
pub const BY_PID: u32 = 1;
/// [`Filter::flags`]: only tasks of these command names (a map holds them).
pub const BY_COMM: u32 = 2;
/// [`Filter::flags`]: only tasks in this cgroup or below it.
pub const BY_CGROUP: u32 = 4;
/// [`Filter::flags`]: only this network namespace.
pub const BY_NETNS: u32 = 8;
/// [`Filter::flags`]: only this local port.
pub const BY_SPORT: u32 = 16;
/// [`Filter::flags`]: only this remote port.
pub const BY_DPORT: u32 = 32;
/// [`Filter::flags`]: only local addresses in this prefix.
pub const BY_SADDR: u32 = 64;
/// [`Filter::flags`]: only remote addresses in this prefix.
pub const BY_DADDR: u32 = 128;
/// [`Filter::flags`]: sockets that are older than the trace get an account if they hold anything,
/// as where a filter names them.
pub const ADOPT: u32 = 256;
/// [`Filter::flags`]: everything that asks for the current task.
pub const BY_TASK: u32 = BY_PID | BY_COMM | BY_CGROUP;

/// [`Filter::cgroup_level`]: not known, as in a cgroup namespace, which hides
/// what is above it; the programs then look at all levels, up to
/// [`MOST_LEVELS`].
pub const ANY_LEVEL: u32 = u32::MAX;
/// Levels that are looked at where the cgroup's is not known.
pub const MOST_LEVELS: u32 = 32;

/// An address prefix; an IPv4 one in the first word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Prefix {
    /// Address, in network byte order, masked.
    pub addr: [u32; 4],
    /// Mask, in network byte order.
    pub mask: [u32; 4],
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub family: u32,
}

impl Prefix {
    /// Whether the address `addr` of family `family` lies in this prefix. An
    /// IPv4 address that an IPv6 socket uses (`::ffff:a.b.c.d`) counts as IPv4.
    #[inline(always)]
    #[must_use]
    pub fn holds(&self, family: u16, addr: &[u32; 4]) -> bool {
        let mapped = family == 10 && addr[0] == 0 && addr[1] == 0 && addr[2] == 0xffff_u32.to_be();
        if self.family == 2 {
            let v4 = if mapped { addr[3] } else { addr[0] };
            return (family == 2 || mapped) && v4 & self.mask[0] == self.addr[0];
        }
        family == 10
            && addr[0] & self.mask[0] == self.addr[0]
            && addr[1] & self.mask[1] == self.addr[1]
            && addr[2] & self.mask[2] == self.addr[2]
            && addr[3] & self.mask[3] == self.addr[3]
    }
}

/// What user space asks for; zero in `flags` means every TCP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Filter {
    /// `BY_…`: all of them must hold.
    pub flags: u32,
    /// Inode of the network namespace.
    pub netns: u32,
    /// Id of the cgroup.
    pub cgroup: u64,
    /// Its depth below the root of the hierarchy, or [`ANY_LEVEL`].
    pub cgroup_level: u32,
    /// Local port.
    pub sport: u16,
    /// Remote port.
    pub dport: u16,
    /// Local addresses.
    pub saddr: Prefix,
    /// Remote addresses.
    pub daddr: Prefix,
}

/// An address as [`crate::record::Ident`] holds it, as [`Prefix::holds`] takes
/// it.
#[inline(always)]
#[must_use]
pub fn words(bytes: &[u8; 16]) -> [u32; 4] {
    let b = bytes;
    [
        u32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
        u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        u32::from_ne_bytes([b[8], b[9], b[10], b[11]]),
        u32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
    ]
}
