//! skmem's eBPF programs.
//!
//! * [`maps`]: what the kernel side and user space share at run time
//! * [`socket`]: a `struct sock` and the fields of it that are read
//! * [`accounts`]: a socket's account; which sockets get one
//! * [`known`], [`identity`], [`filter`]: its slot, who it is, whether it is wanted
//! * [`output`]: records into the ring buffer, and what becomes of lost ones
//! * [`outlet`]: what decides when queued bytes leave
//! * [`tell`]: diagnostics of rare paths
//! * [`calls`]: what every program does at the entry and the exit of a call
//! * [`send`], [`memory`], [`queue`], [`wait`], [`limit`], [`receive`], [`mptcp`], [`life`]: the
//!   programs, one file per hook family
//! * [`lean`]: the programs of the lean set on the functions that run most, in place of those above
//! * [`facts`]: what a walk reads of all sockets, for the account of `skmem snapshot --check`
//! * [`window`]: what fills receive buffers and what windows depend on, by a walk
//!
//! Everything that books runs under socket ownership. Which kernel function a
//! program is attached to is decided in user space (its probe plan).
// BPF's inline assembly, see `calls::Changing` and `receive::add`.
#![feature(asm_experimental_arch)]
#![no_std]
#![no_main]

mod accounts;
mod calls;
mod facts;
mod filter;
mod identity;
mod known;
mod lean;
mod life;
mod limit;
mod maps;
mod memory;
mod mptcp;
mod mptcp_receive;
mod outlet;
mod output;
mod queue;
mod receive;
mod send;
mod socket;
mod tell;
mod wait;
mod window;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here can panic; the verifier would refuse a program that could.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
