//! Maps and read-only globals: the border to user space at run time.

use aya_ebpf::{
    Global,
    btf_maps::SkStorage,
    macros::{btf_map, map},
    maps::{Array, HashMap, LruHashMap, PerCpuArray, Queue, RingBuf},
};
use skmem_common::{
    account::{Account, Frame},
    filter::Filter,
    hook::HOOKS,
    layout::{Offsets, Records, SHARED_ENABLED, SHARED_SLOTS, SLOTS_NOWHERE},
    msk_moves::MskMoves,
};

/// `BPF_F_MMAPABLE`: user space reads the table without system calls.
const MMAPABLE: u32 = 1 << 10;

/// Entries cost memory when they are made, not before.
const BPF_F_NO_PREALLOC: u32 = 1;

/// Accounts by slot. Sizes here are placeholders; user space sets the real
/// ones before load.
#[map]
pub static ACCOUNTS: Array<Account> = Array::with_max_entries(1, MMAPABLE);

/// What awaits being booked of the MPTCP socket in each slot; with the receive side only.
#[map]
pub static MSK_MOVES: Array<MskMoves> = Array::with_max_entries(1, 0);

/// Slots that no socket has.
#[map]
pub static FREE_SLOTS: Queue<u32> = Queue::with_max_entries(1, 0);

/// A socket's slot, where tracing programs may use socket storage (5.11 on).
#[btf_map]
pub static SLOT_STORAGE: SkStorage<u32> = SkStorage::new();

/// A socket's slot by its address, where they may not.
#[map]
pub static SLOT_HASH: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

/// How many sockets' slots are known without a look-up; a power of two.
pub const PLACES: u32 = 4096;

/// Slots of sockets that were looked up last, by a part of their address: an
/// array, which the verifier looks up by itself.
#[map]
pub static SLOTS_KNOWN: Array<u64> = Array::with_max_entries(PLACES, 0);

/// A thread asleep in the send path: the call it took along.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Waiting {
    /// Its open call.
    pub frame: Frame,
    /// Since when, in ns of `CLOCK_MONOTONIC`.
    pub since_ns: u64,
    /// `WAIT_…`.
    pub reason: u32,
    /// `SLEEPS`, or else how it will end.
    pub how: u32,
    /// The socket's slot.
    pub slot: u32,
    /// Always 0.
    pub reserved: u32,
}

/// [`Waiting::how`]: it sleeps.
pub const SLEEPS: u32 = 0;
/// It gets `EAGAIN`.
pub const REFUSED: u32 = 1;
/// It gets a short write.
pub const SHORT: u32 = 2;
/// It slept before skmem first saw the socket.
pub const SLEPT_BEFORE: u32 = 3;

/// Sleeping threads by thread id.
#[map]
pub static WAITING: LruHashMap<u32, Waiting> = LruHashMap::with_max_entries(16384, 0);

/// What an application asked of `SO_SNDBUF`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RequestedSndbuf {
    /// The value passed, in bytes.
    pub value: i32,
    /// `IDENT_V_…`.
    pub flags: u32,
}

/// `SO_SNDBUF` asked for before the socket had an account, by the socket's
/// address.
#[map]
pub static ASKED: LruHashMap<u64, RequestedSndbuf> = LruHashMap::with_max_entries(4096, 0);

/// Processes that the filter admits.
#[map]
pub static PIDS: HashMap<u32, u8> = HashMap::with_max_entries(4096, 0);

/// Command names, NUL-padded, that the filter admits.
#[map]
pub static COMMS: HashMap<[u8; 16], u8> = HashMap::with_max_entries(1, 0);

/// Sockets, by inode, that the processes of the filter hold already.
#[map]
pub static INODES: HashMap<u32, u8> = HashMap::with_max_entries(65536, BPF_F_NO_PREALLOC);

/// Threads that sleep in the send path since before the trace, by the inode of
/// their socket.
#[map]
pub static SLEEPERS: HashMap<u32, u32> = HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Records to user space.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// Counters of one CPU.
#[repr(C)]
pub struct Counters {
    /// Records made, by hook.
    pub produced: [u64; HOOKS],
    /// Records that found the ring full, by hook.
    pub lost: [u64; HOOKS],
    /// Bytes in the ring since the last wake-up.
    pub pending: u64,
    /// Sockets that matched but found no free slot.
    pub no_slot: u64,
    /// Sockets older than the trace that hold something within their limit, and
    /// were left out for that, in all walks.
    pub left_out: u64,
}

/// Counters by CPU.
#[map]
pub static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// What all sockets share: see `SHARED_…` in [`skmem_common::layout`].
#[map]
pub static SHARED: Array<u32> = Array::with_max_entries(SHARED_SLOTS, 0);

