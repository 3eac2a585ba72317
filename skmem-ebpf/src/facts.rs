//! A walk over all TCP sockets that reads fields which no other interface shows, and w, r and f of
//! one moment.

use aya_ebpf::{
    bindings::seq_file, helpers::generated::bpf_seq_write, programs::BtfTracePointContext,
};
use skmem_common::{
    facts::{BYTES, Facts},
    layout::ABSENT,
};

use crate::{
    maps,
    socket::{KernelPtr, Sock, offset},
};

/// `bpf_iter__tcp`: called for each TCP socket of a network namespace; writes a [`Facts`] for it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub extern "C" fn facts(ctx: *mut core::ffi::c_void) -> i32 {
    let context = BtfTracePointContext::new(ctx);
    // struct bpf_iter__tcp { meta, sk_common, uid }; struct bpf_iter_meta begins with the seq_file.
    let (meta, sk): (*const *mut seq_file, *const u8) = (context.arg(0), context.arg(1));
    if sk.is_null() {
        return 0;
    }
    let Some(tp) = Sock::new(sk).tcp() else {
        return 0;
    };
    let facts = read(Sock(tp), tp);
    // SAFETY: the kernel gives both pointers, and the helper copies those bytes.
    unsafe {
        let seq = *meta;
        bpf_seq_write(seq, (&raw const facts).cast(), BYTES as u32);
    }
    0
}

#[inline(always)]
fn read(sk: Sock, tp: KernelPtr) -> Facts {
    let mut facts = Facts::default();
    // SAFETY: offsets and types are those of the kernel's BTF.
    unsafe {
        if offset!(cookie) != ABSENT {
            facts.cookie = sk.load(offset!(cookie));
        }
        if offset!(flags) != ABSENT {
            facts.flags = sk.load(offset!(flags));
        }
        facts.wmem_queued = sk.load(offset!(wmem_queued));
        if offset!(rmem_alloc) != ABSENT {
            facts.rmem_alloc = sk.load(offset!(rmem_alloc));
        }
        facts.forward_alloc = sk.load(offset!(forward_alloc));
        if offset!(reserved_mem) != ABSENT {
            facts.reserved_mem = sk.load(offset!(reserved_mem));
        }
        if offset!(bypass) != ABSENT {
            facts.bypass = sk.load(offset!(bypass));
        }
    }
    facts.userlocks = sk.userlocks();
    facts.has_ulp = u8::from(sk.has_ulp(tp));
    facts.locked = u8::from(maps::locked_walk());
    facts
}
