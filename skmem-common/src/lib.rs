//! What skmem's eBPF programs and its user side share.
//!
//! Everything here is compiled twice: for the kernel, where it keeps each
//! socket's account, and for user space, where host tests and replay run the
//! very same code. Hence: no `std`, no allocation, no panics, bounded loops,
//! `repr(C)` wherever a value crosses the border.
//!
//! * [`cause`]: the names that bytes and limit moves are booked under
//! * [`hook`]: the kernel functions that are hooked
//! * [`ledger`]: sums per cause, admission, worst excess: the account proper
//! * [`account`]: from "this hook saw these fields" to bookings in the ledger
//! * [`fields`]: what a hook sees of a socket
//! * [`memory`]: what was charged ahead of use, `sk_forward_alloc`'s side
//! * [`facts`]: what a walk over all sockets reads of each
//! * [`output`]: what decides when queued bytes leave, and who holds a sender up
//! * [`receive`]: the receive side, for `--rx`: fields, clocks
//! * [`receive_cause`], [`receive_ledger`]: its names, and its account
//! * [`record`]: what goes through the ring buffer
//! * [`window`]: what a receive window depends on
//! * [`version`]: how user space copies an account that hooks change meanwhile
//! * [`filter`], [`layout`]: what user space hands to the programs before load
#![no_std]

#[cfg(test)]
extern crate std;

pub mod account;
pub mod cause;
mod classify;
pub mod facts;
pub mod fields;
pub mod filter;
pub mod hook;
pub mod layout;
pub mod lean;
pub mod ledger;
pub mod memory;
pub mod msk_moves;
pub mod output;
pub mod receive;
pub mod receive_cause;
pub mod receive_ledger;
pub mod record;
pub mod version;
pub mod window;
