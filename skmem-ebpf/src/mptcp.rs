//! MPTCP sockets: what the application holds, above its subflows, which are
//! TCP sockets. Their `sk_wmem_queued` is that of data fragments, kept until
//! the peer's MPTCP has acknowledged them.
//!
//! `mptcp_sendmsg` takes and gives up the lock itself, so neither its entry nor
//! its exit may book. `mptcp_release_cb` runs last under the lock on every
//! path: what the call has queued is booked at its entry. In softirq, with the
//! lock not owned by a user, only `__mptcp_clean_una` changes anything.

use core::ops::Deref;

use aya_ebpf::{
    helpers::bpf_probe_read_kernel,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::{Account, SocketFields},
    hook::Hook,
    layout::ABSENT,
    receive_cause::ReceiveCause,
    record::{Before, IDENT_MPTCP_SOCKET, View},
};

use crate::{
    accounts, calls, maps, mptcp_receive,
    output::{self, Call},
    socket::{SOCK_SNDBUF_LOCK, Sock, TcpSock, Watched, offset},
};

/// `IPPROTO_MPTCP` of include/uapi/linux/in.h
pub const IPPROTO_MPTCP: u16 = 262;

/// An MPTCP socket: a `struct sock` that a `struct mptcp_sock` starts with.
#[derive(Clone, Copy)]
pub struct Msk(pub Sock);

impl Deref for Msk {
    type Target = Sock;

    fn deref(&self) -> &Sock {
        &self.0
    }
}

impl Msk {
    /// The same socket where it is one; kernels without MPTCP have none.
    #[inline(always)]
    pub fn new(sk: Sock) -> Option<Self> {
        if offset!(msk_write_seq) == ABSENT || offset!(msk_snd_una) == ABSENT {
            return None;
        }
        // SAFETY: offset and type are those of the kernel's BTF (5.6 on).
        let protocol: u16 = unsafe { sk.load(offset!(protocol)) };
        (protocol == IPPROTO_MPTCP).then_some(Self(sk))
    }

    /// The low half of a 64-bit field of `struct mptcp_sock`.
    #[inline(always)]
    pub fn low(self, offset: u32) -> u32 {
        if offset == ABSENT {
            return 0;
        }
        let field = self.0.0.0.wrapping_add(offset as usize).cast::<u32>();
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel(field) }.unwrap_or(0)
    }

    /// `notsent_lowat`, in bytes; 0: the netns's sysctl rules.
    #[inline(always)]
    pub fn notsent_lowat(self) -> u32 {
        self.low(offset!(msk_notsent_lowat))
    }

    /// `snd_nxt`
    #[inline(always)]
    pub fn snd_nxt(self) -> u32 {
        self.low(offset!(msk_snd_nxt))
    }

    /// Whether a task holds the lock (`sock_owned_by_user`).
    #[inline(always)]
    pub fn is_owned(self) -> bool {
        // SAFETY: offset and type are those of the kernel's BTF.
        offset!(lock_owned) == ABSENT || unsafe { self.load::<i32>(offset!(lock_owned)) } != 0
    }
}

impl SocketFields for Msk {
    const MPTCP: bool = true;

    #[inline(always)]
    fn key_fields(&self) -> (i32, i32, u32, u32) {
        // SAFETY: offsets and types are those of the kernel's BTF.
        let (w, sndbuf) = unsafe { (self.load(offset!(wmem_queued)), self.load(offset!(sndbuf))) };
        (
            w,
            sndbuf,
            self.low(offset!(msk_write_seq)),
            self.low(offset!(msk_snd_una)),
        )
    }

    #[inline(always)]
    fn forward_alloc(&self) -> i32 {
        // SAFETY: as above.
        unsafe { self.load(offset!(forward_alloc)) }
    }

    #[inline(always)]
    fn probing(&self) -> u8 {
        skmem_common::account::PROBING_UNKNOWN
    }

