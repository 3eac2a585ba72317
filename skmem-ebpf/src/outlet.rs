//! What decides when queued bytes leave: read on rare paths, into an account.

use aya_ebpf::helpers::generated::bpf_jiffies64;
use skmem_common::{
    account::Account,
    layout::ABSENT,
    output::{HOLDERS, OUTPUT_THROTTLED, Output},
};

use crate::{
    calls,
    socket::{KernelPtr, Sock, Watched, offset},
};

/// `TSQ_THROTTLED` is the first bit of `sk_tsq_flags` (include/linux/tcp.h).
const TSQ_THROTTLED: u64 = 1;

/// `icsk_ca_state` is five bits (include/net/inet_connection_sock.h).
const CA_STATE: u8 = 0x1f;

/// `chrono_type` is two.
const CHRONO_TYPE: u8 = 3;

/// When skmem first sees the socket.
#[inline(always)]
pub fn first(account: &mut Account, socket: impl Watched) {
    if let Some(tcp) = socket.tcp() {
        core::hint::black_box(read(&mut account.outputs.first, tcp.sk, tcp.tp));
    }
}

/// At a new worst excess.
#[inline(always)]
pub fn worst(account: &mut Account, socket: impl Watched) {
    if let Some(tcp) = socket.tcp() {
        core::hint::black_box(read(&mut account.outputs.worst, tcp.sk, tcp.tp));
    }
}

/// At the end.
#[inline(always)]
pub fn last(account: &mut Account, socket: impl Watched) {
    if let Some(tcp) = socket.tcp() {
        core::hint::black_box(read(&mut account.outputs.last, tcp.sk, tcp.tp));
    }
}

/// Where a sender is held up for `reason`, a `WAIT_…`: also counts who holds it.
#[inline(always)]
pub fn held(account: &mut Account, socket: impl Watched, reason: u32) {
    if let Some(tcp) = socket.tcp() {
        core::hint::black_box(count(account, tcp.sk, tcp.tp, reason));
    }
}

#[inline(never)]
fn count(account: &mut Account, sk: Sock, tp: KernelPtr, reason: u32) -> u32 {
    core::hint::black_box(read(&mut account.outputs.held, sk, tp));
    let holder = account.outputs.held.holder(reason) as usize;
    // The verifier wants the mask that the compiler would drop.
    let place = core::hint::black_box(holder) & (HOLDERS - 1);
    account.blocked.holders[place] = account.blocked.holders[place].wrapping_add(1);
    0
}

/// A subprogram, which returns a number that is used: see `calls::view_worst`.
#[inline(never)]
fn read(to: &mut Output, sk: Sock, tp: KernelPtr) -> u32 {
    if offset!(cwnd) == ABSENT
        || offset!(ssthresh) == ABSENT
        || offset!(srtt_us) == ABSENT
        || offset!(packets_out) == ABSENT
        || offset!(lost_out) == ABSENT
        || offset!(sacked_out) == ABSENT
        || offset!(retrans_out) == ABSENT
        || offset!(total_retrans) == ABSENT
    {
        return 0;
    }
    let now = calls::now();
    // SAFETY: offsets and types are those of the kernel's BTF.
    unsafe {
        let snd_nxt: u32 = tp.load(offset!(snd_nxt));
        to.wmem_queued = sk.load(offset!(wmem_queued));
        to.sndbuf = sk.load(offset!(sndbuf));
        to.wmem_alloc = sk.load::<i32>(offset!(wmem_alloc)).wrapping_sub(1);
        to.snd_wnd = tp.load(offset!(snd_wnd));
        to.in_flight = snd_nxt.wrapping_sub(tp.load(offset!(snd_una)));
        to.unsent = tp.load::<u32>(offset!(write_seq)).wrapping_sub(snd_nxt);
        to.mss = tp.load(offset!(mss_cache));
        to.cwnd = tp.load(offset!(cwnd));
        to.ssthresh = tp.load(offset!(ssthresh));
        // The field holds eight times the time.
        to.srtt_us = tp.load::<u32>(offset!(srtt_us)) >> 3;
        to.packets_out = tp.load(offset!(packets_out));
        to.lost_out = tp.load(offset!(lost_out));
        to.sacked_out = tp.load(offset!(sacked_out));
        to.retrans_out = tp.load(offset!(retrans_out));
        to.total_retrans = tp.load(offset!(total_retrans));
        to.state = sk.load(offset!(state));
    }
    timers(to, tp);
    pacing(to, sk, tp, now);
    clocks(to, tp);
    to.at_ns = now;
    0
}