#[unsafe(no_mangle)]
static OFFSETS: Global<Offsets> = Global::new(Offsets::NONE);
#[unsafe(no_mangle)]
static FILTER: Global<Filter> = Global::new(NO_FILTER);
/// Where sockets' slots are kept: `SLOTS_…` in [`skmem_common::layout`].
#[unsafe(no_mangle)]
static SLOTS_IN: Global<u32> = Global::new(SLOTS_NOWHERE);
/// 1: `bpf_get_socket_cookie` takes a socket here (5.12 on).
#[unsafe(no_mangle)]
static USE_COOKIE: Global<u32> = Global::new(0);
/// A [`Records`].
#[unsafe(no_mangle)]
static RECORDS: Global<u32> = Global::new(Records::Calls as u32);

/// 1: the hooks are the lean set.
#[unsafe(no_mangle)]
static LEAN: Global<u32> = Global::new(0);
/// 1: only sockets that have met the tripwire get accounts.
#[unsafe(no_mangle)]
static TRIPWIRE: Global<u32> = Global::new(0);
/// 1: the receive side is traced, too.
#[unsafe(no_mangle)]
static RX: Global<u32> = Global::new(0);
/// 1: a program is at the entry of `tcp_recvmsg_locked`.
#[unsafe(no_mangle)]
static READS_BEGIN: Global<u32> = Global::new(0);
/// The binary logarithm of a page.
#[unsafe(no_mangle)]
static PAGE_SHIFT: Global<u32> = Global::new(12);
/// 1: walks over sockets hold each one's lock (5.15 on).
#[unsafe(no_mangle)]
static LOCKED_WALK: Global<u32> = Global::new(0);

const NO_FILTER: Filter = {
    // SAFETY: all of Filter is integers, for which 0 is a value.
    unsafe { core::mem::zeroed() }
};

/// The offset at `at` in [`Offsets`]; `offset!` names it.
#[inline(always)]
pub fn offset_at(at: usize) -> u32 {
    let offsets = (&raw const OFFSETS).cast::<u8>();
    // SAFETY: the global is initialised, and all of it is u32s.
    unsafe { offsets.add(at).cast::<u32>().read_volatile() }
}

/// A kernel address as a number to reckon with: the verifier forbids any other
/// arithmetic on pointers, but gives the difference of two as a number, and the
/// globals stay where they are.
#[inline(always)]
pub fn number(address: u64) -> u64 {
    address.wrapping_sub((&raw const OFFSETS).addr() as u64)
}

/// Whom to trace.
#[inline(always)]
pub fn filter() -> *const Filter {
    (&raw const FILTER).cast()
}

/// Where sockets' slots are kept. The verifier knows the answer and never walks
/// the other branches.
#[inline(always)]
pub fn slots_in() -> u32 {
    SLOTS_IN.load()
}

/// Whether the kernel gives tracing programs a socket's cookie.
#[inline(always)]
pub fn use_cookie() -> bool {
    USE_COOKIE.load() != 0
}

/// Whether walks over sockets hold each one's lock.
#[inline(always)]
pub fn locked_walk() -> bool {
    LOCKED_WALK.load() != 0
}

/// The binary logarithm of a page.
#[inline(always)]
pub fn page_shift() -> u32 {
    PAGE_SHIFT.load() & 31
}

/// Whether the receive side is traced.
#[inline(always)]
pub fn rx() -> bool {
    RX.load() != 0
}

/// Whether it is seen when a reader comes into `recv`.
#[inline(always)]
pub fn reads_begin() -> bool {
    READS_BEGIN.load() != 0
}

/// Whether the hooks are the lean set.
#[inline(always)]
pub fn lean() -> bool {
    LEAN.load() != 0
}

/// Whether only sockets that have met the tripwire get accounts.
#[inline(always)]
pub fn tripwire() -> bool {
    TRIPWIRE.load() != 0
}

/// Whether sockets get accounts now.
#[inline(always)]
pub fn enabled() -> bool {
    SHARED.get(SHARED_ENABLED).is_some_and(|e| *e != 0)
}

/// Whether each call that changed something makes a record.
#[inline(always)]
pub fn every_call() -> bool {
    RECORDS.load() != Records::Transitions as u32
}

/// Whether every hook makes one, not only each call that changed something.
#[inline(always)]
pub fn every_hook() -> bool {
    RECORDS.load() == Records::Hooks as u32
}

/// This CPU's counters.
#[inline(always)]
pub fn counters() -> Option<&'static mut Counters> {
    // SAFETY: the map outlives the program; the counters are this CPU's own.
    // A program that another one preempts may lose an increment of `pending`,
    // which only delays a wake-up.
    COUNTERS.get_ptr_mut(0).map(|c| unsafe { &mut *c })
}