    #[inline(always)]
    fn sndbuf_locked(&self) -> u8 {
        self.userlocks() & SOCK_SNDBUF_LOCK
    }

    #[inline(always)]
    fn state(&self) -> u8 {
        // SAFETY: as above.
        unsafe { self.load(offset!(state)) }
    }

    #[inline(always)]
    fn tail(&self) -> u64 {
        0
    }
}

impl Watched for Msk {
    const IPPROTO: u16 = IPPROTO_MPTCP;

    #[inline(always)]
    fn sock(self) -> Sock {
        self.0
    }

    #[inline(always)]
    fn known_flags(self) -> u32 {
        IDENT_MPTCP_SOCKET
    }

    /// `token`: the connection's number; 0 before there is a connection.
    #[inline(always)]
    fn token(self) -> u32 {
        self.low(offset!(msk_token))
    }

    /// The other fields of a record; the windows are those of the
    /// connection, and nothing is cut into segments here.
    #[inline(always)]
    fn rest_into(self, to: &mut View) {
        // SAFETY: offsets and types are those of the kernel's BTF.
        unsafe {
            to.forward_alloc = self.load(offset!(forward_alloc));
            to.wmem_alloc = self.load::<i32>(offset!(wmem_alloc)).wrapping_sub(1);
            to.state = self.load(offset!(state));
        }
        to.snd_nxt = self.snd_nxt();
        to.snd_wnd = self
            .low(offset!(msk_wnd_end))
            .wrapping_sub(self.low(offset!(msk_snd_una)));
        to.mss = 0;
        to.untrimmed = 0;
        to.gso_segs = 0;
        to.userlocks = self.userlocks();
        to.notsent_lowat = self.notsent_lowat();
    }

    #[inline(always)]
    fn untrimmed(self, _: u32) -> u32 {
        0
    }

    #[inline(always)]
    fn send(self, account: &mut Account, call: &Call, before: &Before) {
        core::hint::black_box(send_event(account, call, before, self.0));
    }

    #[inline(always)]
    fn step(self, account: &mut Account, hook: Hook, softirq: bool) {
        core::hint::black_box(send_step(account, hook, softirq, self.0));
    }

    #[inline(always)]
    fn worst(self, account: &mut Account) {
        core::hint::black_box(view_worst(account, self.0));
    }

    #[inline(always)]
    fn tcp(self) -> Option<TcpSock> {
        None
    }

    #[inline(always)]
    fn start_receiving(self, account: &mut Account) {
        mptcp_receive::start(account, self);
    }
}

/// Rare or large, so they are subprograms, as those of TCP sockets are.
#[inline(never)]
fn send_event(account: &mut Account, call: &Call, before: &Before, sk: Sock) -> u32 {
    output::send(account, call, before, Msk(sk))
}

#[inline(never)]
fn send_step(account: &mut Account, hook: Hook, softirq: bool, sk: Sock) -> u32 {
    calls::step(account, hook, softirq, Msk(sk))
}

#[inline(never)]
fn view_worst(account: &mut Account, sk: Sock) -> u32 {
    calls::look_at_worst(account, Msk(sk))
}

/// The account of an MPTCP socket that has one.
#[inline(always)]
fn traced(sk: Sock) -> Option<(&'static mut Account, Msk)> {
    let msk = Msk::new(sk)?;
    Some((accounts::find(sk)?, msk))
}

/// `mptcp_sendmsg(sk, msg, size)`: opens the account of an MPTCP socket. The lock
/// is not held: the first hook under it says what was queued.
#[fentry]
pub fn mptcp_sendmsg_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some(msk) = Msk::new(sk) else { return 0 };
    accounts::open_mptcp(msk);
    0
}

/// `mptcp_diag_fill_info(msk, info)`: what a dump of all MPTCP sockets asks of
/// each. skmem asks for one, since no iterator walks them. The lock is not held.
#[fentry]
pub fn mptcp_info_entry(ctx: FEntryContext) -> i32 {
    if let Some(msk) = Msk::new(Sock::new(ctx.arg(0))) {
        accounts::visit_mptcp(msk);
    }
    0
}