#[inline(always)]
fn timers(to: &mut Output, tp: KernelPtr) {
    // Three of them count jiffies.
    // SAFETY: the helper takes nothing.
    let jiffies = unsafe { bpf_jiffies64() } as u32;
    let tick = u64::from(offset!(tick_ns));
    if offset!(retransmits) != ABSENT
        && offset!(rto) != ABSENT
        && offset!(lsndtime) != ABSENT
        && offset!(rcv_tstamp) != ABSENT
    {
        // SAFETY: offsets and types are those of the kernel's BTF.
        let (rto, sent, came) = unsafe {
            to.retransmits = tp.load(offset!(retransmits));
            (
                tp.load::<u32>(offset!(rto)),
                tp.load::<u32>(offset!(lsndtime)),
                tp.load::<u32>(offset!(rcv_tstamp)),
            )
        };
        to.rto_ms = (u64::from(rto) * tick / 1_000_000) as u32;
        to.since_sent_ns = u64::from(jiffies.wrapping_sub(sent)) * tick;
        to.since_ack_ns = u64::from(jiffies.wrapping_sub(came)) * tick;
    }
    if offset!(backoff) != ABSENT && offset!(probes_out) != ABSENT {
        // SAFETY: as above.
        unsafe {
            to.backoff = tp.load(offset!(backoff));
            to.probes_out = tp.load(offset!(probes_out));
        }
    }
    if offset!(ca_state) != ABSENT {
        // SAFETY: as above: the byte that the field begins.
        to.ca_state = unsafe { tp.load::<u8>(offset!(ca_state)) } & CA_STATE;
    }
}

#[inline(always)]
fn pacing(to: &mut Output, sk: Sock, tp: KernelPtr, now: u64) {
    if offset!(wstamp_ns) != ABSENT
        && offset!(pacing_rate) != ABSENT
        && offset!(max_pacing_rate) != ABSENT
        && offset!(pacing_status) != ABSENT
    {
        // SAFETY: offsets and types are those of the kernel's BTF.
        unsafe {
            to.pacing_rate = sk.load(offset!(pacing_rate));
            to.max_pacing_rate = sk.load(offset!(max_pacing_rate));
            to.pacing = sk.load::<u32>(offset!(pacing_status)) as u8;
            let wait = tp.load::<u64>(offset!(wstamp_ns)).wrapping_sub(now);
            to.pacing_wait_ns = if (wait as i64) < 0 { 0 } else { wait };
        }
    }
    to.flags = 0;
    if offset!(tsq_flags) != ABSENT {
        // SAFETY: as above.
        let flags: u64 = unsafe { sk.load(offset!(tsq_flags)) };
        if flags & TSQ_THROTTLED != 0 {
            to.flags = OUTPUT_THROTTLED;
        }
    }
}

/// The kernel's clocks (`tcp_get_info_chrono_stats`), which count jiffies.
#[inline(always)]
fn clocks(to: &mut Output, tp: KernelPtr) {
    // SAFETY: the helper takes nothing.
    let jiffies = unsafe { bpf_jiffies64() } as u32;
    let tick = u64::from(offset!(tick_ns));
    if offset!(chrono_start) == ABSENT
        || offset!(chrono_stat) == ABSENT
        || offset!(chrono_type) == ABSENT
    {
        return;
    }
    // SAFETY: offsets and types are those of the kernel's BTF; chrono_stat is
    // three u32s.
    let (kind, started, busy, rwnd, sndbuf) = unsafe {
        (
            tp.load::<u8>(offset!(chrono_type)),
            tp.load::<u32>(offset!(chrono_start)),
            tp.load::<u32>(offset!(chrono_stat)),
            tp.load::<u32>(offset!(chrono_stat) + 4),
            tp.load::<u32>(offset!(chrono_stat) + 8),
        )
    };
    let kind = (kind >> (offset!(chrono_shift) & 7)) & CHRONO_TYPE;
    to.chrono = kind;
    // Without branches: the verifier would walk all that follows for each.
    let running = u64::from(jiffies.wrapping_sub(started));
    let of = |n: u8| running * u64::from(kind == n);
    to.busy_ns = (u64::from(busy) + of(1)) * tick;
    to.rwnd_limited_ns = (u64::from(rwnd) + of(2)) * tick;
    to.sndbuf_limited_ns = (u64::from(sndbuf) + of(3)) * tick;
}
