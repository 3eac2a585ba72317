//! The fields of a socket that a hook reads.

/// [`Fields::probing`]: not read.
pub const PROBING_UNKNOWN: u8 = 0;
/// [`Fields::probing`]: `icsk_mtup.probe_size` is 0.
pub const PROBING_NO: u8 = 1;
/// [`Fields::probing`]: `icsk_mtup.probe_size` is not 0: an MTU probe is in flight.
pub const PROBING_YES: u8 = 2;

/// The fields a hook reads to tell what happened since the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Fields {
    /// `sk_wmem_queued`, in bytes.
    pub w: i32,
    /// `sk_sndbuf`, in bytes.
    pub sndbuf: i32,
    /// `sk_forward_alloc`, in bytes.
    pub forward_alloc: i32,
    /// `write_seq`.
    pub write_seq: u32,
    /// `snd_una`.
    pub snd_una: u32,
    /// 1 where `SOCK_SNDBUF_LOCK` is set.
    pub locked: u8,
    /// `PROBING_…`
    pub probing: u8,
    /// `skc_state`
    pub state: u8,
    /// Always 0.
    pub reserved: u8,
    /// Address of the last skb of the write queue; only ever compared.
    pub tail: u64,
}

/// A socket whose fields a hook can read, under the socket's lock. Each read costs, since the
/// kernel checks each load of a program: a field is read only where it is needed.
pub trait SocketFields: Copy {
    /// It is an MPTCP socket, and no TCP socket.
    const MPTCP: bool = false;

    /// The fields that decide whether there is anything to book, in order: `w`, `sndbuf`,
    /// `write_seq`, `snd_una` of [`Fields`].
    fn key_fields(&self) -> (i32, i32, u32, u32);
    /// [`Fields::forward_alloc`].
    fn forward_alloc(&self) -> i32;
    /// [`Fields::locked`].
    fn sndbuf_locked(&self) -> u8;
    /// [`Fields::probing`].
    fn probing(&self) -> u8;
    /// [`Fields::state`].
    fn state(&self) -> u8;
    /// [`Fields::tail`].
    fn tail(&self) -> u64;
    /// The hooks are the lean set: see [`crate::lean`].
    fn lean(&self) -> bool {
        false
    }
}

impl SocketFields for Fields {
    fn key_fields(&self) -> (i32, i32, u32, u32) {
        (self.w, self.sndbuf, self.write_seq, self.snd_una)
    }

    fn forward_alloc(&self) -> i32 {
        self.forward_alloc
    }

    fn sndbuf_locked(&self) -> u8 {
        self.locked
    }

    fn probing(&self) -> u8 {
        self.probing
    }

    fn state(&self) -> u8 {
        self.state
    }

    fn tail(&self) -> u64 {
        self.tail
    }
}