/// `mptcp_release_cb(sk)`
#[fentry]
pub fn mptcp_release_entry(ctx: FEntryContext) -> i32 {
    let Some(msk) = Msk::new(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let Some(account) = accounts::find_or_adopt(msk) else {
        return 0;
    };
    calls::change!(account, |a| a.close_all());
    if maps::rx() {
        mptcp_receive::released(account, msk);
    }
    let queued = account.ledger.now.w;
    calls::enter_with(account, msk, Hook::MptcpRelease, 0, 0, true);
    // Whose call that was is the current task, unless it is a worker.
    account.frame().arg = account.ledger.now.w.wrapping_sub(queued);
    0
}

/// `mptcp_release_cb(sk)`
#[fexit]
pub fn mptcp_release_exit(ctx: FExitContext) -> i32 {
    let Some((account, msk)) = traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let mut call = Call::of(Hook::MptcpRelease);
    call.arg = account.frame().arg;
    call.softirq = call.arg <= 0;
    calls::leave(account, msk, call, false);
    if maps::rx() {
        mptcp_receive::released(account, msk);
    }
    0
}

/// `__mptcp_clean_una(sk)`: the lock is held by the current task, or by nobody
/// and this is softirq.
#[fentry]
pub fn mptcp_clean_una_entry(ctx: FEntryContext) -> i32 {
    if let Some((account, msk)) = traced(Sock::new(ctx.arg(0))) {
        calls::enter_with(account, msk, Hook::MptcpCleanUna, 0, 0, true);
    }
    0
}

/// `__mptcp_clean_una(sk)`
#[fexit]
pub fn mptcp_clean_una_exit(ctx: FExitContext) -> i32 {
    if let Some((account, msk)) = traced(Sock::new(ctx.arg(0))) {
        cleaned(account, msk);
    }
    0
}

/// `__mptcp_data_acked(sk)`, where the function that it calls is inlined into
/// it: it does nothing while a task holds the lock.
#[fentry]
pub fn mptcp_data_acked_entry(ctx: FEntryContext) -> i32 {
    if let Some((account, msk)) = traced(Sock::new(ctx.arg(0)))
        && !msk.is_owned()
    {
        calls::enter_with(account, msk, Hook::MptcpCleanUna, 0, 0, true);
    }
    0
}

/// `__mptcp_data_acked(sk)`
#[fexit]
pub fn mptcp_data_acked_exit(ctx: FExitContext) -> i32 {
    if let Some((account, msk)) = traced(Sock::new(ctx.arg(0)))
        && !msk.is_owned()
    {
        cleaned(account, msk);
    }
    0
}

#[inline(always)]
fn cleaned(account: &mut Account, msk: Msk) {
    let mut call = Call::of(Hook::MptcpCleanUna);
    call.softirq = true;
    calls::leave(account, msk, call, false);
}

/// `mptcp_destroy(sk)`: under the lock, the last that happens to its queues.
#[fentry]
pub fn mptcp_destroy_entry(ctx: FEntryContext) -> i32 {
    if let Some((account, msk)) = traced(Sock::new(ctx.arg(0))) {
        account.closing = 1;
        calls::enter_with(account, msk, Hook::MptcpDestroy, 0, 0, true);
    }
    0
}

/// `mptcp_destroy(sk)`
#[fexit]
pub fn mptcp_destroy_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some((account, msk)) = traced(sk) else {
        return 0;
    };
    account.closing = 1;
    if maps::rx() {
        let cause = ReceiveCause::ThrownAway as u8;
        mptcp_receive::settle(account, msk, Hook::MptcpDestroy, cause);
    }
    let mut call = Call::of(Hook::MptcpDestroy);
    call.softirq = true;
    calls::leave(account, msk, call, true);
    accounts::forget(sk, account);
    0
}
