//! A walk over all TCP sockets that reads what fills the receive buffer of each, and what its
//! window depends on.

use aya_ebpf::{
    bindings::seq_file,
    helpers::generated::{bpf_probe_read_kernel, bpf_seq_write},
    programs::BtfTracePointContext,
};
use skmem_common::{
    layout::ABSENT,
    window::{BYTES, HAS_HEAD, HAS_OUT_OF_ORDER, LOCKED, Receiver, SUBFLOW, WALKED_ALL},
};

use crate::{
    maps,
    socket::{KernelPtr, Sock, offset},
};

/// Skbs of a queue that are looked at; one that is full of data has fewer, they are coalesced.
const MOST: u32 = 200;

/// `bpf_iter__tcp`: called for each TCP socket of a network namespace; writes a [`Receiver`] for
/// it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub extern "C" fn window(ctx: *mut core::ffi::c_void) -> i32 {
    let context = BtfTracePointContext::new(ctx);
    // struct bpf_iter__tcp { meta, sk_common, uid }; struct bpf_iter_meta begins with the seq_file.
    let (meta, sk): (*const *mut seq_file, *const u8) = (context.arg(0), context.arg(1));
    if sk.is_null() {
        return 0;
    }
    let Some(tp) = Sock::new(sk).tcp() else {
        return 0;
    };
    let Some(receiver) = receiver_of(Sock(tp), tp) else {
        return 0;
    };
    // SAFETY: the kernel gives both pointers, and the helper copies those bytes.
    unsafe {
        let seq = *meta;
        bpf_seq_write(seq, (&raw const receiver).cast(), BYTES as u32);
    }
    0
}

/// None: this kernel lacks a field.
#[inline(always)]
fn receiver_of(sk: Sock, tp: KernelPtr) -> Option<Receiver> {
    let needed = [
        offset!(cookie),
        offset!(rmem_alloc),
        offset!(rcvbuf),
        offset!(backlog_len),
        offset!(rcv_nxt),
        offset!(copied_seq),
        offset!(rcv_wup),
        offset!(rcv_wnd),
        offset!(rcv_ssthresh),
        offset!(window_clamp),
        offset!(rcv_mss),
        offset!(rcv_wscale),
        offset!(receive_queue),
        offset!(error_queue),
        offset!(ofo_queue),
    ];
    for one in needed {
        if one == ABSENT {
            return None;
        }
    }
    let mut receiver = Receiver::default();
    // SAFETY: offsets and types are those of the kernel's BTF.
    let (head, errors, net): (u64, u64, u64) = unsafe {
        receiver.cookie = sk.load(offset!(cookie));
        receiver.rmem_alloc = sk.load(offset!(rmem_alloc));
        receiver.rcvbuf = sk.load(offset!(rcvbuf));
        receiver.backlog = sk.load(offset!(backlog_len));
        receiver.state = sk.load(offset!(state));
        receiver.rcv_nxt = tp.load(offset!(rcv_nxt));
        receiver.copied_seq = tp.load(offset!(copied_seq));
        receiver.rcv_wup = tp.load(offset!(rcv_wup));
        receiver.rcv_wnd = tp.load(offset!(rcv_wnd));
        receiver.rcv_ssthresh = tp.load(offset!(rcv_ssthresh));
        receiver.window_clamp = tp.load(offset!(window_clamp));
        receiver.rcv_mss = tp.load(offset!(rcv_mss));
        receiver.rcv_wscale =
            tp.load::<u8>(offset!(rcv_wscale)) >> (offset!(wscale_shift) & 7) & WSCALE;
        if offset!(scaling_ratio) != ABSENT {
            receiver.scaling_ratio = tp.load(offset!(scaling_ratio));
        }
        // rb_root's first field is a pointer to its root node.
        if tp.load::<u64>(offset!(ofo_queue)) != 0 {
            receiver.flags |= HAS_OUT_OF_ORDER;
        }
        // sk_buff_head's first field is a pointer to its first skb.
        (
            sk.load(offset!(receive_queue)),
            sk.load(offset!(error_queue)),
            sk.load(offset!(net)),
        )
    };
    receiver.adv_win_scale = sysctl(net, offset!(adv_win_scale)) as i8;
    receiver.shrink_window = sysctl(net, offset!(shrink_window));
    let address = sk.address();
    let end = address + u64::from(offset!(receive_queue));
    if head != 0 && head != end {
        let cb = head + u64::from(offset!(skb_cb));
        receiver.head_seq = word(cb);
        receiver.head_end = word(cb + 4);
        receiver.flags |= HAS_HEAD;
    }
    let queue = sum(head, end);
    let errors = sum(errors, address + u64::from(offset!(error_queue)));
    receiver.queued = queue as u32;
    receiver.queued_skbs = (queue >> 32) as u32 & COUNT;
    receiver.errors = errors as u32;
    receiver.errors_skbs = (errors >> 32) as u32 & COUNT;
    if queue & errors & WHOLE != 0 {
        receiver.flags |= WALKED_ALL;
    }
    if maps::locked_walk() {
        receiver.flags |= LOCKED;
    }
    if sk.is_mptcp(tp) {
        receiver.flags |= SUBFLOW;
    }
    Some(receiver)
}

/// Bits of `rcv_wscale`.
const WSCALE: u8 = 15;
/// Bits of a count in what [`sum`] returns.
const COUNT: u32 = 0xffff;
/// The bit of it that says that the queue ended.
const WHOLE: u64 = 1 << 63;

/// Truesize of a queue's skbs (low 32 bits), how many they are (16 bits), and whether that is all
/// of them. `head` is the list itself, where the last one points to.
#[inline(never)]
fn sum(first: u64, head: u64) -> u64 {
    let (mut skb, mut bytes, mut count) = (first, 0_u32, 0_u64);
    for _ in 0..MOST {
        if skb == head || skb == 0 {
            return WHOLE | count << 32 | u64::from(bytes);
        }
        bytes = bytes.wrapping_add(word(skb + u64::from(offset!(skb_truesize))));
        count += 1;
        // An skb starts with a pointer to the next one.
        skb = read(skb);
    }
    count << 32 | u64::from(bytes)
}

/// The low byte of a sysctl, which is all of its value: an `int` on 5.10, a `u8` later.
#[inline(always)]
fn sysctl(net: u64, at: u32) -> u8 {
    if at == ABSENT {
        return 0;
    }
    read(net + u64::from(at))
}

#[inline(always)]
fn word(address: u64) -> u32 {
    read(address)
}

/// A number at an address of the kernel; 0 where nothing is. Without a branch: a verifier that
/// follows each of them through a loop does not come to an end.
#[inline(always)]
fn read<T: Default>(address: u64) -> T {
    let mut value = T::default();
    // SAFETY: the helper checks the address, and fills in zeros where it cannot read; T is an
    // integer.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            address as *const core::ffi::c_void,
        );
    }
    value
}
